"""The invariants of the ledger, asked of the database itself: nothing may be found that breaks one.

They know the tables but none of the code that fills them, so that a mistake there cannot hide here.

To add one: write a query in QUESTIONS whose answer must be no row. When its table grows with the entries, write a
source or add a condition to one that reads the same rows already: one pass over millions of rows then answers several
questions. Name what should be so, and give tests/fixtures/test_invariants.py a tampering that breaks it; a test demands
that.

A large ledger is asked in slices, so that nothing has to be sorted or hashed that does not fit into memory. A source
that joins by ids (of entries, lots, causes ...) bounds both sides of every join with `BETWEEN :first_id AND :last_id`:
ids are UUIDv7, so a slice is a span of time and lies together on disk. What may be missing on one side is found with
FULL JOIN. Compare `tenant_id` with `:current_tenant` in every table, not with another table's: only constants are
planned well behind row-level security. There an index serves no LIKE and no cast either, since those are not leakproof:
write BETWEEN, and cast in a subquery of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Executable, text

from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import KINDS, LIFETIME_EARNED, QUALIFYING, LotEffect, quote
from loyalty.storage.verification_facts import SLICED_QUESTIONS
from loyalty.storage.verification_questions import QUESTIONS as MORE_QUESTIONS
from tenancy.database import Transaction

MAX_EXAMPLES = 3
FEW_ENTRIES = 1_000
"""Up to here plans that were made for any tenant do, and planning would take longer than asking."""
SLICE_ENTRIES = 100_000
"""About how many entries a slice has; a smaller ledger is not cut. A customer's entries are never cut in two."""
STATEMENT_TIMEOUT_MS = 600_000
"""How long one pass of a large ledger may take, in place of the timeout of ordinary statements."""
WORK_MEM = "128MB"
"""What one sort or hash of a large ledger may use; each worker has one or two of them at a time."""


