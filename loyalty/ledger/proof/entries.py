"""Questions about entries: their chain, their phases, their lots, their events and their causes."""

from collections.abc import Sequence

from loyalty.ledger.proof.question import Broken, Source
from loyalty.rules.entry_kinds import KINDS, LotEffect, quote

_PHASE_OF_KIND = " ".join(f"WHEN '{kind}' THEN {row.phase_condition()}" for kind, row in KINDS.items() if row.reference)

_EVENTS = " ".join(f"WHEN '{kind}' THEN '{row.event}'" for kind, row in KINDS.items() if row.event)

_EVENT_OF_KIND = f"CASE e.kind {_EVENTS} END"

_EVENTS_OF_ENTRIES = quote(row.event for row in KINDS.values() if row.event)

_GIVES_BACK = quote(kind for kind, row in KINDS.items() if row.lots is LotEffect.GIVES_BACK)

_MOVES = quote(kind for kind, row in KINDS.items() if row.lots is LotEffect.MOVES)

_READ_WITH_CAUSES = quote(kind for kind, row in KINDS.items() if row.reference and row.cause_table is None)
"""The kinds of entries that sources of other features join with their causes."""

_CAUSES = " UNION ALL ".join(
    f"SELECT id, '{kind}' AS kind, '{row.reference}' AS about_kind, {row.about_column} AS about FROM {row.cause_table}"  # noqa: S608 - made of constants
    " WHERE tenant_id = :current_tenant"
    for kind, row in KINDS.items()
    if row.cause_table
)
"""The causes of entries of the other kinds, and the reference that such an entry must have."""


def _hash_text(column: str) -> str:
    """Return the SQL for a text in the hash of an entry, as `entry_hash` in the rules has it.

    If the text was erased, the column ``{column}_hash`` has its hash.
    """
    return f"coalesce(encode(coalesce(sha256(convert_to({column}, 'UTF8')), {column}_hash), 'hex'), '-'), '|'"


