"""Sums over the entries of a span of time at some locations."""

from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Date, bindparam, cast, distinct, func, select

from loyalty.rules.entry_kinds import ACTIVE
from loyalty.storage.located import HAPPENED_THERE, LOCATIONS
from loyalty.storage.tables import customers, entries
from tenancy.reading import Reads
from tenancy.table import INSTANT, among_these, tenant_parameter


class DaySum(NamedTuple):
    """The sum of the entries of one kind on one local day."""

    day: date
    kind: str
    points: int


_in_range = (
    entries.c.tenant_id == tenant_parameter(),
    entries.c.occurred_at >= bindparam("start_at", type_=INSTANT),
    entries.c.occurred_at < bindparam("end_at", type_=INSTANT),
)
_SUMS_THERE = (
    select(entries.c.kind, func.sum(entries.c.points).label("points"))
    .where(*_in_range, HAPPENED_THERE)
    .group_by(entries.c.kind)
)
_day = cast(func.timezone(bindparam("time_zone"), entries.c.occurred_at), Date).label("day")
_DAYS_THERE = (
    select(_day, entries.c.kind, func.sum(entries.c.points).label("points"))
    .where(*_in_range, HAPPENED_THERE)
    .group_by(_day, entries.c.kind)
    .order_by(_day, entries.c.kind)
)
# A merged customer counts as the target; those few are read first.
_become = (
    select(customers.c.id, customers.c.merged_into)
    .where(customers.c.tenant_id == tenant_parameter(), customers.c.merged_into.is_not(None))
    .subquery("become")
)
_ACTIVE_THERE = (
    select(func.count(distinct(func.coalesce(_become.c.merged_into, entries.c.customer_id))))
    .select_from(entries.outerjoin(_become, _become.c.id == entries.c.customer_id))
    .where(*_in_range, among_these(entries.c.kind, ACTIVE), HAPPENED_THERE)
)


async def sum_there(tx: Reads, start_at: datetime, end_at: datetime, scope: frozenset[str]) -> dict[str, int]:
    """Sum points by kind of entry in ``[start_at, end_at)``.

    The sums are signed: points that left a balance are negative.
    """
    rows = await tx.rows(_SUMS_THERE, start_at=start_at, end_at=end_at, **_name_locations(scope))
    # The sum of bigints is numeric, which holds any of them.
    return {row.kind: int(row.points) for row in rows}


async def count_active_there(tx: Reads, start_at: datetime, end_at: datetime, scope: frozenset[str]) -> int:
    """Count the customers who earned or redeemed in ``[start_at, end_at)`` (C-12)."""
    row = await tx.row(_ACTIVE_THERE, start_at=start_at, end_at=end_at, **_name_locations(scope))
    return int(row[0]) if row else 0


async def sum_days_there(
    tx: Reads, start_at: datetime, end_at: datetime, time_zone: str, scope: frozenset[str]
) -> list[DaySum]:
    """Sum points by local day and kind of entry in ``[start_at, end_at)``, in the order of the days."""
    rows = await tx.rows(_DAYS_THERE, start_at=start_at, end_at=end_at, time_zone=time_zone, **_name_locations(scope))
    return [DaySum(row.day, row.kind, int(row.points)) for row in rows]


def _name_locations(scope: frozenset[str]) -> dict[str, list[str]]:
    return {LOCATIONS: sorted(scope)}