class Broken(NamedTuple):
    """What a row of a source must not be, and which columns tell a person what is wrong."""

    when: str
    shows: str


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Rows that one pass gathers, and the invariants that are asked of them."""

    rows: str
    invariants: Mapping[str, Broken]

    @property
    def sliced_by(self) -> str | None:
        """What its rows can be cut into slices by: the ids of customers, the ids that it joins by, or nothing."""
        return next((by for by in ("customer", "id") if f":first_{by}" in self.rows), None)


_PHASE_OF_KIND = " ".join(f"WHEN '{kind}' THEN {row.phase_condition()}" for kind, row in KINDS.items() if row.reference)
_EVENTS = " ".join(f"WHEN '{kind}' THEN '{row.event}'" for kind, row in KINDS.items() if row.event)
_EVENT_OF_KIND = f"CASE e.kind {_EVENTS} END"
_EVENTS_OF_ENTRIES = quote(row.event for row in KINDS.values() if row.event)
_GIVES_BACK = quote(kind for kind, row in KINDS.items() if row.lots is LotEffect.GIVES_BACK)
_MOVES = quote(kind for kind, row in KINDS.items() if row.lots is LotEffect.MOVES)
_JOINED_ELSEWHERE = quote(
    (
        *(EntryKind.EARNED, EntryKind.EARN_REVERSED, EntryKind.ADJUSTED),
        *(EntryKind.REDEEMED, EntryKind.EXPIRED, EntryKind.GIFT_CARD),
    )
)
"""The kinds that a source of their own joins with their causes."""

SOURCES: Sequence[Source] = (
    # Every entry with the one before it.
    Source(
        """
        SELECT e.id, e.customer_id, e.sequence, e.balance_after, e.hash,
               row_number() OVER before AS number,
               coalesce(lag(e.balance_after) OVER before, 0) + e.points AS so_far,
               sha256(coalesce(lag(e.hash) OVER before, decode(repeat('00', 32), 'hex'))
                      || convert_to(concat_ws('|', e.id, e.customer_id, e.sequence, e.kind, e.points,
                             e.balance_after, e.reference_kind, e.reference_id, e.cause_id, e.phase,
                             (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.actor_kind, e.actor), 'UTF8')
               ) AS due
        FROM entries e
        WHERE e.tenant_id = :current_tenant AND e.customer_id BETWEEN :first_customer AND :last_customer
        WINDOW before AS (PARTITION BY e.customer_id ORDER BY e.sequence)
        """,
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
    # Every account with its last entry.
    Source(
        """
        SELECT a.customer_id, a.sequence, a.chain, coalesce(e.hash, decode(repeat('00', 32), 'hex')) AS last_hash,
               e.sequence AS last
        FROM accounts a
        LEFT JOIN LATERAL (SELECT sequence, hash FROM entries
                           WHERE tenant_id = :current_tenant AND customer_id = a.customer_id
                           ORDER BY sequence DESC LIMIT 1) e ON true
        WHERE a.tenant_id = :current_tenant AND a.customer_id BETWEEN :first_customer AND :last_customer
        """,
        {
            "entries are numbered from 1 without a gap, and the account knows the last number": Broken(
                "sequence <> coalesce(last, 0)", "customer_id, sequence, last"
            ),
            "an account knows the hash of its last entry": Broken("chain <> last_hash", "customer_id, sequence"),
        },
    ),
    # Every accrual with its lines and its entries.
    Source(
        """
        SELECT a.*, e.points AS earned, r.points AS entered, coalesce(e.cause_id, r.cause_id) AS cause_id,
               e.reference_kind, e.reference_id, r.reference_kind AS back_kind, r.reference_id AS back_id
        FROM (
            SELECT a.id, a.purchase_id, a.state, a.points, a.voided_points, a.reversed_points, a.matures_at,
                   a.earned_points, a.taken_points, a.earned_points - a.taken_points AS net,
                   a.points - a.voided_points - a.reversed_points AS outstanding,
                   a.matured_at, a.policy->>'debt' AS debt, b.lines, b.strange, a.points - a.voided_points AS left_over,
                   a.state NOT IN ('EVALUATED', 'PENDING', 'VOIDED') AS credited
            FROM accruals a
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(line.points), 0) AS lines,
                       count(*) FILTER (WHERE (line.outcome = 'APPLIED') <> (line.points > 0)) AS strange
                FROM jsonb_to_recordset(a.breakdown) AS line (points bigint, outcome text)
            ) b
            WHERE a.tenant_id = :current_tenant AND a.id BETWEEN :first_id AND :last_id
            OFFSET 0 -- so that no join below carries the documents along
        ) a
        FULL JOIN (SELECT cause_id, reference_kind, reference_id, sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id
                     AND phase BETWEEN 'EARN' AND 'EARN-~'
                   GROUP BY cause_id, reference_kind, reference_id) e ON e.cause_id = a.id
        FULL JOIN (SELECT cause_id, reference_kind, reference_id, -sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id
                     AND phase BETWEEN 'REVERSE-' AND 'REVERSE-~'
                   GROUP BY cause_id, reference_kind, reference_id) r ON r.cause_id = coalesce(a.id, e.cause_id)
        """,
        {
            "the lines of an accrual add up to its points": Broken("points <> lines", "id, points, lines"),
            "only a line that was applied gives points": Broken("strange > 0", "id, strange"),
            "what an accrual was credited with, and what was taken of it, stands in the ledger": Broken(
                "coalesce(earned, 0) <> earned_points OR coalesce(entered, 0) <> taken_points",
                "id, earned_points, earned, taken_points, entered",
            ),
            # With CLAMP, points that were spent already are forgotten, so there may be less to enter.
            "an accrual has given what its newest valuation says, less what was lost": Broken(
                "CASE WHEN NOT credited THEN net <> 0 WHEN debt = 'CLAMP' THEN net < outstanding"
                " ELSE net <> outstanding END",
                "id, state, points, voided_points, reversed_points, earned_points, taken_points",
            ),
            "the state of an accrual follows from its points": Broken(
                "(left_over > 0 AND (state = 'REVERSED') <> (reversed_points = left_over))"
                " OR (state = 'PARTIALLY_REVERSED') <> (reversed_points > 0 AND reversed_points < left_over)"
                " OR (points > 0 AND (state = 'VOIDED') <> (voided_points = points))",
                "id, state, points, voided_points, reversed_points",
            ),
            "every entry has a cause": Broken("id IS NULL", "cause_id, earned, entered"),
            "every entry leads to what it is about": Broken(
                "(reference_kind, reference_id) <> ('PURCHASE', purchase_id)"
                " OR (back_kind, back_id) <> ('PURCHASE', purchase_id)",
                "id, purchase_id, reference_kind, reference_id, back_kind, back_id",
            ),
            "points that were never credited stand nowhere in the ledger": Broken(
                "NOT credited AND (earned IS NOT NULL OR entered IS NOT NULL)", "id, state, earned, entered"
            ),
            "an accrual is credited or waits, and waits no longer than it says": Broken(
                "(matured_at IS NOT NULL) <> credited OR (points > 0 AND matured_at < matures_at)",
                "id, state, matures_at, matured_at",
            ),
        },
    ),
    # Every entry with the lots it opened, took from or gave back to, and its event; or an event without its entry.
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
            # What asks for entries of a kind by their cause goes by the phase, which the index of causes holds.
            "the phase of an entry is one of its kind": Broken(
                f"id IS NOT NULL AND NOT CASE kind {_PHASE_OF_KIND} ELSE false END",
                "id, kind, phase",
            ),
            "every entry that gives points opens lots of that size, or gives them back to lots": Broken(
                "CASE WHEN points < 0 THEN opened IS NOT NULL OR given_back IS NOT NULL"
                f" WHEN kind IN ({_GIVES_BACK}) THEN coalesce(opened, 0) + coalesce(given_back, 0) > points"
                # What settles the debt of a customer who becomes another opens no lot.
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
    # Every entry of a rare kind with what caused it; the other kinds are joined with their causes elsewhere.
    Source(
        f"""
        SELECT e.id, e.kind, e.cause_id, e.reference_kind, e.reference_id, c.id AS found, c.about_kind, c.about
        FROM entries e
        LEFT JOIN (
            SELECT id, 'REDEMPTION_RETURNED' AS kind, 'REDEMPTION' AS about_kind, redemption_id AS about
            FROM redemption_returns WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'OPENING', 'OPENING_BALANCE', id FROM opening_balances
            WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'MERGED', 'CUSTOMER_MERGE', id FROM customer_merges
            WHERE tenant_id = :current_tenant
        ) c ON c.id = e.cause_id AND c.kind = e.kind
        WHERE e.tenant_id = :current_tenant
          AND e.kind NOT IN ({_JOINED_ELSEWHERE})
        """,  # noqa: S608 - made of constants
        {
            "every entry has a cause": Broken("found IS NULL", "id, kind, cause_id"),
            "every entry leads to what it is about": Broken(
                "(reference_kind, reference_id) <> (about_kind, about)",
                "id, kind, reference_kind, reference_id, about",
            ),
        },
    ),
    # Every accrual that waits or of which something was told before it was credited, with what was told.
    Source(
        """
        SELECT a.id, a.state, a.points, a.voided_points, a.first_credit, coalesce(v.pending, 0) AS pending,
               coalesce(v.voided, 0) AS voided, coalesce(v.promised, 0) AS promised, coalesce(v.broken, 0) AS broken
        FROM (
            SELECT coalesce(w.id, v.accrual_id) AS accrual_id, v.pending, v.voided, v.promised, v.broken
            FROM (SELECT id FROM accruals WHERE tenant_id = :current_tenant AND state = 'PENDING') w
            FULL JOIN (
                SELECT accrual_id,
                       count(*) FILTER (WHERE kind = 'points.pending') AS pending,
                       count(*) FILTER (WHERE kind = 'points.voided') AS voided,
                       sum(points) FILTER (WHERE kind = 'points.pending') AS promised,
                       sum(points) FILTER (WHERE kind = 'points.voided') AS broken
                FROM (SELECT kind, (payload->>'accrual_id')::uuid AS accrual_id, (payload->>'points')::bigint AS points
                      FROM events
                      WHERE tenant_id = :current_tenant AND entry_id IS NULL
                        AND kind IN ('points.pending', 'points.voided')) told
                GROUP BY accrual_id
            ) v ON v.accrual_id = w.id
            ORDER BY 1 -- so that what is looked up lies side by side
        ) v
        LEFT JOIN LATERAL (SELECT id, state, points, voided_points, coalesce(
                               (SELECT e.points FROM entries e WHERE e.tenant_id = :current_tenant
                                  AND e.cause_id = v.accrual_id AND e.phase = 'EARN'), 0) AS first_credit
                           FROM accruals
                           WHERE tenant_id = :current_tenant AND id = v.accrual_id OFFSET 0) a ON true
        """,
        {
            "a promise is told once, and what is broken of it": Broken(
                # A new valuation promises more, or takes of the promise; what was left of it is what was credited.
                "id IS NULL OR broken > promised OR promised - broken <> CASE state WHEN 'PENDING' THEN"
                " points - voided_points WHEN 'VOIDED' THEN 0 ELSE first_credit END"
                " OR (state = 'PENDING' AND points > 0 AND pending = 0) OR (pending = 0 AND voided > 0)",
                "id, state, points, voided_points, promised, broken, first_credit",
            ),
        },
    ),
    # Every account with the sums of what it stands for.
    Source(
        f"""
        SELECT a.*, a.available + a.held - a.debt AS balance, coalesce(e.points, 0) AS entered,
               coalesce(l.remaining, 0) AS remaining, coalesce(l.held, 0) AS held_in_lots,
               coalesce(l.points, 0) - coalesce(e.unexpired, 0) AS owed,
               coalesce(p.points, 0) AS waiting,
               coalesce(e.earned, 0) + coalesce(m.lifetime_earned, 0) AS lifetime_due,
               coalesce(e.earned, 0) + coalesce(d.points, 0) + coalesce(m.qualifying, 0) AS qualifying_due
        FROM accounts a
        LEFT JOIN (SELECT customer_id, sum(points) AS points,
                          sum(points) FILTER (WHERE kind <> 'EXPIRED') AS unexpired,
                          sum(points) FILTER (WHERE kind IN ({quote(LIFETIME_EARNED)})) AS earned
                   FROM entries WHERE tenant_id = :current_tenant GROUP BY customer_id) e USING (customer_id)
        LEFT JOIN (SELECT customer_id, sum(remaining) FILTER (WHERE state = 'OPEN') AS remaining,
                          sum(held) FILTER (WHERE state = 'OPEN') AS held, sum(remaining + held + expired) AS points
                   FROM lots WHERE tenant_id = :current_tenant GROUP BY customer_id) l USING (customer_id)
        LEFT JOIN (SELECT customer_id, sum(points - voided_points) AS points FROM accruals
                   WHERE tenant_id = :current_tenant AND state = 'PENDING' GROUP BY customer_id) p USING (customer_id)
        LEFT JOIN (SELECT customer_id, sum(points) AS points FROM adjustments
                   WHERE tenant_id = :current_tenant AND qualifying GROUP BY customer_id) d USING (customer_id)
        LEFT JOIN (SELECT customer_id, sum(lifetime_earned) AS lifetime_earned, sum(qualifying) AS qualifying
                   FROM (
                       SELECT customer_id, lifetime_earned, qualifying FROM opening_balances
                       WHERE tenant_id = :current_tenant
                       UNION ALL SELECT target_id, lifetime_earned, qualifying FROM customer_merges
                       WHERE tenant_id = :current_tenant
                       UNION ALL SELECT source_id, -lifetime_earned, -qualifying FROM customer_merges
                       WHERE tenant_id = :current_tenant
                   ) moved GROUP BY customer_id) m USING (customer_id)
        WHERE a.tenant_id = :current_tenant
        """,  # noqa: S608 - made of constants
        {
            "an account is the sum of its entries": Broken("balance <> entered", "customer_id, balance, entered"),
            "an account is the sum of its open lots": Broken(
                "available <> remaining OR held <> held_in_lots",
                "customer_id, available, held, remaining, held_in_lots",
            ),
            "debt is what debits took beyond the lots, less what credits paid of it": Broken(
                "debt <> owed", "customer_id, debt, owed"
            ),
            "lifetime points are what purchases earned, what came from elsewhere, and what merges moved": Broken(
                "lifetime_earned <> lifetime_due", "customer_id, lifetime_earned, lifetime_due"
            ),
            "qualifying points are what was earned, adjusted, brought along and merged, as far as it qualifies": Broken(
                "qualifying <> qualifying_due", "customer_id, qualifying, qualifying_due"
            ),
            "points are pending exactly where an accrual waits for its time": Broken(
                "pending <> waiting", "customer_id, pending, waiting"
            ),
        },
    ),
    # Every lot with what was taken from it.
    Source(
        """
        SELECT l.*, CASE WHEN l.last_taken_at >= l.expires_at THEN EXISTS (
                   -- It may be late, unless it was set aside in time.
                   SELECT FROM allocations x
                   WHERE x.tenant_id = :current_tenant AND x.lot_id = l.id AND x.points > 0
                     AND x.taken_at >= l.expires_at AND coalesce(
                         (SELECT created_at FROM holds
                          WHERE tenant_id = :current_tenant AND id = CASE WHEN x.settled_by <> x.entry_id
                              THEN x.settled_by ELSE
                              (SELECT hold_id FROM redemptions WHERE tenant_id = :current_tenant AND id =
                                  (SELECT cause_id FROM entries WHERE tenant_id = :current_tenant AND id = x.entry_id))
                              END),
                         x.taken_at) >= l.expires_at
               ) END AS is_late,
               e.cause_id, coalesce(e.points, 0) AS entered, e.is_about_it, e.first_expired_at,
               coalesce(n.notices, 0) AS notices,
               CASE WHEN l.expires_at <> l.opened_expires_at THEN NOT EXISTS (
                   -- The day of the activity that put it off, or of the return that gave it days of grace.
                   SELECT FROM entries x
                   WHERE x.tenant_id = :current_tenant AND x.kind IN ('EARNED', 'REDEEMED') AND x.customer_id IN (
                         SELECT l.customer_id
                         UNION ALL SELECT id FROM customers
                         WHERE tenant_id = :current_tenant AND merged_into = l.customer_id)
                     AND x.occurred_at BETWEEN l.expires_at - make_interval(days => l.inactivity_days + 3)
                                           AND l.expires_at - make_interval(days => l.inactivity_days - 1)
                     AND (x.occurred_at AT TIME ZONE l.time_zone)::date = l.last_day - l.inactivity_days
                   UNION ALL
                   SELECT FROM allocations x, program_versions v
                   WHERE x.tenant_id = :current_tenant AND x.lot_id = l.id AND x.points < 0
                     AND v.tenant_id = :current_tenant AND (x.taken_at AT TIME ZONE l.time_zone)::date = l.last_day
                         - coalesce((v.settings->'redemption'->>'restore_grace_days')::integer, 14)
               ) END AS is_put_off_by_nothing,
               CASE WHEN l.inactivity_days > 0 AND l.state = 'OPEN' AND l.came_back IS NOT TRUE THEN EXISTS (
                   SELECT FROM entries x
                   WHERE x.tenant_id = :current_tenant AND x.kind IN ('EARNED', 'REDEEMED')
                     AND x.customer_id = l.customer_id AND x.occurred_at < l.expires_at
                     AND x.occurred_at > (SELECT occurred_at FROM entries
                                          WHERE tenant_id = :current_tenant AND id = l.entry_id)
                     AND (x.occurred_at AT TIME ZONE l.time_zone)::date > l.last_day - l.inactivity_days
               ) END AS is_not_put_off
        FROM (
            SELECT l.id, l.state, l.original, l.remaining, l.held, l.expired, l.expires_at, l.notice_at,
                   l.opened_expires_at, l.customer_id, l.entry_id, o.time_zone,
                   (l.expires_at AT TIME ZONE o.time_zone)::date - 1 AS last_day,
                   l.inactivity_days, coalesce(sum(t.points), 0) AS allocated,
                   bool_or(t.customer_id <> l.customer_id) AS is_anothers, bool_or(t.points < 0) AS came_back,
                   max(t.taken_at) FILTER (WHERE t.points > 0) AS last_taken_at
            FROM lots l
            JOIN tenants o ON o.tenant_id = :current_tenant
            LEFT JOIN allocations t ON t.tenant_id = l.tenant_id AND t.lot_id = l.id
                 AND t.lot_id BETWEEN :first_id AND :last_id
            WHERE l.tenant_id = :current_tenant AND l.id BETWEEN :first_id AND :last_id
            GROUP BY l.tenant_id, l.id, o.time_zone
        ) l
        LEFT JOIN (SELECT lot_id, count(*) AS notices FROM expiry_notices
                   WHERE tenant_id = :current_tenant AND lot_id BETWEEN :first_id AND :last_id
                   GROUP BY lot_id) n ON n.lot_id = l.id
        FULL JOIN (SELECT cause_id, -sum(points) AS points, min(occurred_at) AS first_expired_at,
                          bool_and(reference_kind = 'LOT' AND reference_id = cause_id) AS is_about_it
                   FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id
                     AND phase BETWEEN 'EXPIRE-' AND 'EXPIRE-~'
                   GROUP BY cause_id) e ON e.cause_id = l.id
        """,
        {
            "a lot's points are allocated, remaining, held or expired": Broken(
                "original <> allocated + remaining + held + expired",
                "id, original, allocated, remaining, held, expired",
            ),
            "points are taken from a lot only for whom it belongs to": Broken("is_anothers", "id, original, allocated"),
            "nothing is taken from a lot once its time is over": Broken("is_late", "id, expires_at, last_taken_at"),
            "a lot is open exactly while something is left in it": Broken(
                "(state = 'OPEN') <> (remaining + held > 0)", "id, state, remaining, held"
            ),
            "what expired of a lot stands in the ledger": Broken("expired <> entered", "id, expired, entered"),
            # What came back after its time may have got some days more.
            "points expire when their time is over, and not before": Broken(
                "first_expired_at IS NOT NULL"
                " AND (expires_at IS NULL OR (first_expired_at < expires_at AND came_back IS NOT TRUE))",
                "id, expires_at, first_expired_at",
            ),
            "only a lot that expires is told of, and lives on by activity": Broken(
                "expires_at IS NULL AND (notices > 0 OR notice_at IS NOT NULL OR inactivity_days IS NOT NULL)",
                "id, expires_at, notices, notice_at, inactivity_days",
            ),
            "a lot expires as it was opened to, unless activity or a return has put that off": Broken(
                "(expires_at IS NULL) <> (opened_expires_at IS NULL) OR expires_at < opened_expires_at"
                " OR is_put_off_by_nothing OR is_not_put_off",
                "id, opened_expires_at, expires_at, inactivity_days",
            ),
            "every entry has a cause": Broken("id IS NULL", "cause_id, entered"),
            "every entry leads to what it is about": Broken("NOT is_about_it", "id, cause_id"),
        },
    ),
    # Every hold with what it set aside, and what it became.
    Source(
        """
        SELECT h.*, r.points AS redeemed, r.customer_id AS redeemed_for
        FROM (
            SELECT h.id, h.state, h.points, h.captured_points, h.lowered_points, h.customer_id,
                   coalesce(sum(t.points), 0) AS set_aside, coalesce(sum(t.lowered_points), 0) AS lowered,
                   bool_or(t.customer_id <> h.customer_id) AS is_for_others
            FROM holds h
            LEFT JOIN hold_lots t ON t.tenant_id = h.tenant_id AND t.hold_id = h.id
                 AND t.hold_id BETWEEN :first_id AND :last_id
            WHERE h.tenant_id = :current_tenant AND h.id BETWEEN :first_id AND :last_id
            GROUP BY h.tenant_id, h.id
        ) h
        LEFT JOIN redemptions r ON r.tenant_id = :current_tenant AND r.hold_id = h.id
             AND r.hold_id BETWEEN :first_id AND :last_id
        """,
        {
            "a hold sets aside what it says, for its own customer": Broken(
                "points <> set_aside OR lowered_points <> lowered OR is_for_others"
                " OR captured_points > points - lowered_points",
                "id, points, set_aside, lowered_points, lowered, customer_id",
            ),
            "a hold that was captured is one redemption of what was captured, and no other hold is": Broken(
                "coalesce(redeemed, 0) <> captured_points OR redeemed_for <> customer_id",
                "id, state, captured_points, redeemed",
            ),
        },
    ),
    # Every lot with held points, with the active holds on it.
    Source(
        """
        SELECT coalesce(l.id, h.lot_id) AS id, coalesce(l.held, 0) AS held, coalesce(h.points, 0) AS in_holds,
               l.customer_id, h.customer_id AS held_for
        FROM (SELECT id, customer_id, held FROM lots WHERE tenant_id = :current_tenant AND held > 0) l
        FULL JOIN (SELECT t.lot_id, t.customer_id, sum(t.points - t.lowered_points) AS points
                   FROM hold_lots t
                   JOIN holds h ON h.tenant_id = t.tenant_id AND h.id = t.hold_id
                   WHERE t.tenant_id = :current_tenant AND h.tenant_id = :current_tenant AND h.state = 'ACTIVE'
                   GROUP BY t.lot_id, t.customer_id) h ON h.lot_id = l.id
        """,
        {
            "points are held in a lot exactly by active holds of whom it belongs to": Broken(
                "held <> in_holds OR customer_id <> held_for", "id, held, in_holds, customer_id, held_for"
            ),
        },
    ),
    # Every redemption with its entry and its returns.
    Source(
        """
        SELECT r.id, r.points, r.returned_points, r.discount_minor, coalesce(b.points, 0) AS returned,
               coalesce(b.discount_minor, 0) AS given_back, coalesce(b.entries, 0) AS return_entries,
               coalesce(b.returns, 0) AS returns, e.cause_id, e.entries, e.points AS entered, e.is_about_it,
               e.entries = 1 AND e.points = -r.points AND e.customer_id = r.customer_id AS agrees
        FROM (SELECT * FROM redemptions WHERE tenant_id = :current_tenant AND id BETWEEN :first_id AND :last_id) r
        FULL JOIN (SELECT cause_id, customer_id, count(*) AS entries, sum(points) AS points,
                          bool_and(reference_kind = 'REDEMPTION' AND reference_id = cause_id) AS is_about_it
                   FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id AND phase = 'REDEEM'
                   GROUP BY cause_id, customer_id) e ON e.cause_id = r.id
        LEFT JOIN (SELECT t.redemption_id, sum(t.points) AS points, sum(t.discount_minor) AS discount_minor,
                          count(*) AS returns, sum(
                              (SELECT count(*) FROM entries e
                               WHERE e.tenant_id = :current_tenant AND e.cause_id = t.id
                                 AND e.kind = 'REDEMPTION_RETURNED' AND e.points = t.points
                                 AND e.customer_id = t.customer_id)
                          ) AS entries
                   FROM redemption_returns t
                   WHERE t.tenant_id = :current_tenant AND t.redemption_id BETWEEN :first_id AND :last_id
                   GROUP BY t.redemption_id) b ON b.redemption_id = r.id
        """,
        {
            "a redemption has one entry, for the same customer and the same points": Broken(
                "id IS NOT NULL AND agrees IS NOT TRUE", "id, points, entries, entered"
            ),
            "every entry has a cause": Broken("id IS NULL", "cause_id, entered"),
            "every entry leads to what it is about": Broken("NOT is_about_it", "id, cause_id"),
            "what came back of a redemption stands in the ledger, and is no more than was spent": Broken(
                "returned_points <> returned OR returns <> return_entries OR given_back > discount_minor"
                " OR (returned_points = points AND given_back <> discount_minor)",
                "id, points, returned_points, returned, discount_minor, given_back",
            ),
        },
    ),
    # Every purchase with its facts and its refunds, once for each of its accruals.
    Source(
        """
        SELECT p.*, coalesce(r.amount_minor, 0) AS refunded, coalesce(r.refunds, 0) AS refunds,
               coalesce(r.last, 0) AS last_refund,
               a.id AS accrual_id, a.customer_id AS earner, a.generation AS accrual_generation, a.state
        FROM (
            SELECT p.id, p.customer_id, p.generation, p.version, p.status, p.refunded_minor,
                   count(f.version) AS facts, max(f.version) AS last_fact,
                   bool_or(f.version = p.version AND f.status = p.status) AS agrees
            FROM purchases p
            LEFT JOIN purchase_facts f ON f.tenant_id = p.tenant_id AND f.purchase_id = p.id
                 AND f.purchase_id BETWEEN :first_id AND :last_id
            WHERE p.tenant_id = :current_tenant AND p.id BETWEEN :first_id AND :last_id
            GROUP BY p.tenant_id, p.id
        ) p
        LEFT JOIN (SELECT purchase_id, sum(amount_minor) AS amount_minor, count(*) AS refunds, max(number) AS last
                   FROM purchase_refunds
                   WHERE tenant_id = :current_tenant AND purchase_id BETWEEN :first_id AND :last_id
                   GROUP BY purchase_id) r ON r.purchase_id = p.id
        LEFT JOIN (SELECT id, purchase_id, customer_id, generation, state FROM accruals
                   WHERE tenant_id = :current_tenant AND purchase_id BETWEEN :first_id AND :last_id) a
            ON a.purchase_id = p.id
        """,
        {
            "an accrual belongs to whom the purchase belongs": Broken(
                "accrual_generation = generation AND earner <> customer_id", "accrual_id, earner, customer_id"
            ),
            "a purchase earns anew only when it has lost what it earned": Broken(
                "accrual_generation > generation"
                " OR (accrual_generation < generation AND state NOT IN ('VOIDED', 'REVERSED'))",
                "accrual_id, id, accrual_generation, state",
            ),
            "a purchase is what its last fact said, and no fact is missing": Broken(
                "facts <> version OR last_fact IS DISTINCT FROM version OR agrees IS NOT TRUE",
                "id, version, status, facts",
            ),
            "what was refunded of a purchase is the sum of its refunds": Broken(
                "refunded_minor <> refunded OR refunds <> last_refund", "id, refunded_minor, refunded, refunds"
            ),
        },
    ),
    # Every adjustment with its entry.
    Source(
        """
        SELECT d.id, d.points, e.cause_id, e.entries, e.points AS entered, e.is_about_it,
               e.entries = 1 AND e.points = d.points AND e.customer_id = d.customer_id AS agrees
        FROM (SELECT * FROM adjustments WHERE tenant_id = :current_tenant AND id BETWEEN :first_id AND :last_id) d
        FULL JOIN (SELECT cause_id, customer_id, count(*) AS entries, sum(points) AS points,
                          bool_and(reference_kind = 'ADJUSTMENT' AND reference_id = cause_id) AS is_about_it
                   FROM entries
                   WHERE tenant_id = :current_tenant AND cause_id BETWEEN :first_id AND :last_id AND phase = 'ADJUST'
                   GROUP BY cause_id, customer_id) e ON e.cause_id = d.id
        """,
        {
            "an adjustment has one entry, for the same customer and the same points": Broken(
                "id IS NOT NULL AND agrees IS NOT TRUE", "id, points, entries, entered"
            ),
            "every entry has a cause": Broken("id IS NULL", "cause_id, entered"),
            "every entry leads to what it is about": Broken("NOT is_about_it", "id, cause_id"),
        },
    ),
)

_NO_JOB = """NOT EXISTS (SELECT FROM jobs j WHERE j.tenant_id = :current_tenant
                          AND j.state IN ('WAITING', 'RUNNING'))"""

_POLICY = """
    SELECT t.time_zone, coalesce(p.settings->'tiering'->>'basis', 'LIFETIME_EARNED') AS basis,
           p.settings->'tiering'->>'window' AS window_name, p.settings->'tiering'->>'downgrade' AS downgrade,
           (p.settings->'tiering'->>'grace_days')::integer AS grace_days,
           CASE p.settings->'tiering'->>'window' WHEN 'MONTH' THEN interval '1 month'
               WHEN 'QUARTER' THEN interval '3 months' ELSE interval '1 year' END AS length
    FROM programs p JOIN tenants t ON t.tenant_id = p.tenant_id WHERE p.tenant_id = :current_tenant
