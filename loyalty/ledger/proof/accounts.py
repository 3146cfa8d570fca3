"""Questions about accounts: each number of an account is the sum of other rows."""

from collections.abc import Mapping, Sequence

from loyalty.ledger.proof.question import Broken, Source
from loyalty.rules.entry_kinds import LIFETIME_EARNED, quote

SOURCES: Sequence[Source] = (
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
    # Every account with the sums of its entries, lots, accruals and adjustments.
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
)

QUESTIONS: Mapping[str, str] = {
    "every customer has an account": """
        SELECT c.id FROM customers c
        WHERE c.tenant_id = :current_tenant
          AND NOT EXISTS (SELECT FROM accounts a WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id)
    """,
}
"""Queries that are asked once, of the whole tenant. Each finds the rows that break its invariant."""
