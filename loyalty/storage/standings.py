"""The points that tiers stand on, counted by tier windows, and the customers with a due review."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from loyalty.rules.entry_kinds import QUALIFYING, quote
from loyalty.rules.ids import CustomerId
from loyalty.storage.tables import accounts
from tenancy.database import Transaction
from tenancy.table import INSTANT, tenant_parameter

# A reversal counts in the window that its points were earned in; a merged customer's points count for the target.
_WINDOW_POINTS = text(f"""
    WITH people AS MATERIALIZED (
        SELECT id, id AS become FROM unnest(:customers) AS id
        UNION ALL
        SELECT id, merged_into FROM customers WHERE tenant_id = :current_tenant AND merged_into = ANY(:customers)
    )
    SELECT become AS customer_id,
           coalesce(sum(points) FILTER (WHERE at >= :started_at), 0)::bigint AS points,
           coalesce(sum(points) FILTER (WHERE at < :started_at), 0)::bigint AS previous
    FROM (
        SELECT p.become, e.points, coalesce(o.occurred_at, e.occurred_at) AS at
        FROM people p JOIN entries e ON e.tenant_id = :current_tenant AND e.customer_id = p.id
             AND e.occurred_at >= :before AND e.kind IN ({quote(QUALIFYING)})
        LEFT JOIN adjustments a ON a.tenant_id = :current_tenant AND a.id = e.cause_id AND e.kind = 'ADJUSTED'
        LEFT JOIN entries o ON o.tenant_id = :current_tenant AND o.cause_id = e.cause_id AND o.kind = 'EARNED'
             AND o.phase = 'EARN' AND e.kind = 'EARN_REVERSED'
        WHERE e.kind <> 'ADJUSTED' OR a.qualifying
        UNION ALL
        SELECT p.become, b.qualifying, b.imported_at
        FROM people p CROSS JOIN LATERAL (
            SELECT qualifying, imported_at FROM opening_balances
            WHERE tenant_id = :current_tenant AND customer_id = p.id
            OFFSET 0 -- so that a batch never reads the whole table
        ) b
    ) counted
    WHERE at >= :before
    GROUP BY become
""").bindparams(  # noqa: S608 - made of constants
    bindparam("customers", type_=ARRAY(UUID)),
    bindparam("started_at", type_=INSTANT),
    bindparam("before", type_=INSTANT),
)

_DUE = (
    select(accounts.c.customer_id)
    .where(accounts.c.tenant_id == tenant_parameter(), accounts.c.tier_review_at <= bindparam("now", type_=INSTANT))
    .order_by(accounts.c.tier_review_at)
    .limit(bindparam("limit"))
)


async def read_window_points(
    tx: Transaction, customer_ids: Sequence[CustomerId], started_at: datetime, before: datetime
) -> dict[CustomerId, tuple[int, int]]:
    """Return the qualifying points since a window began, and those of the window before.

    A customer without any is left out.
    """
    rows = await tx.rows(_WINDOW_POINTS, customers=list(customer_ids), started_at=started_at, before=before)
    return {CustomerId(row.customer_id): (row.points, row.previous) for row in rows}


async def read_due_reviews(tx: Transaction, now: datetime, limit: int) -> list[CustomerId]:
    """Return customers whose standing, window or locked tier is due for a review, the longest due first."""
    return [CustomerId(row.customer_id) for row in await tx.rows(_DUE, now=now, limit=limit)]