"""

_TIERING = "CASE p.basis WHEN 'EARNED_IN_WINDOW' THEN p.basis || ' ' || p.window_name ELSE p.basis END"

_MADE_ONCE = " UNION ALL ".join(
    f"SELECT id, '{operation}' AS operation FROM {table} WHERE tenant_id = :current_tenant"  # noqa: S608 - as above
    for operation, table in {
        "pointsAdjust": "adjustments",
        "redemptionHold": "holds",
        "redemptionCapture": "redemptions",
        "redemptionReturn": "redemption_returns",
        "purchaseRefund": "purchase_refunds",
        "customerMerge": "customer_merges",
    }.items()
)
"""What operations with a key make anew each time."""

_MADE_BEFORE = " ".join(
    f"WHEN '{operation}' THEN EXISTS (SELECT FROM {table} WHERE tenant_id = :current_tenant AND {id_} = k.result_id)"
    for operation, table, id_ in (
        ("redemptionRelease", "holds", "id"),
        ("sandboxClockAdvance", "tenants", "tenant_id"),
        ("customerTierSet", "accounts", "customer_id"),
        ("purchaseMature", "accruals", "id"),
    )
)
"""What the others change, which was there before them."""

QUESTIONS: Mapping[str, str] = {
    # The worker is a second behind, and a day when something is wrong with it; measured by the ledger's own time.
    "nothing is left of points a day after their time": """
        SELECT l.id, l.customer_id, l.remaining, l.due_at FROM lots l
        WHERE l.tenant_id = :current_tenant AND l.due_at < (
            SELECT max(e.occurred_at) FROM entries e WHERE e.tenant_id = :current_tenant) - interval '1 day'
    """,
    "a notice is told once, of the lot and the date that it names": """
        SELECT n.lot_id, n.days_before, v.lot_id AS named, v.told
        FROM (SELECT n.lot_id, n.expires_at, n.days_before, n.told_at, l.customer_id
              FROM expiry_notices n JOIN lots l ON l.tenant_id = n.tenant_id AND l.id = n.lot_id
              WHERE n.tenant_id = :current_tenant) n
        FULL JOIN (SELECT customer_id, occurred_at, payload->>'lot_id' AS lot_id, count(*) AS told,
                          (payload->>'expires_at')::timestamptz AS expires_at,
                          (payload->>'days_before')::integer AS days_before
                   FROM events
                   WHERE tenant_id = :current_tenant AND entry_id IS NULL AND kind = 'points.expiring'
                   GROUP BY 1, 2, 3, 5, 6) v
            ON (v.lot_id, v.expires_at, v.days_before) = (n.lot_id::text, n.expires_at, n.days_before)
        WHERE n.lot_id IS NULL OR v.told IS DISTINCT FROM 1
           OR (v.customer_id, v.occurred_at) <> (n.customer_id, n.told_at)
    """,
    "who has become another customer has left nothing behind": """
        SELECT a.customer_id, c.merged_into, a.available, a.pending, a.held, a.debt, a.qualifying
        FROM customers c
        JOIN accounts a ON a.tenant_id = c.tenant_id AND a.customer_id = c.id
        LEFT JOIN customers t ON t.tenant_id = c.tenant_id AND t.id = c.merged_into
        WHERE c.tenant_id = :current_tenant AND (a.closed OR c.merged_into IS NOT NULL)
          AND (NOT a.closed OR c.merged_into IS NULL OR t.merged_into IS NOT NULL OR a.tier_id IS NOT NULL
               OR (a.available, a.pending, a.held, a.debt, a.lifetime_earned, a.qualifying) <> (0, 0, 0, 0, 0, 0)
               OR EXISTS (SELECT FROM lots l WHERE l.tenant_id = c.tenant_id AND l.customer_id = c.id
                          AND l.state = 'OPEN')
               OR EXISTS (SELECT FROM purchases p WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id)
               OR NOT EXISTS (SELECT FROM customer_merges m WHERE m.tenant_id = c.tenant_id AND m.source_id = c.id))
    """,
    "lots that a merge moved keep their age, their expiry and what they came from": """
        WITH left_behind AS (
            SELECT m.id, t.points, l.opened_at, l.cause_id, l.expires_at
            FROM customer_merges m
            JOIN entries e ON e.tenant_id = m.tenant_id AND e.cause_id = m.id AND e.customer_id = m.source_id
            JOIN allocations t ON t.tenant_id = e.tenant_id AND t.entry_id = e.id
            JOIN lots l ON l.tenant_id = t.tenant_id AND l.id = t.lot_id
            WHERE m.tenant_id = :current_tenant AND m.points > 0
        ), taken_over AS (
            SELECT m.id, l.original, l.opened_at, l.cause_id, l.opened_expires_at
            FROM customer_merges m
            JOIN entries e ON e.tenant_id = m.tenant_id AND e.cause_id = m.id AND e.customer_id = m.target_id
            JOIN lots l ON l.tenant_id = e.tenant_id AND l.entry_id = e.id
            WHERE m.tenant_id = :current_tenant AND m.points > 0
        )
        (TABLE left_behind EXCEPT ALL TABLE taken_over) UNION ALL (TABLE taken_over EXCEPT ALL TABLE left_behind)
    """,
    "what a merge or an opening balance moved stands in the ledger": """
        SELECT m.id, m.points, m.customer_id, count(e.id) AS entries
        FROM (
            SELECT id, -points AS points, source_id AS customer_id, 'MERGED' AS kind, 'CUSTOMER_MERGE' AS reference
            FROM customer_merges WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, points, target_id, 'MERGED', 'CUSTOMER_MERGE' FROM customer_merges
            WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, points, customer_id, 'OPENING', 'OPENING_BALANCE' FROM opening_balances
            WHERE tenant_id = :current_tenant
        ) m
        LEFT JOIN entries e ON e.tenant_id = :current_tenant AND e.cause_id = m.id AND e.kind = m.kind
             AND e.points = m.points AND e.customer_id = m.customer_id
             AND e.reference_kind = m.reference AND e.reference_id = m.id
        GROUP BY m.id, m.points, m.customer_id HAVING count(e.id) <> (m.points <> 0)::int
    """,
    "every customer has an account": """
        SELECT c.id FROM customers c
        WHERE c.tenant_id = :current_tenant
          AND NOT EXISTS (SELECT FROM accounts a WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id)
    """,
    # While a job is still re-tiering, customers may stand where the former tiers or settings put them.
    "a customer stands in the highest tier that the standing reaches, unless it was set by hand": f"""
        SELECT a.customer_id, a.standing, a.tier_id, due.id AS due
        FROM accounts a
        LEFT JOIN LATERAL (
            SELECT t.id FROM tiers t
            WHERE t.tenant_id = a.tenant_id AND t.deleted_at IS NULL AND t.min_points <= a.standing
            ORDER BY t.min_points DESC LIMIT 1) due ON true
        WHERE a.tenant_id = :current_tenant AND NOT a.closed AND NOT a.tier_locked AND a.tier_id IS DISTINCT FROM due.id
          AND {_NO_JOB}
    """,  # noqa: S608 - made of constants
    # A day after the review at the latest nothing but what is reached holds a tier; before, it may only be higher.
    "a standing is what the program counts, or what it lets a customer keep": f"""
        SELECT customer_id, standing, standing_by, reached, reviewed FROM (
            SELECT a.customer_id, a.standing, a.standing_by, a.closed, a.sequence, {_TIERING} AS measure,
                   CASE p.basis
                       WHEN 'EARNED_IN_WINDOW' THEN greatest(
                           a.window_points, a.previous_window_points + least(0, a.window_points))
                       WHEN 'BALANCE' THEN a.available + a.held - a.debt
                       ELSE a.qualifying END AS reached,
                   p.basis = 'LIFETIME_EARNED' OR (
                       p.basis = 'EARNED_IN_WINDOW' AND p.downgrade = 'AT_WINDOW_END'
                       AND a.updated_at >= ((a.window_started_at AT TIME ZONE p.time_zone)::date + p.grace_days + 1)
                           ::timestamp AT TIME ZONE p.time_zone) AS reviewed
            FROM accounts a, ({_POLICY}) p
            WHERE a.tenant_id = :current_tenant AND {_NO_JOB}
        ) a
        WHERE CASE WHEN closed THEN standing <> 0
                   WHEN standing_by <> measure THEN sequence > 0 OR standing <> 0
                   WHEN reviewed THEN standing <> reached
                   ELSE standing < reached END
    """,  # noqa: S608 - made of constants
    # What was taken back counts in the window it had been earned in; who has become another counts there.
    "window points are what qualified since the window began, and in the one before": f"""
        WITH windows AS (
            SELECT a.customer_id, a.window_started_at, a.window_points, a.previous_window_points,
                   ((a.window_started_at AT TIME ZONE p.time_zone)::date - p.length)::timestamp
                       AT TIME ZONE p.time_zone AS before
            FROM accounts a, ({_POLICY}) p
            WHERE a.tenant_id = :current_tenant AND NOT a.closed AND a.window_started_at IS NOT NULL AND {_NO_JOB}
        ), qualified AS (
            SELECT e.customer_id, e.points, coalesce(o.occurred_at, e.occurred_at) AS at
            FROM entries e
            LEFT JOIN adjustments d ON d.tenant_id = :current_tenant AND d.id = e.cause_id AND e.kind = 'ADJUSTED'
            LEFT JOIN entries o ON o.tenant_id = :current_tenant AND o.cause_id = e.cause_id
                 AND o.phase = 'EARN' AND e.kind = 'EARN_REVERSED'
            WHERE e.tenant_id = :current_tenant AND e.occurred_at >= (SELECT min(before) FROM windows)
              AND e.kind IN ({quote(QUALIFYING)}) AND (e.kind <> 'ADJUSTED' OR d.qualifying)
            UNION ALL
            SELECT customer_id, qualifying, imported_at FROM opening_balances WHERE tenant_id = :current_tenant
        )
        SELECT w.customer_id, w.window_points, w.previous_window_points, due.points, due.previous
        FROM windows w
        LEFT JOIN (
            SELECT w.customer_id, sum(q.points) FILTER (WHERE q.at >= w.window_started_at) AS points,
                   sum(q.points) FILTER (WHERE q.at < w.window_started_at) AS previous
            FROM qualified q
            JOIN customers c ON c.tenant_id = :current_tenant AND c.id = q.customer_id
            JOIN windows w ON w.customer_id = coalesce(c.merged_into, c.id) AND q.at >= w.before
            GROUP BY w.customer_id) due USING (customer_id)
        WHERE (w.window_points, w.previous_window_points) <> (coalesce(due.points, 0), coalesce(due.previous, 0))
    """,  # noqa: S608 - made of constants
    "tier changes follow one another, and the last one leads to the account's tier": """
        SELECT * FROM (
            SELECT c.id, c.to_tier_id, a.tier_id, c.from_tier_id,
                   lag(c.to_tier_id) OVER earlier AS before,
                   row_number() OVER earlier > 1 AS follows,
                   lead(c.id) OVER earlier IS NULL AS is_last
            FROM tier_changes c JOIN accounts a ON a.tenant_id = c.tenant_id AND a.customer_id = c.customer_id
            WHERE c.tenant_id = :current_tenant AND a.sequence > 0
            WINDOW earlier AS (PARTITION BY c.customer_id ORDER BY c.id)
        ) c
        WHERE (follows AND from_tier_id IS DISTINCT FROM before) OR (is_last AND to_tier_id IS DISTINCT FROM tier_id)
    """,
    "every tier change is told once, and no other": """
        WITH changed AS (
            SELECT customer_id, from_tier_id::text AS previous, to_tier_id::text AS current, qualifying,
                   CASE WHEN upgraded AND to_tier_id IS NOT NULL THEN 'tier.upgraded' ELSE 'tier.downgraded' END AS kind
            FROM tier_changes
            -- Somebody may have set by hand what was so already.
            WHERE tenant_id = :current_tenant AND (cause <> 'MANUAL' OR from_tier_id IS DISTINCT FROM to_tier_id)
        ), told AS (
            SELECT customer_id, payload->>'previous_tier_id', payload->>'tier_id',
                   (payload->>'qualifying_points')::bigint, kind
            FROM events
            WHERE tenant_id = :current_tenant AND entry_id IS NULL AND kind IN ('tier.upgraded', 'tier.downgraded')
        )
        (TABLE changed EXCEPT ALL TABLE told) UNION ALL (TABLE told EXCEPT ALL TABLE changed)
    """,
    # By the minima that were in force then; changes from before they were kept are not compared.
    "an upgrade leads up, a downgrade down": """
        SELECT c.id, c.upgraded, c.from_min_points, c.to_min_points
        FROM tier_changes c
        WHERE c.tenant_id = :current_tenant AND c.cause <> 'PROGRAM_CHANGE'
          AND c.from_tier_id IS DISTINCT FROM c.to_tier_id
          AND (c.from_tier_id IS NULL) = (c.from_min_points IS NULL)
          AND (c.to_tier_id IS NULL) = (c.to_min_points IS NULL)
          AND c.upgraded <> (coalesce(c.to_min_points, -1) > coalesce(c.from_min_points, -1))
    """,
    "every former valuation of an accrual is kept": """
        SELECT a.id, a.valuation, count(v.number) AS kept
        FROM (SELECT id, valuation FROM accruals WHERE tenant_id = :current_tenant AND valuation > 1) a
        FULL JOIN (SELECT accrual_id, number FROM former_valuations WHERE tenant_id = :current_tenant) v
            ON v.accrual_id = a.id AND v.number < a.valuation
        GROUP BY a.id, a.valuation, (a.id IS NULL) HAVING a.id IS NULL OR count(v.number) <> a.valuation - 1
    """,
    "an idempotency key leads to what it made": f"""
        SELECT k.key, k.operation
        FROM (SELECT key, operation, result_id FROM idempotency_keys WHERE tenant_id = :current_tenant) k
        LEFT JOIN ({_MADE_ONCE}) m ON m.id = k.result_id
        WHERE NOT CASE WHEN m.operation = k.operation THEN true ELSE CASE k.operation {_MADE_BEFORE} ELSE false END END
    """,  # noqa: S608 - made of constants
}
"""Asked once of the whole tenant: each finds rows that break it."""


_ASKED_ONCE = {**QUESTIONS, **MORE_QUESTIONS}
_SLICED = tuple(
    Source(rows, {name: Broken(*broken) for name, broken in invariants.items()})
    for rows, invariants in SLICED_QUESTIONS.items()
)
_WHOLE = tuple(Source(question, {name: Broken("true", "*")}) for name, question in _ASKED_ONCE.items())
_SOURCES = (*SOURCES, *_SLICED, *_WHOLE)

INVARIANTS: Sequence[str] = tuple(dict.fromkeys(name for source in _SOURCES for name in source.invariants))
"""What must be so, in English."""


class Difference(NamedTuple):
    """An invariant that does not hold: in how many rows, and some of them."""

    invariant: str
    rows: int
    examples: list[dict[str, Any]]

    def __str__(self) -> str:
        """One line for people."""
        shown = "; ".join(str(example) for example in self.examples)
        return f"Not so in {self.rows} rows: {self.invariant}: {shown}"


class Slice(NamedTuple):
    """Ids from the first to the last, both included."""

    first: UUID
    last: UUID


EVERYTHING = Slice(UUID(int=0), UUID(int=2**128 - 1))


class Slices(NamedTuple):
    """How a tenant's rows are cut."""

    customer: Sequence[Slice] = (EVERYTHING,)
    id: Sequence[Slice] = (EVERYTHING,)


