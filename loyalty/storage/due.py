"""Where time alone has made something due: which tenants, asked by the relay role across all of them.

A sandbox may be ahead of the others, so its rows are compared with its own clock.
"""

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


_EVALUATIONS = _due_tenants(purchases.c.evaluates_at)
_EXPIRY = _due_tenants(lots.c.due_at)
_NOTICES = _due_tenants(lots.c.notice_at, lots.c.state == LotState.OPEN)
_HOLDS = _due_tenants(holds.c.expires_at, holds.c.state == HoldState.ACTIVE)
_REVIEWS = _due_tenants(accounts.c.tier_review_at)
_ACCRUALS = _due_tenants(accruals.c.matures_at, accruals.c.state == AccrualState.PENDING)


async def read_tenants_with_due_accruals(connection: AsyncConnection, now: datetime, limit: int) -> list[TenantId]:
    """Tenants whose pending points are due."""
    return await _read(connection, _ACCRUALS, now, limit)


async def read_tenants_with_due_evaluations(connection: AsyncConnection, now: datetime, limit: int) -> list[TenantId]:
    """Tenants with purchases whose rules are due to be evaluated."""
    return await _read(connection, _EVALUATIONS, now, limit)


async def read_tenants_with_due_lots(connection: AsyncConnection, now: datetime, limit: int) -> list[TenantId]:
    """Tenants with points whose time is over; where all of them are held, nothing can expire yet."""
    return await _read(connection, _EXPIRY, now, limit)


async def read_tenants_with_due_notices(connection: AsyncConnection, now: datetime, limit: int) -> list[TenantId]:
    """Tenants with lots whose owner is due to be told that they will expire."""
    return await _read(connection, _NOTICES, now, limit)


async def read_tenants_with_abandoned_holds(connection: AsyncConnection, now: datetime, limit: int) -> list[TenantId]:
    """Tenants with active holds whose time is over."""
    return await _read(connection, _HOLDS, now, limit)


async def read_tenants_with_due_reviews(connection: AsyncConnection, now: datetime, limit: int) -> list[TenantId]:
    """Tenants with customers whose tier time alone may change."""
    return await _read(connection, _REVIEWS, now, limit)


async def _read(connection: AsyncConnection, statement: Any, now: datetime, limit: int) -> list[TenantId]:
    rows = await connection.execute(statement, {"now": now, "limit": limit})
    return [TenantId(row.tenant_id) for row in rows]
