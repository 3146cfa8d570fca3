"""The invariants of the ledger, asked of the database itself: each is a question whose answer must be no row.

They know the tables but none of the code that fills them, so that a mistake there cannot hide here.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import text

from tenancy.database import Transaction

MAX_EXAMPLES = 3

INVARIANTS: Mapping[str, str] = {
    "every customer has an account": """
        SELECT c.id FROM customers c
        WHERE c.tenant_id = :current_tenant
          AND NOT EXISTS (SELECT FROM accounts a WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id)
    """,
    "an account is the sum of its entries": """
        SELECT a.customer_id, a.available + a.held - a.debt AS balance, coalesce(e.points, 0) AS entries
        FROM accounts a
        LEFT JOIN (SELECT customer_id, sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant GROUP BY customer_id) e USING (customer_id)
        WHERE a.tenant_id = :current_tenant AND a.available + a.held - a.debt <> coalesce(e.points, 0)
    """,
    "an account is the sum of its open lots": """
        SELECT a.customer_id, a.available, a.held, l.remaining, l.held AS held_in_lots
        FROM accounts a
        LEFT JOIN (SELECT customer_id, sum(remaining) AS remaining, sum(held) AS held FROM lots
                   WHERE tenant_id = :current_tenant AND state = 'OPEN' GROUP BY customer_id) l USING (customer_id)
        WHERE a.tenant_id = :current_tenant
          AND (a.available <> coalesce(l.remaining, 0) OR a.held <> coalesce(l.held, 0))
    """,
    "debt is what debits took beyond the lots, less what credits paid of it": """
        SELECT a.customer_id, a.debt, owed.points AS owed
        FROM accounts a
        LEFT JOIN (
            SELECT e.customer_id, sum(coalesce(o.points, 0) - e.points - coalesce(t.points, 0)) AS points
            FROM entries e
            LEFT JOIN (SELECT entry_id, sum(points) AS points FROM allocations
                       WHERE tenant_id = :current_tenant GROUP BY entry_id) t ON t.entry_id = e.id
            LEFT JOIN (SELECT entry_id, sum(original) AS points FROM lots
                       WHERE tenant_id = :current_tenant GROUP BY entry_id) o ON o.entry_id = e.id
            WHERE e.tenant_id = :current_tenant AND e.kind <> 'EXPIRED' GROUP BY e.customer_id
        ) owed USING (customer_id)
        WHERE a.tenant_id = :current_tenant AND a.debt <> coalesce(owed.points, 0)
    """,
    "entries are numbered from 1 without a gap, and the account knows the last number": """
        SELECT a.customer_id, a.sequence, e.entries, e.first, e.last
        FROM accounts a
        LEFT JOIN (SELECT customer_id, count(*) AS entries, min(sequence) AS first, max(sequence) AS last
                   FROM entries WHERE tenant_id = :current_tenant GROUP BY customer_id) e USING (customer_id)
        WHERE a.tenant_id = :current_tenant
          AND (a.sequence, a.sequence, least(a.sequence, 1))
              IS DISTINCT FROM (coalesce(e.entries, 0), coalesce(e.last, 0), coalesce(e.first, 0))
    """,
    "the balance after each entry is the sum so far": """
        SELECT id, balance_after, so_far
        FROM (SELECT id, balance_after, sum(points) OVER (PARTITION BY customer_id ORDER BY sequence) AS so_far
              FROM entries WHERE tenant_id = :current_tenant) e
        WHERE balance_after <> so_far
    """,
    "a lot's points are allocated, remaining, held or expired": """
        SELECT l.id, l.original, coalesce(t.points, 0) AS allocated, l.remaining, l.held, l.expired
        FROM lots l
        LEFT JOIN (SELECT lot_id, sum(points) AS points FROM allocations
                   WHERE tenant_id = :current_tenant GROUP BY lot_id) t ON t.lot_id = l.id
        WHERE l.tenant_id = :current_tenant
          AND l.original <> coalesce(t.points, 0) + l.remaining + l.held + l.expired
    """,
    "a lot is open exactly while something is left in it": """
        SELECT id, state, remaining, held FROM lots
        WHERE tenant_id = :current_tenant AND (state = 'OPEN') <> (remaining + held > 0)
    """,
    "every entry that gives points opens lots of that size, or gives them back to lots": """
        SELECT e.id, e.kind, e.points, coalesce(o.points, 0) AS opened, coalesce(t.points, 0) AS given_back
        FROM entries e
        LEFT JOIN (SELECT entry_id, sum(original) AS points FROM lots
                   WHERE tenant_id = :current_tenant GROUP BY entry_id) o ON o.entry_id = e.id
        LEFT JOIN (SELECT entry_id, -sum(points) AS points FROM allocations
                   WHERE tenant_id = :current_tenant AND points < 0 GROUP BY entry_id) t ON t.entry_id = e.id
        WHERE e.tenant_id = :current_tenant
          AND CASE WHEN e.points < 0 THEN o.points IS NOT NULL OR t.points IS NOT NULL
                   WHEN e.kind = 'REDEMPTION_RETURNED'
                       THEN coalesce(o.points, 0) + coalesce(t.points, 0) > e.points
                   ELSE coalesce(o.points, 0) <> e.points OR t.points IS NOT NULL END
    """,
    "what expired of a lot stands in the ledger": """
        SELECT l.id, l.expired, e.points AS entered
        FROM lots l
        LEFT JOIN (SELECT cause_id, -sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant AND kind = 'EXPIRED' GROUP BY cause_id) e ON e.cause_id = l.id
        WHERE l.tenant_id = :current_tenant AND l.expired <> coalesce(e.points, 0)
    """,
    "every entry carries the hash of all it says and of the entry before it": """
        SELECT id, sequence FROM (
            SELECT e.id, e.sequence, e.hash,
                   sha256(coalesce(lag(e.hash) OVER (PARTITION BY e.customer_id ORDER BY e.sequence),
                                   decode(repeat('00', 32), 'hex'))
                          || convert_to(concat_ws('|', e.id, e.customer_id, e.sequence, e.kind, e.points,
                                 e.balance_after, e.reference_kind, e.reference_id, e.cause_id, e.phase,
                                 (extract(epoch FROM e.occurred_at) * 1000000)::bigint, e.actor_kind, e.actor), 'UTF8')
                   ) AS due
            FROM entries e WHERE e.tenant_id = :current_tenant
        ) e WHERE hash <> due
    """,
    "an account knows the hash of its last entry": """
        SELECT a.customer_id, a.sequence
        FROM accounts a
        LEFT JOIN entries e ON e.tenant_id = a.tenant_id AND e.customer_id = a.customer_id AND e.sequence = a.sequence
        WHERE a.tenant_id = :current_tenant AND a.chain <> coalesce(e.hash, decode(repeat('00', 32), 'hex'))
    """,
    "an entry takes points from its own customer's lots, and a credit only from its own lot": """
        SELECT t.entry_id, t.lot_id
        FROM allocations t
        JOIN entries e ON e.tenant_id = t.tenant_id AND e.id = t.entry_id
        JOIN lots l ON l.tenant_id = t.tenant_id AND l.id = t.lot_id
        WHERE t.tenant_id = :current_tenant
          AND (l.customer_id <> e.customer_id
               OR (e.points > 0 AND t.points > 0 AND l.entry_id <> e.id)
               OR (t.points < 0 AND e.kind <> 'REDEMPTION_RETURNED'))
    """,
    "no entry takes more from lots than it moves": """
        SELECT e.id, e.points, sum(t.points) AS allocated
        FROM entries e JOIN allocations t ON t.tenant_id = e.tenant_id AND t.entry_id = e.id
        WHERE e.tenant_id = :current_tenant
        GROUP BY e.id, e.points HAVING sum(t.points) > abs(e.points)
    """,
    "lifetime points are what purchases earned, what came from elsewhere, and what merges moved": """
        SELECT a.customer_id, a.lifetime_earned, coalesce(e.points, 0) + coalesce(m.points, 0) AS due
        FROM accounts a
        LEFT JOIN (SELECT customer_id, sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant AND kind IN ('EARNED', 'EARN_REVERSED')
                   GROUP BY customer_id) e USING (customer_id)
        LEFT JOIN (SELECT customer_id, sum(points) AS points FROM (
                       SELECT customer_id, lifetime_earned AS points FROM opening_balances
                       WHERE tenant_id = :current_tenant
                       UNION ALL
                       SELECT target_id, lifetime_earned FROM customer_merges WHERE tenant_id = :current_tenant
                       UNION ALL
                       SELECT source_id, -lifetime_earned FROM customer_merges WHERE tenant_id = :current_tenant
                   ) moved GROUP BY customer_id) m USING (customer_id)
        WHERE a.tenant_id = :current_tenant
          AND a.lifetime_earned <> coalesce(e.points, 0) + coalesce(m.points, 0)
    """,
    "qualifying points are what was earned, adjusted, brought along and merged, as far as it qualifies": """
        SELECT a.customer_id, a.qualifying, coalesce(q.points, 0) + coalesce(m.points, 0) AS due
        FROM accounts a
        LEFT JOIN (SELECT e.customer_id, sum(e.points) AS points
                   FROM entries e
                   LEFT JOIN adjustments d ON d.tenant_id = e.tenant_id AND d.id = e.cause_id
                   WHERE e.tenant_id = :current_tenant
                     AND (e.kind IN ('EARNED', 'EARN_REVERSED') OR (e.kind = 'ADJUSTED' AND d.qualifying))
                   GROUP BY e.customer_id) q USING (customer_id)
        LEFT JOIN (SELECT customer_id, sum(points) AS points FROM (
                       SELECT customer_id, qualifying AS points FROM opening_balances WHERE tenant_id = :current_tenant
                       UNION ALL
                       SELECT target_id, qualifying FROM customer_merges WHERE tenant_id = :current_tenant
                       UNION ALL
                       SELECT source_id, -qualifying FROM customer_merges WHERE tenant_id = :current_tenant
                   ) moved GROUP BY customer_id) m USING (customer_id)
        WHERE a.tenant_id = :current_tenant AND a.qualifying <> coalesce(q.points, 0) + coalesce(m.points, 0)
    """,
    "the lines of an accrual add up to its points": """
        SELECT a.id, a.points, b.points AS lines
        FROM accruals a
        CROSS JOIN LATERAL (SELECT coalesce(sum((line->>'points')::bigint), 0) AS points
                            FROM jsonb_array_elements(a.breakdown) line) b
        WHERE a.tenant_id = :current_tenant AND a.points <> b.points
    """,
    "only a line that was applied gives points": """
        SELECT a.id, line
        FROM accruals a CROSS JOIN LATERAL jsonb_array_elements(a.breakdown) line
        WHERE a.tenant_id = :current_tenant
          AND (line->>'outcome' = 'APPLIED') <> ((line->>'points')::bigint > 0)
    """,
    "an accrual that was credited has one entry for what was not voided before": """
        SELECT a.id, a.points, a.voided_points, count(e.id) AS entries
        FROM accruals a
        LEFT JOIN entries e ON e.tenant_id = a.tenant_id AND e.cause_id = a.id AND e.kind = 'EARNED'
             AND e.points = a.points - a.voided_points
             AND e.reference_kind = 'PURCHASE' AND e.reference_id = a.purchase_id
        WHERE a.tenant_id = :current_tenant AND a.state NOT IN ('EVALUATED', 'PENDING', 'VOIDED')
        GROUP BY a.id, a.points, a.voided_points HAVING count(e.id) <> (a.points > a.voided_points)::int
    """,
    "an accrual belongs to whom the purchase belongs": """
        SELECT a.id, a.customer_id, p.customer_id AS buyer
        FROM accruals a JOIN purchases p ON p.tenant_id = a.tenant_id AND p.id = a.purchase_id
        WHERE a.tenant_id = :current_tenant AND a.customer_id <> p.customer_id
    """,
    "points are pending exactly where an accrual waits for its time": """
        SELECT a.customer_id, a.pending, p.points AS waiting
        FROM accounts a
        LEFT JOIN (SELECT customer_id, sum(points - voided_points) AS points FROM accruals
                   WHERE tenant_id = :current_tenant AND state = 'PENDING' GROUP BY customer_id) p USING (customer_id)
        WHERE a.tenant_id = :current_tenant AND a.pending <> coalesce(p.points, 0)
    """,
    # With CLAMP, points that were spent already are forgotten, so there may be less to enter.
    "what was taken back of an accrual stands in the ledger": """
        SELECT a.id, a.state, a.points, a.reversed_points, r.points AS entered
        FROM accruals a
        LEFT JOIN (SELECT cause_id AS id, -sum(points) AS points FROM entries
                   WHERE tenant_id = :current_tenant AND kind = 'EARN_REVERSED' GROUP BY cause_id) r USING (id)
        WHERE a.tenant_id = :current_tenant
          AND (coalesce(r.points, 0) > a.reversed_points
               OR (coalesce(r.points, 0) < a.reversed_points AND a.policy->>'debt' <> 'CLAMP')
               OR (a.points > a.voided_points
                   AND (a.state = 'REVERSED') <> (a.reversed_points = a.points - a.voided_points))
               OR (a.state = 'PARTIALLY_REVERSED')
                  <> (a.reversed_points > 0 AND a.reversed_points < a.points - a.voided_points)
               OR (a.points > 0 AND (a.state = 'VOIDED') <> (a.voided_points = a.points)))
    """,
    "points that were never credited stand nowhere in the ledger": """
        SELECT a.id, a.state, e.id AS entry_id
        FROM accruals a JOIN entries e ON e.tenant_id = a.tenant_id AND e.cause_id = a.id
        WHERE a.tenant_id = :current_tenant AND a.state IN ('EVALUATED', 'PENDING', 'VOIDED')
    """,
    "an accrual is credited or waits, and waits no longer than it says": """
        SELECT id, state, matures_at, matured_at FROM accruals
        WHERE tenant_id = :current_tenant
          AND ((matured_at IS NULL) <> (state IN ('EVALUATED', 'PENDING', 'VOIDED'))
               OR (points > 0 AND matured_at < matures_at))
    """,
    "a purchase earns anew only when it has lost what it earned": """
        SELECT a.id, a.purchase_id, a.generation, a.state
        FROM accruals a JOIN purchases p ON p.tenant_id = a.tenant_id AND p.id = a.purchase_id
        WHERE a.tenant_id = :current_tenant
          AND (a.generation > p.generation
               OR (a.generation < p.generation AND a.state NOT IN ('VOIDED', 'REVERSED')))
    """,
    "a promise is told once, and once when it is void": """
        SELECT a.id, a.state, a.points, v.pending, v.voided
        FROM accruals a
        LEFT JOIN (
            SELECT payload->>'accrual_id' AS accrual_id,
                   count(*) FILTER (WHERE kind = 'points.pending') AS pending,
                   count(*) FILTER (WHERE kind = 'points.voided') AS voided,
                   min((payload->>'points')::bigint) AS least, max((payload->>'points')::bigint) AS most
            FROM events WHERE tenant_id = :current_tenant AND kind IN ('points.pending', 'points.voided')
            GROUP BY payload->>'accrual_id'
        ) v ON v.accrual_id = a.id::text
        WHERE a.tenant_id = :current_tenant
          AND (coalesce(v.least, a.points) <> a.points OR coalesce(v.most, a.points) <> a.points
               OR coalesce(v.voided, 0) <> (a.state = 'VOIDED')::int OR coalesce(v.pending, 0) > 1
               OR (a.state IN ('PENDING', 'VOIDED') AND coalesce(v.pending, 0) <> 1))
    """,
    "an adjustment has one entry, for the same customer and the same points": """
        SELECT d.id, d.points, count(e.id) AS entries
        FROM adjustments d
        LEFT JOIN entries e ON e.tenant_id = d.tenant_id AND e.cause_id = d.id AND e.kind = 'ADJUSTED'
             AND e.points = d.points AND e.customer_id = d.customer_id
             AND e.reference_kind = 'ADJUSTMENT' AND e.reference_id = d.id
        WHERE d.tenant_id = :current_tenant
        GROUP BY d.id, d.points HAVING count(e.id) <> 1
    """,
    "every entry has a cause": """
        SELECT e.id, e.kind FROM entries e
        WHERE e.tenant_id = :current_tenant
          AND ((e.kind IN ('EARNED', 'EARN_REVERSED') AND NOT EXISTS (
                   SELECT FROM accruals a WHERE a.tenant_id = e.tenant_id AND a.id = e.cause_id))
            OR (e.kind = 'ADJUSTED' AND NOT EXISTS (
                   SELECT FROM adjustments d WHERE d.tenant_id = e.tenant_id AND d.id = e.cause_id))
            OR (e.kind = 'REDEEMED' AND NOT EXISTS (
                   SELECT FROM redemptions r WHERE r.tenant_id = e.tenant_id AND r.id = e.cause_id))
            OR (e.kind = 'REDEMPTION_RETURNED' AND NOT EXISTS (
                   SELECT FROM redemption_returns r WHERE r.tenant_id = e.tenant_id AND r.id = e.cause_id))
            OR (e.kind = 'EXPIRED' AND NOT EXISTS (
                   SELECT FROM lots l WHERE l.tenant_id = e.tenant_id AND l.id = e.cause_id))
            OR (e.kind = 'OPENING' AND NOT EXISTS (
                   SELECT FROM opening_balances o WHERE o.tenant_id = e.tenant_id AND o.id = e.cause_id))
            OR (e.kind = 'MERGED' AND NOT EXISTS (
                   SELECT FROM customer_merges m WHERE m.tenant_id = e.tenant_id AND m.id = e.cause_id)))
    """,
    "a purchase is what its last fact said, and no fact is missing": """
        SELECT p.id, p.version, p.status, count(f.version) AS facts
        FROM purchases p
        LEFT JOIN purchase_facts f ON f.tenant_id = p.tenant_id AND f.purchase_id = p.id
        WHERE p.tenant_id = :current_tenant
        GROUP BY p.id, p.version, p.status
        HAVING count(f.version) <> p.version OR max(f.version) IS DISTINCT FROM p.version
            OR bool_or(f.version = p.version AND f.status = p.status) IS NOT TRUE
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
    "every entry is told once, with its points": """
        SELECT e.id, e.kind, e.points, v.kind AS told
        FROM entries e
        LEFT JOIN events v ON v.tenant_id = e.tenant_id AND v.entry_id = e.id
             AND v.customer_id = e.customer_id AND (v.payload->>'points')::bigint = e.points
             AND v.kind = CASE e.kind WHEN 'EARNED' THEN 'points.earned' WHEN 'ADJUSTED' THEN 'points.adjusted'
                                      WHEN 'EARN_REVERSED' THEN 'points.reversed' WHEN 'REDEEMED' THEN 'points.redeemed'
                                      WHEN 'REDEMPTION_RETURNED' THEN 'points.returned'
                                      WHEN 'EXPIRED' THEN 'points.expired' WHEN 'OPENING' THEN 'points.opened'
                                      WHEN 'MERGED' THEN 'points.merged' END
        WHERE e.tenant_id = :current_tenant AND v.id IS NULL
    """,
    "an event names its entry, and only an event of a movement does": """
        SELECT v.id, v.kind, v.entry_id FROM events v
        WHERE v.tenant_id = :current_tenant
          AND (v.entry_id::text IS DISTINCT FROM v.payload->>'entry_id'
               OR (v.entry_id IS NOT NULL) <> (v.kind IN ('points.earned', 'points.adjusted', 'points.reversed',
                       'points.redeemed', 'points.returned', 'points.expired', 'points.opened', 'points.merged')))
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
        SELECT k.key FROM idempotency_keys k
        WHERE k.tenant_id = :current_tenant AND k.operation = 'pointsAdjust'
          AND NOT EXISTS (SELECT FROM adjustments d WHERE d.tenant_id = k.tenant_id AND d.id = k.result_id)
    """,
}


class Difference(NamedTuple):
    """An invariant that does not hold: in how many rows, and some of them."""

    invariant: str
    rows: int
    examples: list[dict[str, Any]]

    def __str__(self) -> str:
        """One line for people."""
        shown = "; ".join(str(example) for example in self.examples)
        return f"Not so in {self.rows} rows: {self.invariant}: {shown}"


async def find_differences(tx: Transaction) -> list[Difference]:
    """Ask for every invariant, inside one tenant; the transaction must see one moment."""
    differences = []
    for invariant, question in INVARIANTS.items():
        rows = await tx.rows(text(question))
        if rows:
            examples = [dict(row._mapping) for row in rows[:MAX_EXAMPLES]]  # noqa: SLF001 - SQLAlchemy's API
            differences.append(Difference(invariant, len(rows), examples))
    return differences