class Pass(NamedTuple):
    """A source to be asked, for one of its slices."""

    source: Source
    slice: Slice


WHOLE_PASSES = [Pass(source, EVERYTHING) for source in _SOURCES if source.sliced_by is None]
"""What is asked of the whole ledger at once; together with its sliced passes that proves a ledger, in any order."""


def list_sliced_passes(slices: Slices) -> list[Pass]:
    """What is asked of each slice; by all its sources in turn, while its rows are still in memory."""
    sources = {by: [source for source in _SOURCES if source.sliced_by == by] for by in Slices._fields}
    return [Pass(source, one) for by in Slices._fields for one in getattr(slices, by) for source in sources[by]]


async def ask(tx: Transaction, asked: Pass) -> list[Difference]:
    """Ask one pass for its invariants, inside one tenant."""
    source, by = asked.source, asked.source.sliced_by
    bounds = {f"first_{by}": asked.slice.first, f"last_{by}": asked.slice.last} if by else {}
    (counts,) = await tx.rows(_counting(source), **bounds)
    differences = []
    for (invariant, broken), rows in zip(source.invariants.items(), counts, strict=True):
        if rows:
            found = await tx.rows(_finding(source, broken), **bounds)
            examples = [dict(row._mapping) for row in found]  # noqa: SLF001 - SQLAlchemy's API
            differences.append(Difference(invariant, rows, examples))
    return differences