SOURCES: Sequence[Source] = (
    # Every entry with the one before it.
    Source(
        f"""
        SELECT e.id, e.customer_id, e.sequence, e.balance_after, e.hash,
               row_number() OVER before AS number,
               coalesce(lag(e.balance_after) OVER before, 0) + e.points AS so_far,
               sha256(coalesce(lag(e.hash) OVER before, decode(repeat('00', 32), 'hex'))
                      || convert_to(CASE WHEN num_nonnulls(e.actor_name, e.reason, e.actor_name_hash, e.reason_hash) > 0
                                         THEN concat({_hash_text("e.actor_name")}, {_hash_text("e.reason")})
                                         ELSE '' END
                      || concat_ws('|', e.id, e.customer_id, e.sequence, e.kind, e.points,
                             e.balance_after, e.reference_kind, e.reference_id, e.cause_id, e.phase,
                             (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.actor_kind, e.actor), 'UTF8')
               ) AS due
        FROM entries e
        WHERE e.tenant_id = :current_tenant AND e.customer_id BETWEEN :first_customer AND :last_customer
        WINDOW before AS (PARTITION BY e.customer_id ORDER BY e.sequence)
        """,  # noqa: S608 - the only parts are columns of this file
        {
            "entries are numbered from 1 without a gap, and the account knows the last number": Broken(
                "sequence <> number", "id, customer_id, sequence, number"
            ),
            "the balance after each entry is the sum so far": Broken(
                "balance_after <> so_far", "id, balance_after, so_far"
            ),
            "every entry carries the hash of all it says and of the entry before it": Broken(
                "hash <> due", "id, customer_id, sequence"
            ),
        },
    ),
    # Every entry with the lots that it opened, took points from or gave points back to, and with its event. An event
    # without its entry is a row too.
    Source(
        f"""
        SELECT e.*, o.points AS opened,
               e.is_for_others OR (e.given_back IS NOT NULL AND e.kind NOT IN ({_GIVES_BACK}))
                   OR CASE WHEN e.points > 0 AND e.allocated > 0 THEN EXISTS (
                       SELECT FROM allocations x
                       WHERE x.tenant_id = :current_tenant AND x.entry_id = e.id AND x.points > 0 AND e.id IS DISTINCT
                         FROM (SELECT entry_id FROM lots WHERE tenant_id = :current_tenant AND id = x.lot_id)
                   ) END AS is_strange,
               v.id AS event_id, v.kind AS told, v.named, v.entry_id::text = v.named AS is_named,
               v.customer_id = e.customer_id AND v.points = e.points AND v.kind = {_EVENT_OF_KIND} AS agrees
        FROM (
            SELECT e.id, e.customer_id, e.kind, e.phase, e.points, e.occurred_at, sum(t.points) AS allocated,
                   -sum(t.points) FILTER (WHERE t.points < 0) AS given_back,
                   bool_or(t.customer_id <> e.customer_id) AS is_for_others,
                   bool_or(t.settled_by = t.entry_id AND t.taken_at <> e.occurred_at) AS is_dated_otherwise
            FROM entries e
            LEFT JOIN allocations t ON t.tenant_id = e.tenant_id AND t.entry_id = e.id
                 AND t.entry_id BETWEEN :first_id AND :last_id
            WHERE e.tenant_id = :current_tenant AND e.id BETWEEN :first_id AND :last_id
            GROUP BY e.tenant_id, e.id
        ) e
        LEFT JOIN (SELECT entry_id, sum(original) AS points FROM lots
                   WHERE tenant_id = :current_tenant AND entry_id BETWEEN :first_id AND :last_id
                   GROUP BY entry_id) o ON o.entry_id = e.id
        FULL JOIN (SELECT id, customer_id, kind, entry_id, payload->>'entry_id' AS named,
                          (payload->>'points')::bigint AS points
                   FROM events
                   WHERE tenant_id = :current_tenant AND entry_id BETWEEN :first_id AND :last_id) v
            ON v.entry_id = e.id
        """,  # noqa: S608 - made of constants
        {
            "every entry is told once, with its points": Broken(
                "id IS NOT NULL AND agrees IS NOT TRUE", "id, kind, points, told"
            ),
            "an event names its entry, and only an event of a movement does": Broken(
                "event_id IS NOT NULL AND (id IS NULL OR is_named IS NOT TRUE)", "event_id, told, id, named"
            ),
            # Queries for entries of a kind by their cause use the phase, because the index of causes holds it.
            "the phase of an entry is one of its kind": Broken(
                f"id IS NOT NULL AND NOT CASE kind {_PHASE_OF_KIND} ELSE false END",
                "id, kind, phase",
            ),
            "every entry that gives points opens lots of that size, or gives them back to lots": Broken(
                "CASE WHEN points < 0 THEN opened IS NOT NULL OR given_back IS NOT NULL"
                f" WHEN kind IN ({_GIVES_BACK}) THEN coalesce(opened, 0) + coalesce(given_back, 0) > points"
                # An entry that settles the debt of a merged customer opens no lot.
                f" WHEN kind IN ({_MOVES}) THEN coalesce(opened, 0) NOT IN (0, points) OR given_back IS NOT NULL"
                " ELSE coalesce(opened, 0) <> points OR given_back IS NOT NULL END",
                "id, kind, points, opened, given_back",
            ),
            "an entry takes points for its own customer, and a credit only from its own lot": Broken(
                "is_strange", "id, kind, points"
            ),
            "no entry takes more from lots than it moves": Broken("allocated > abs(points)", "id, points, allocated"),
            "an entry takes from lots when it happens": Broken("is_dated_otherwise", "id, kind, occurred_at"),
        },
    ),
    # Every event without an entry.
    Source(
        """
        SELECT v.id, v.kind, v.payload->>'entry_id' AS named FROM events v
        WHERE v.tenant_id = :current_tenant AND v.entry_id IS NULL
        """,
        {
            "an event names its entry, and only an event of a movement does": Broken(
                f"named IS NOT NULL OR kind IN ({_EVENTS_OF_ENTRIES})",
                "id, kind, named",
            ),
        },
    ),
    # Every entry of a rare kind with its cause. Sources of other features join the other kinds with their causes.
    Source(
        f"""
        SELECT e.id, e.kind, e.cause_id, e.reference_kind, e.reference_id, c.id AS found, c.about_kind, c.about
        FROM entries e
        LEFT JOIN ({_CAUSES}) c ON c.id = e.cause_id AND c.kind = e.kind
        WHERE e.tenant_id = :current_tenant
          AND e.kind NOT IN ({_READ_WITH_CAUSES})
        """,  # noqa: S608 - made of constants
        {
            "every entry has a cause": Broken("found IS NULL", "id, kind, cause_id"),
            "every entry leads to what it is about": Broken(
                "(reference_kind, reference_id) <> (about_kind, about)",
                "id, kind, reference_kind, reference_id, about",
            ),
        },
    ),
)
