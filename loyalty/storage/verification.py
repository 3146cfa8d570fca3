"""The invariants of the ledger, asked of the database itself: nothing may be found that breaks one.

They know the tables but none of the code that fills them, so that a mistake there cannot hide here.

To add one: write a query in QUESTIONS whose answer must be no row. When its table grows with the entries, and a source
below reads the same rows already, add a condition to that source instead: one pass over millions of rows then answers
several questions. Name what should be so, and give tests/fixtures/test_invariants.py a tampering that breaks it; a test
demands that.

A source with `:first_customer` and `:last_customer` is asked slice by slice of a large ledger, so that sorting needs
little memory. Rows are joined by their keys in the order of time (ids are UUIDv7), which is how they lie on disk.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Executable, text

from tenancy.database import Transaction

MAX_EXAMPLES = 3
SLICE_ENTRIES = 250_000
"""About how many entries a slice has; a customer is never cut in two."""


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
    def is_sliced(self) -> bool:
        """Whether it can be asked for some of the customers alone."""
        return ":first_customer" in self.rows


# The longest first, so that two workers end at about the same time.
SOURCES: Sequence[Source] = (
    # Every entry with the one before it.
    Source(
        """
        SELECT e.id, e.customer_id, e.sequence, e.balance_after, e.hash, sum(e.points) OVER earlier AS so_far,
               sha256(coalesce(lag(e.hash) OVER earlier, decode(repeat('00', 32), 'hex'))
                      || convert_to(concat_ws('|', e.id, e.customer_id, e.sequence, e.kind, e.points,
                             e.balance_after, e.reference_kind, e.reference_id, e.cause_id, e.phase,
                             (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.actor_kind, e.actor), 'UTF8')
               ) AS due
        FROM entries e
        WHERE e.tenant_id = :current_tenant AND e.customer_id BETWEEN :first_customer AND :last_customer
        WINDOW earlier AS (PARTITION BY e.customer_id ORDER BY e.sequence)
        """,
        {
            "the balance after each entry is the sum so far": Broken(
                "balance_after <> so_far", "id, balance_after, so_far"
            ),
            "every entry carries the hash of all it says and of the entry before it": Broken(
                "hash <> due", "id, customer_id, sequence"
            ),
        },
    ),
    # Every event with its entry: also entries without an event, and events without an entry.
    Source(
        """
        SELECT e.id AS entry_id, e.kind, e.points, v.id AS event_id, v.kind AS told, v.entry_id::text AS named,
               v.payload->>'entry_id' AS named_in_payload,
               v.customer_id = e.customer_id AND (v.payload->>'points')::bigint = e.points
                   AND v.kind = CASE e.kind
                       WHEN 'EARNED' THEN 'points.earned' WHEN 'ADJUSTED' THEN 'points.adjusted'
                       WHEN 'EARN_REVERSED' THEN 'points.reversed' WHEN 'REDEEMED' THEN 'points.redeemed'
                       WHEN 'REDEMPTION_RETURNED' THEN 'points.returned' WHEN 'EXPIRED' THEN 'points.expired'
                       WHEN 'OPENING' THEN 'points.opened' WHEN 'MERGED' THEN 'points.merged' END AS agrees,
               v.kind IN ('points.earned', 'points.adjusted', 'points.reversed', 'points.redeemed', 'points.returned',
                          'points.expired', 'points.opened', 'points.merged') AS tells_of_a_movement
        FROM (SELECT id, customer_id, kind, points FROM entries WHERE tenant_id = :current_tenant) e
        FULL JOIN (SELECT id, customer_id, kind, entry_id, payload FROM events WHERE tenant_id = :current_tenant) v
            ON v.entry_id = e.id
        """,
        {
            "every entry is told once, with its points": Broken(
                "entry_id IS NOT NULL AND agrees IS NOT TRUE", "entry_id, kind, points, told"
            ),
            "an event names its entry, and only an event of a movement does": Broken(
                "event_id IS NOT NULL"
                " AND (named IS DISTINCT FROM named_in_payload OR (named IS NOT NULL) <> tells_of_a_movement)",
                "event_id, told, named, named_in_payload",
            ),
        },
    ),
    # Every accrual with its purchase, its entries and what was told of it.
    Source(
        """
        SELECT a.*, p.customer_id AS buyer, p.generation AS newest_generation, b.lines, b.strange,
               coalesce(v.pending, 0) AS told_pending, coalesce(v.voided, 0) AS told_voided,
               coalesce(v.promised, 0) AS promised, coalesce(v.broken, 0) AS broken,
               a.state NOT IN ('EVALUATED', 'PENDING', 'VOIDED') AS credited
        FROM (
            SELECT a.*, a.points - a.voided_points AS left_over, count(e.id) AS entries,
                   count(e.id) FILTER (WHERE e.kind = 'EARNED' AND e.points = a.points - a.voided_points
                       AND e.reference_kind = 'PURCHASE' AND e.reference_id = a.purchase_id) AS credits,
                   coalesce(-sum(e.points) FILTER (WHERE e.kind = 'EARN_REVERSED'), 0) AS entered
            FROM accruals a
            LEFT JOIN entries e ON e.tenant_id = a.tenant_id AND e.cause_id = a.id
            WHERE a.tenant_id = :current_tenant
            GROUP BY a.tenant_id, a.id
        ) a
        JOIN purchases p ON p.tenant_id = a.tenant_id AND p.id = a.purchase_id
        CROSS JOIN LATERAL (
            SELECT coalesce(sum((line->>'points')::bigint), 0) AS lines,
                   count(*) FILTER (WHERE (line->>'outcome' = 'APPLIED') <> ((line->>'points')::bigint > 0)) AS strange
            FROM jsonb_array_elements(a.breakdown) line
        ) b
        LEFT JOIN (
            SELECT payload->>'accrual_id' AS accrual_id,
                   count(*) FILTER (WHERE kind = 'points.pending') AS pending,
                   count(*) FILTER (WHERE kind = 'points.voided') AS voided,
                   sum((payload->>'points')::bigint) FILTER (WHERE kind = 'points.pending') AS promised,
                   sum((payload->>'points')::bigint) FILTER (WHERE kind = 'points.voided') AS broken
            FROM events
            WHERE tenant_id = :current_tenant AND entry_id IS NULL AND kind IN ('points.pending', 'points.voided')
            GROUP BY payload->>'accrual_id'
        ) v ON v.accrual_id = a.id::text
        """,
        {
            "the lines of an accrual add up to its points": Broken("points <> lines", "id, points, lines"),
            "only a line that was applied gives points": Broken("strange > 0", "id, breakdown"),
            "an accrual that was credited has one entry for what was not voided before": Broken(
                "credited AND credits <> (left_over > 0)::int", "id, points, voided_points, credits"
            ),
            "an accrual belongs to whom the purchase belongs": Broken("customer_id <> buyer", "id, customer_id, buyer"),
            # With CLAMP, points that were spent already are forgotten, so there may be less to enter.
            "what was taken back of an accrual stands in the ledger": Broken(
                "entered > reversed_points"
                " OR (entered < reversed_points AND policy->>'debt' <> 'CLAMP')"
                " OR (left_over > 0 AND (state = 'REVERSED') <> (reversed_points = left_over))"
                " OR (state = 'PARTIALLY_REVERSED') <> (reversed_points > 0 AND reversed_points < left_over)"
                " OR (points > 0 AND (state = 'VOIDED') <> (voided_points = points))",
                "id, state, points, voided_points, reversed_points, entered",
            ),
            "points that were never credited stand nowhere in the ledger": Broken(
                "NOT credited AND entries > 0", "id, state, entries"
            ),
            "an accrual is credited or waits, and waits no longer than it says": Broken(
                "(matured_at IS NOT NULL) <> credited OR (points > 0 AND matured_at < matures_at)",
                "id, state, matures_at, matured_at",
            ),
            "a purchase earns anew only when it has lost what it earned": Broken(
                "generation > newest_generation"
                " OR (generation < newest_generation AND state NOT IN ('VOIDED', 'REVERSED'))",
                "id, purchase_id, generation, state",
            ),
            "a promise is told once, and what is broken of it": Broken(
                # What was refunded before the evaluation was never promised, and so never broken.
                "told_pending > 1 OR broken > voided_points OR promised > points"
                " OR (promised > 0 AND points - promised + broken <> voided_points)"
                " OR (state = 'PENDING' AND told_pending <> 1) OR (told_pending = 0 AND told_voided > 0)",
                "id, state, points, voided_points, promised, broken",
            ),
        },
    ),
    # Every entry with the lots it opened, took from or gave back to.
    Source(
        """
        SELECT e.id, e.kind, e.points, o.points AS opened, e.allocated, e.given_back, e.strange
        FROM (
            SELECT e.tenant_id, e.id, e.kind, e.points, sum(t.points) AS allocated,
                   -sum(t.points) FILTER (WHERE t.points < 0) AS given_back,
                   count(*) FILTER (WHERE l.customer_id <> e.customer_id
                       OR (e.points > 0 AND t.points > 0 AND l.entry_id <> e.id)
                       OR (t.points < 0 AND e.kind <> 'REDEMPTION_RETURNED')) AS strange
            FROM entries e
            LEFT JOIN allocations t ON t.tenant_id = e.tenant_id AND t.entry_id = e.id
            LEFT JOIN lots l ON l.tenant_id = t.tenant_id AND l.id = t.lot_id
            WHERE e.tenant_id = :current_tenant
            GROUP BY e.tenant_id, e.id
        ) e
        LEFT JOIN (SELECT entry_id, sum(original) AS points FROM lots
                   WHERE tenant_id = :current_tenant GROUP BY entry_id) o ON o.entry_id = e.id
        """,
        {
            "every entry that gives points opens lots of that size, or gives them back to lots": Broken(
                "CASE WHEN points < 0 THEN opened IS NOT NULL OR given_back IS NOT NULL"
                " WHEN kind = 'REDEMPTION_RETURNED' THEN coalesce(opened, 0) + coalesce(given_back, 0) > points"
                # What settles the debt of a customer who becomes another opens no lot.
                " WHEN kind = 'MERGED' THEN coalesce(opened, 0) NOT IN (0, points) OR given_back IS NOT NULL"
                " ELSE coalesce(opened, 0) <> points OR given_back IS NOT NULL END",
                "id, kind, points, opened, given_back",
            ),
            "an entry takes points from its own customer's lots, and a credit only from its own lot": Broken(
                "strange > 0", "id, kind, points, strange"
            ),
            "no entry takes more from lots than it moves": Broken("allocated > abs(points)", "id, points, allocated"),
        },
    ),
    # Every entry with what caused it.
    Source(
        """
        SELECT e.id, e.kind, e.cause_id, c.id AS found
        FROM entries e
        LEFT JOIN (
            SELECT id, 'EARNED' AS kind FROM accruals WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'ADJUSTED' FROM adjustments WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'REDEEMED' FROM redemptions WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'REDEMPTION_RETURNED' FROM redemption_returns WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'EXPIRED' FROM lots WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'OPENING' FROM opening_balances WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'MERGED' FROM customer_merges WHERE tenant_id = :current_tenant
        ) c ON c.id = e.cause_id AND c.kind = CASE e.kind WHEN 'EARN_REVERSED' THEN 'EARNED' ELSE e.kind END
        WHERE e.tenant_id = :current_tenant
        """,
        {"every entry has a cause": Broken("found IS NULL AND kind <> 'GIFT_CARD'", "id, kind, cause_id")},
    ),
    # Every account with the sums of what it stands for.
    Source(
        """
        SELECT a.*, a.available + a.held - a.debt AS balance, coalesce(e.points, 0) AS entered,
               coalesce(e.entries, 0) AS entries, coalesce(e.first, 0) AS first, coalesce(e.last, 0) AS last,
               n.hash AS last_hash,
               coalesce(l.remaining, 0) AS remaining, coalesce(l.held, 0) AS held_in_lots,
               coalesce(l.points, 0) - coalesce(e.unexpired, 0) AS owed,
               coalesce(p.points, 0) AS waiting,
               coalesce(e.earned, 0) + coalesce(m.lifetime_earned, 0) AS lifetime_due,
               coalesce(e.earned, 0) + coalesce(d.points, 0) + coalesce(m.qualifying, 0) AS qualifying_due
        FROM accounts a
        LEFT JOIN (SELECT customer_id, count(*) AS entries, min(sequence) AS first, max(sequence) AS last,
                          sum(points) AS points, sum(points) FILTER (WHERE kind <> 'EXPIRED') AS unexpired,
                          sum(points) FILTER (WHERE kind IN ('EARNED', 'EARN_REVERSED')) AS earned
                   FROM entries WHERE tenant_id = :current_tenant GROUP BY customer_id) e USING (customer_id)
        LEFT JOIN (SELECT l.customer_id, sum(l.remaining) FILTER (WHERE l.state = 'OPEN') AS remaining,
                          sum(l.held) FILTER (WHERE l.state = 'OPEN') AS held,
                          sum(l.original - coalesce(t.points, 0)) AS points
                   FROM lots l
                   LEFT JOIN (SELECT lot_id, sum(points) AS points FROM allocations
                              WHERE tenant_id = :current_tenant GROUP BY lot_id) t ON t.lot_id = l.id
                   WHERE l.tenant_id = :current_tenant GROUP BY l.customer_id) l USING (customer_id)
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
        LEFT JOIN entries n
            ON n.tenant_id = a.tenant_id AND n.customer_id = a.customer_id AND n.sequence = a.sequence
        WHERE a.tenant_id = :current_tenant
        """,
        {
            "an account is the sum of its entries": Broken("balance <> entered", "customer_id, balance, entered"),
            "an account is the sum of its open lots": Broken(
                "available <> remaining OR held <> held_in_lots",
                "customer_id, available, held, remaining, held_in_lots",
            ),
            "debt is what debits took beyond the lots, less what credits paid of it": Broken(
                "debt <> owed", "customer_id, debt, owed"
            ),
            "entries are numbered from 1 without a gap, and the account knows the last number": Broken(
                "(sequence, sequence, least(sequence, 1)) IS DISTINCT FROM (entries, last, first)",
                "customer_id, sequence, entries, first, last",
            ),
            "an account knows the hash of its last entry": Broken(
                "chain <> coalesce(last_hash, decode(repeat('00', 32), 'hex'))", "customer_id, sequence"
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
        SELECT l.*, coalesce(t.points, 0) AS allocated, coalesce(e.points, 0) AS entered,
               coalesce(n.notices, 0) AS notices
        FROM lots l
        LEFT JOIN (SELECT lot_id, count(*) AS notices FROM expiry_notices
                   WHERE tenant_id = :current_tenant GROUP BY lot_id) n ON n.lot_id = l.id
        LEFT JOIN (SELECT lot_id, sum(points) AS points FROM allocations
                   WHERE tenant_id = :current_tenant GROUP BY lot_id) t ON t.lot_id = l.id
        LEFT JOIN (SELECT cause_id, -sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant AND kind = 'EXPIRED' GROUP BY cause_id) e ON e.cause_id = l.id
        WHERE l.tenant_id = :current_tenant
        """,
        {
            "a lot's points are allocated, remaining, held or expired": Broken(
                "original <> allocated + remaining + held + expired",
                "id, original, allocated, remaining, held, expired",
            ),
            "a lot is open exactly while something is left in it": Broken(
                "(state = 'OPEN') <> (remaining + held > 0)", "id, state, remaining, held"
            ),
            "what expired of a lot stands in the ledger": Broken("expired <> entered", "id, expired, entered"),
            "only a lot that expires is told of, and lives on by activity": Broken(
                "expires_at IS NULL AND (notices > 0 OR notice_at IS NOT NULL OR inactivity_days IS NOT NULL)",
                "id, expires_at, notices, notice_at, inactivity_days",
            ),
        },
    ),
    # Every hold with what it set aside, and what it became.
    Source(
        """
        SELECT h.*, coalesce(p.points, 0) AS set_aside, coalesce(p.strange, 0) AS strange,
               r.points AS redeemed, r.customer_id AS redeemed_for
        FROM holds h
        LEFT JOIN (SELECT t.hold_id, sum(t.points) AS points,
                          count(*) FILTER (WHERE l.customer_id <> o.customer_id) AS strange
                   FROM hold_lots t
                   JOIN lots l ON l.tenant_id = t.tenant_id AND l.id = t.lot_id
                   JOIN holds o ON o.tenant_id = t.tenant_id AND o.id = t.hold_id
                   WHERE t.tenant_id = :current_tenant GROUP BY t.hold_id) p ON p.hold_id = h.id
        LEFT JOIN redemptions r ON r.tenant_id = h.tenant_id AND r.hold_id = h.id
        WHERE h.tenant_id = :current_tenant
        """,
        {
            "a hold sets aside what it says, from its own customer's lots": Broken(
                "points <> set_aside OR strange > 0", "id, points, set_aside, strange"
            ),
            "a hold that was captured is one redemption of what was captured, and no other hold is": Broken(
                "coalesce(redeemed, 0) <> captured_points OR redeemed_for <> customer_id",
                "id, state, captured_points, redeemed",
            ),
        },
    ),
    # Every lot with the active holds on it.
    Source(
        """
        SELECT l.id, l.held, coalesce(h.points, 0) AS in_holds
        FROM lots l
        LEFT JOIN (SELECT t.lot_id, sum(t.points) AS points
                   FROM hold_lots t
                   JOIN holds h ON h.tenant_id = t.tenant_id AND h.id = t.hold_id AND h.state = 'ACTIVE'
                   WHERE t.tenant_id = :current_tenant GROUP BY t.lot_id) h ON h.lot_id = l.id
        WHERE l.tenant_id = :current_tenant AND (l.held > 0 OR h.points > 0)
        """,
        {"points are held in a lot exactly by active holds": Broken("held <> in_holds", "id, held, in_holds")},
    ),
    # Every redemption with its entry and its returns.
    Source(
        """
        SELECT r.id, r.points, r.returned_points, r.discount_minor,
               count(e.id) AS entries, coalesce(b.points, 0) AS returned, coalesce(b.discount_minor, 0) AS given_back,
               coalesce(b.entries, 0) AS return_entries, coalesce(b.returns, 0) AS returns
        FROM redemptions r
        LEFT JOIN entries e ON e.tenant_id = r.tenant_id AND e.cause_id = r.id AND e.kind = 'REDEEMED'
             AND e.points = -r.points AND e.customer_id = r.customer_id
             AND e.reference_kind = 'REDEMPTION' AND e.reference_id = r.id
        LEFT JOIN (SELECT t.redemption_id, sum(t.points) AS points, sum(t.discount_minor) AS discount_minor,
                          count(*) AS returns, count(e.id) AS entries
                   FROM redemption_returns t
                   LEFT JOIN entries e ON e.tenant_id = t.tenant_id AND e.cause_id = t.id
                        AND e.kind = 'REDEMPTION_RETURNED' AND e.points = t.points AND e.customer_id = t.customer_id
                        AND e.reference_kind = 'REDEMPTION' AND e.reference_id = t.redemption_id
                   WHERE t.tenant_id = :current_tenant GROUP BY t.redemption_id) b ON b.redemption_id = r.id
        WHERE r.tenant_id = :current_tenant
        GROUP BY r.tenant_id, r.id, b.points, b.discount_minor, b.entries, b.returns
        """,
        {
            "a redemption has one entry, for the same customer and the same points": Broken(
                "entries <> 1", "id, points, entries"
            ),
            "what came back of a redemption stands in the ledger, and is no more than was spent": Broken(
                "returned_points <> returned OR returns <> return_entries OR given_back > discount_minor"
                " OR (returned_points = points AND given_back <> discount_minor)",
                "id, points, returned_points, returned, discount_minor, given_back",
            ),
        },
    ),
    # Every purchase with its facts.
    Source(
        """
        SELECT p.id, p.version, p.status, p.refunded_minor, p.total_minor,
               count(f.version) AS facts, max(f.version) AS last_fact,
               bool_or(f.version = p.version AND f.status = p.status) AS agrees,
               coalesce(r.amount_minor, 0) AS refunded, coalesce(r.refunds, 0) AS refunds,
               coalesce(r.last, 0) AS last_refund
        FROM purchases p
        LEFT JOIN purchase_facts f ON f.tenant_id = p.tenant_id AND f.purchase_id = p.id
        LEFT JOIN (SELECT purchase_id, sum(amount_minor) AS amount_minor, count(*) AS refunds, max(number) AS last
                   FROM purchase_refunds WHERE tenant_id = :current_tenant GROUP BY purchase_id) r
            ON r.purchase_id = p.id
        WHERE p.tenant_id = :current_tenant
        GROUP BY p.tenant_id, p.id, r.amount_minor, r.refunds, r.last
        """,
        {
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
        SELECT d.id, d.points, count(e.id) AS entries
        FROM adjustments d
        LEFT JOIN entries e ON e.tenant_id = d.tenant_id AND e.cause_id = d.id AND e.kind = 'ADJUSTED'
             AND e.points = d.points AND e.customer_id = d.customer_id
             AND e.reference_kind = 'ADJUSTMENT' AND e.reference_id = d.id
        WHERE d.tenant_id = :current_tenant
        GROUP BY d.tenant_id, d.id
        """,
        {
            "an adjustment has one entry, for the same customer and the same points": Broken(
                "entries <> 1", "id, points, entries"
            ),
        },
    ),
)

QUESTIONS: Mapping[str, str] = {
    "who has become another customer has left nothing behind": """
        SELECT a.customer_id, c.merged_into, a.available, a.pending, a.held, a.debt, a.qualifying
        FROM customers c
        JOIN accounts a ON a.tenant_id = c.tenant_id AND a.customer_id = c.id
        LEFT JOIN customers t ON t.tenant_id = c.tenant_id AND t.id = c.merged_into
        WHERE c.tenant_id = :current_tenant AND c.merged_into IS NOT NULL
          AND (a.available <> 0 OR a.pending <> 0 OR a.held <> 0 OR a.debt <> 0 OR a.lifetime_earned <> 0
               OR NOT a.closed OR a.qualifying <> 0 OR t.merged_into IS NOT NULL
               OR EXISTS (SELECT FROM purchases p WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id)
               OR NOT EXISTS (SELECT FROM customer_merges m WHERE m.tenant_id = c.tenant_id AND m.source_id = c.id))
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
    # While a job is still re-tiering, customers may stand where the former tiers put them.
    "a customer stands in the highest tier that the qualifying points reach": """
        SELECT a.customer_id, a.qualifying, a.tier_id, (
            SELECT t.id FROM tiers t
            WHERE t.tenant_id = a.tenant_id AND t.deleted_at IS NULL AND t.min_points <= a.qualifying
            ORDER BY t.min_points DESC LIMIT 1
        ) AS due
        FROM accounts a
        WHERE a.tenant_id = :current_tenant
          AND NOT EXISTS (SELECT FROM jobs j WHERE j.tenant_id = a.tenant_id AND j.state IN ('WAITING', 'RUNNING'))
          AND a.tier_id IS DISTINCT FROM (
            SELECT t.id FROM tiers t
            WHERE t.tenant_id = a.tenant_id AND t.deleted_at IS NULL AND t.min_points <= a.qualifying
            ORDER BY t.min_points DESC LIMIT 1)
    """,
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
            SELECT customer_id, from_tier_id::text AS previous, to_tier_id::text AS current, qualifying
            FROM tier_changes WHERE tenant_id = :current_tenant
        ), told AS (
            SELECT customer_id, payload->>'previous_tier_id', payload->>'tier_id',
                   (payload->>'qualifying_points')::bigint
            FROM events WHERE tenant_id = :current_tenant AND kind IN ('tier.upgraded', 'tier.downgraded')
        )
        (TABLE changed EXCEPT ALL TABLE told) UNION ALL (TABLE told EXCEPT ALL TABLE changed)
    """,
    "an upgrade leads up, a downgrade down": """
        SELECT v.id, v.kind, f.min_points AS previous, t.min_points AS current
        FROM events v
        LEFT JOIN tiers f ON f.tenant_id = v.tenant_id AND f.id::text = v.payload->>'previous_tier_id'
        LEFT JOIN tiers t ON t.tenant_id = v.tenant_id AND t.id::text = v.payload->>'tier_id'
        WHERE v.tenant_id = :current_tenant AND v.kind IN ('tier.upgraded', 'tier.downgraded')
          AND v.payload->>'cause' <> 'PROGRAM_CHANGE'
          AND (v.kind = 'tier.upgraded') <> (coalesce(t.min_points, -1) > coalesce(f.min_points, -1))
    """,
    "an idempotency key leads to what it made": """
        SELECT k.key, k.operation
        FROM idempotency_keys k
        LEFT JOIN (
            SELECT id, 'pointsAdjust' AS operation FROM adjustments WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'redemptionHold' FROM holds WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'redemptionCapture' FROM redemptions WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'redemptionRelease' FROM holds WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'redemptionReturn' FROM redemption_returns WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'purchaseRefund' FROM purchase_refunds WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'customerMerge' FROM customer_merges WHERE tenant_id = :current_tenant
            UNION ALL SELECT tenant_id, 'sandboxClockAdvance' FROM tenants WHERE tenant_id = :current_tenant
            UNION ALL SELECT id, 'purchaseMature' FROM accruals WHERE tenant_id = :current_tenant
        ) made ON made.id = k.result_id AND made.operation = k.operation
        WHERE k.tenant_id = :current_tenant AND made.id IS NULL
    """,
}
"""Asked once of the whole tenant: each finds rows that break it."""


_SOURCES = (*SOURCES, *(Source(question, {name: Broken("true", "*")}) for name, question in QUESTIONS.items()))

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
    """The customers with ids from the first to the last, both included."""

    first: UUID
    last: UUID


EVERYBODY = Slice(UUID(int=0), UUID(int=2**128 - 1))


class Pass(NamedTuple):
    """A source to be asked, for a slice of the customers where it can be sliced."""

    source: Source
    customers: Slice


def list_passes(slices: Sequence[Slice] = (EVERYBODY,)) -> list[Pass]:
    """All that has to be asked to prove a tenant's ledger: a statement each, in any order, the long ones first."""
    return [
        Pass(source, customers) for source in _SOURCES for customers in (slices if source.is_sliced else (EVERYBODY,))
    ]


async def ask(tx: Transaction, asked: Pass) -> list[Difference]:
    """Ask one pass for its invariants, inside one tenant."""
    source = asked.source
    bounds = (
        {"first_customer": asked.customers.first, "last_customer": asked.customers.last} if source.is_sliced else {}
    )
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
    return merge_differences([difference for asked in list_passes() for difference in await ask(tx, asked)])


def merge_differences(found: Iterable[Difference]) -> list[Difference]:
    """One difference for each invariant, in the order of INVARIANTS, from what several passes found."""
    merged: dict[str, Difference] = {}
    for one in found:
        known = merged.get(one.invariant, Difference(one.invariant, 0, []))
        examples = [*known.examples, *one.examples][:MAX_EXAMPLES]
        merged[one.invariant] = Difference(one.invariant, known.rows + one.rows, examples)
    return sorted(merged.values(), key=lambda it: INVARIANTS.index(it.invariant))


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