async def find_differences(tx: Transaction) -> list[Difference]:
    """Ask for every invariant, one pass after another; the transaction must see one moment."""
    passes = (*WHOLE_PASSES, *list_sliced_passes(Slices()))
    return merge_differences([difference for asked in passes for difference in await ask(tx, asked)])


def merge_differences(found: Iterable[Difference]) -> list[Difference]:
    """One difference for each invariant, in the order of INVARIANTS, from what several passes found."""
    merged: dict[str, Difference] = {}
    for one in found:
        known = merged.get(one.invariant, Difference(one.invariant, 0, []))
        examples = [*known.examples, *one.examples][:MAX_EXAMPLES]
        merged[one.invariant] = Difference(one.invariant, known.rows + one.rows, examples)
    return sorted(merged.values(), key=lambda it: INVARIANTS.index(it.invariant))


_COUNT = text("""
    SELECT count(*) FROM (SELECT FROM entries WHERE tenant_id = :current_tenant LIMIT :at_most) e
""")

_CUSTOMER_BOUNDS = text("""
    SELECT DISTINCT ON (slice) customer_id
    FROM (SELECT customer_id, div(sum(sequence::bigint) OVER (ORDER BY customer_id), :size) AS slice
          FROM accounts WHERE tenant_id = :current_tenant) a
    WHERE slice > 0 ORDER BY slice, customer_id
""")

