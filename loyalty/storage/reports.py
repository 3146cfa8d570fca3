"""Sums over the ledger for a span of time, from a covering index."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, distinct, func, select

from loyalty.rules.entry_kinds import ACTIVE
from loyalty.storage.tables import customers, entries
from tenancy.reading import Reads
from tenancy.table import INSTANT, among_these, tenant_parameter


class KindSum(NamedTuple):
    """What the entries of one kind add up to."""

    kind: str
    points: int
    entries: int


_in_range = (
    entries.c.tenant_id == tenant_parameter(),
    entries.c.occurred_at >= bindparam("start_at", type_=INSTANT),
    entries.c.occurred_at < bindparam("end_at", type_=INSTANT),
)
_SUMS = (
    select(entries.c.kind, func.sum(entries.c.points).label("points"), func.count().label("entries"))
    .where(*_in_range)
    .group_by(entries.c.kind)
)
# A merged customer counts as the target; those few are read first.
_become = (
    select(customers.c.id, customers.c.merged_into)
    .where(customers.c.tenant_id == tenant_parameter(), customers.c.merged_into.is_not(None))
    .subquery("become")
)
_ACTIVE = (
    select(func.count(distinct(func.coalesce(_become.c.merged_into, entries.c.customer_id))))
    .select_from(entries.outerjoin(_become, _become.c.id == entries.c.customer_id))
    .where(*_in_range, among_these(entries.c.kind, ACTIVE))
)


async def sum_by_kind(tx: Reads, start_at: datetime, end_at: datetime) -> dict[str, KindSum]:
    """Points by kind of entry in ``[start_at, end_at)``; signed, so what left a balance is negative."""
    rows = await tx.rows(_SUMS, start_at=start_at, end_at=end_at)
    # The sum of bigints is numeric, which holds any of them.
    return {row.kind: KindSum(row.kind, int(row.points), row.entries) for row in rows}


async def count_active_customers(tx: Reads, start_at: datetime, end_at: datetime) -> int:
    """Customers who earned or redeemed in ``[start_at, end_at)`` (C-12)."""
    row = await tx.row(_ACTIVE, start_at=start_at, end_at=end_at)
    return int(row[0]) if row else 0
