"""Book what was spent of budgets, in one statement for all buckets of a tenant that are booked together."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    ScalarSelect,
    Text,
    all_,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from loyalty.rules.budget import BudgetLimits
from loyalty.storage.tables import budgets
from tenancy.database import Transaction
from tenancy.table import INSTANT, tenant_parameter
from tenancy.tables import tenants

MAX_FORGOTTEN = 100
"""The number of full buckets whose rows one booking deletes: as many as one booking can make."""

_now = bindparam("now", type_=INSTANT)
_scopes = bindparam("scopes", type_=ARRAY(Text()))
_full_ats, _rates = bindparam("full_ats", type_=ARRAY(INSTANT)), bindparam("rates", type_=ARRAY(Integer))
_spent = (
    func.unnest(_scopes, _full_ats, _rates)
    .table_valued("scope", "full_at", "per_second", name="spent")
    .render_derived()
)
# This does not wait: a row that another transaction has locked is deleted at a later booking.
_full = (
    select(budgets.c.scope)
    .where(budgets.c.tenant_id == tenant_parameter(), budgets.c.full_at <= _now, budgets.c.scope != all_(_scopes))
    .order_by(budgets.c.full_at)
    .limit(literal_column(str(MAX_FORGOTTEN)))
    .with_for_update(skip_locked=True)
)
_forgotten = (
    delete(budgets)
    .where(budgets.c.tenant_id == tenant_parameter(), budgets.c.scope.in_(_full))
    .returning(budgets.c.scope)
    .cte("forgotten")
)
_fresh = insert(budgets).from_select(
    ["tenant_id", "scope", "full_at", "per_second"],
    # In the same order in every transaction, so that no two of them wait for each other.
    select(tenant_parameter(), _spent.c.scope, _spent.c.full_at, _spent.c.per_second).order_by(_spent.c.scope),
)
_new = _fresh.excluded
_missing_so_far = (func.greatest(budgets.c.full_at, _now) - _now) * cast(budgets.c.per_second, Double) / _new.per_second
"""The time until the bucket is full, converted to the present rate."""


def _own_limit(limit: ColumnElement[int | None]) -> ScalarSelect[int | None]:
    return select(limit).where(tenants.c.tenant_id == tenant_parameter()).scalar_subquery()


_BOOK = (
    _fresh.on_conflict_do_update(
        index_elements=["tenant_id", "scope"],
        set_={"full_at": _new.full_at + _missing_so_far, "per_second": _new.per_second},
    )
    .returning(
        budgets.c.scope,
        budgets.c.full_at,
        _own_limit(tenants.c.budget_points).label("points"),
        _own_limit(tenants.c.budget_per_second).label("points_per_second"),
    )
    .add_cte(_forgotten)
)


class Spending(NamedTuple):
    """The points spent of one bucket. If it was full before, it is full again at `full_at`.

    The rate is in points a second.
    """

    scope: str
    full_at: datetime
    per_second: int


class Booked(NamedTuple):
    """For each bucket the time when it will be full, after the bookings of all processes.

    `own_limits` are the limits that the platform gave this tenant; None if those of the settings count.
    """

    full_at: dict[str, datetime]
    own_limits: BudgetLimits | None


async def book_spending(tx: Transaction, spending: Sequence[Spending], now: datetime) -> Booked:
    """Book what was spent of one or more buckets. The rows of some full buckets are deleted."""
    rows = await tx.rows(
        _BOOK,
        scopes=[one.scope for one in spending],
        full_ats=[one.full_at for one in spending],
        rates=[one.per_second for one in spending],
        now=now,
    )
    own = next(((row.points, row.points_per_second) for row in rows if row.points is not None), None)
    return Booked({row.scope: row.full_at for row in rows}, None if own is None else BudgetLimits(*own))