_ID_BOUNDS = text("""
    WITH RECURSIVE bound AS (
        (SELECT id FROM entries WHERE tenant_id = :current_tenant ORDER BY id OFFSET :size LIMIT 1)
        UNION ALL
        SELECT (SELECT e.id FROM entries e
                WHERE e.tenant_id = :current_tenant AND e.id > b.id ORDER BY e.id OFFSET :size LIMIT 1)
        FROM bound b WHERE b.id IS NOT NULL
    )
    SELECT id FROM bound WHERE id IS NOT NULL ORDER BY id
""")

_HEADS_DIGEST = text("""
    SELECT encode(sha256(coalesce(string_agg(uuid_send(customer_id) || hash, '' ORDER BY customer_id), '')), 'hex')
    FROM (SELECT DISTINCT ON (customer_id) customer_id, hash FROM entries
          WHERE tenant_id = :current_tenant AND occurred_at <= :moment
          ORDER BY customer_id, sequence DESC) heads
""")

_PATIENCE = text(f"""
    SELECT set_config('statement_timeout', '{STATEMENT_TIMEOUT_MS}', true),
           set_config('idle_in_transaction_session_timeout', '{STATEMENT_TIMEOUT_MS}', true)
""")

# A nested loop over a slice that was thought to be empty took 98 s instead of 0.1 s. Without them rows are merged or
# hashed; where single rows are to be looked up, the question says so with LATERAL and OFFSET 0.
_PLANNING = text(f"""
    SELECT set_config('work_mem', '{WORK_MEM}', true),
           set_config('plan_cache_mode', 'force_custom_plan', true),
           set_config('max_parallel_workers_per_gather', '0', true),
           set_config('random_page_cost', '1.1', true),
           set_config('enable_memoize', 'off', true),
           set_config('enable_nestloop', 'off', true),
           set_config('jit', 'off', true)
""")


