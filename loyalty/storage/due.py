"""Where time alone has made something due: which tenants, asked by the relay role across all of them.

A sandbox may be ahead of the others, so its rows are compared with its own clock.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.accrual import AccrualState
from loyalty.rules.ids import TenantId
from loyalty.rules.lots import LotState
from loyalty.rules.redemption import HoldState
from loyalty.storage.tables import accounts, accruals, holds, lots, purchases
from tenancy.table import INSTANT
from tenancy.tables import tenants


def _due_tenants(at: Column[datetime], *conditions: ColumnElement[bool]) -> Any:
    """Tenants with rows whose instant ``at`` has come, those that wait longest first."""
    now = bindparam("now", type_=INSTANT)
    own_now = now + func.make_interval(0, 0, 0, 0, 0, 0, tenants.c.clock_advance_seconds)
    owner = at.table.c.tenant_id
    everywhere = select(owner, func.min(at).label("since")).where(*conditions, at <= now).group_by(owner)
    ahead = (
        select(owner, func.min(at).label("since"))
        .join_from(tenants, at.table, owner == tenants.c.tenant_id)
        .where(tenants.c.sandbox, tenants.c.clock_advance_seconds > 0, *conditions, at <= own_now)
        .group_by(owner)
    )
    due = union_all(everywhere, ahead).subquery("due")
    return select(due.c.tenant_id).group_by(due.c.tenant_id).order_by(func.min(due.c.since)).limit(bindparam("limit"))


_DUE: Mapping[str, Any] = {
    "evaluation": _due_tenants(purchases.c.evaluates_at),
    "maturing": _due_tenants(accruals.c.matures_at, accruals.c.state == AccrualState.PENDING),
    "holds": _due_tenants(holds.c.expires_at, holds.c.state == HoldState.ACTIVE),
    "notices": _due_tenants(lots.c.notice_at, lots.c.state == LotState.OPEN),
    # Where all points whose time is over are held, nothing can expire yet.
    "expiry": _due_tenants(lots.c.due_at),
    "tiers": _due_tenants(accounts.c.tier_review_at),
}


async def read_due_tenants(connection: AsyncConnection, sweep: str, now: datetime, limit: int) -> list[TenantId]:
    """Up to so many tenants where a sweep has something to do, by its name."""
    rows = await connection.execute(_DUE[sweep], {"now": now, "limit": limit})
    return [TenantId(row.tenant_id) for row in rows]