# Rows of a small ledger lie scattered among those of others, each on its own page: pages are fetched in their order
# and ahead of their use. Two ledgers of 50,000 entries beside 9 million took 19 s from a cold disk, and 30 s without.
_IN_ORDER_OF_PAGES = text("SELECT set_config('enable_indexscan', 'off', true)")


async def count_entries(tx: Transaction, *, at_most: int | None = None) -> int:
    """How many entries the tenant has; with ``at_most`` no more are counted, which takes no longer for more of them."""
    (row,) = await tx.rows(_COUNT, at_most=at_most)
    return int(row[0])


async def read_slices(tx: Transaction) -> Slices:
    """How to cut a large ledger: whole customers, and spans of time, of about SLICE_ENTRIES entries."""
    customers = await tx.rows(_CUSTOMER_BOUNDS, size=SLICE_ENTRIES)
    ids = await tx.rows(_ID_BOUNDS, size=SLICE_ENTRIES)
    return Slices(_between([row[0] for row in customers]), _between([row[0] for row in ids]))


async def read_heads_digest(tx: Transaction, moment: datetime) -> str:
    """The SHA-256, in hexadecimal, over each customer's id and the hash of their last entry until the moment."""
    (row,) = await tx.rows(_HEADS_DIGEST, moment=moment)
    return str(row[0])


async def prepare_for_many_rows(tx: Transaction, *, scattered: bool = False) -> None:
    """Give each statement of the transaction a plan of its own, made for this tenant and slice, and more memory."""
    await tx.run(_PLANNING)
    if scattered:
        await tx.run(_IN_ORDER_OF_PAGES)


async def be_patient(tx: Transaction) -> None:
    """Let statements take longer than those of ordinary transactions, and let others be waited for."""
    await tx.run(_PATIENCE)


def _between(bounds: Sequence[UUID]) -> Sequence[Slice]:
    """Slices that leave nothing out: each bound begins one."""
    marks = [EVERYTHING.first.int, *(bound.int for bound in bounds), EVERYTHING.last.int + 1]
    return tuple(Slice(UUID(int=first), UUID(int=beyond - 1)) for first, beyond in pairwise(marks))


@cache
def _counting(source: Source) -> Executable:
    """One row: for each invariant, how many rows break it."""
    counts = ", ".join(f"count(*) FILTER (WHERE {broken.when})" for broken in source.invariants.values())
    return text(f"SELECT {counts} FROM ({source.rows}) AS found")  # noqa: S608 - made of constants


@cache
def _finding(source: Source, broken: Broken) -> Executable:
    """Some rows that break an invariant."""
    return text(
        f"SELECT {broken.shows} FROM ({source.rows}) AS found WHERE {broken.when} LIMIT {MAX_EXAMPLES}"  # noqa: S608 - as above
    )
