"""Where time alone has made something due: which tenants, asked by the relay role across all of them.

A sandbox may be ahead of the others, so its rows are compared with its own clock.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.accrual import AccrualState
from loyalty.rules.ids import TenantId
from loyalty.rules.lots import LotState
from loyalty.rules.redemption import HoldState
from loyalty.storage.tables import accounts, accruals, gift_card_holds, gift_cards, holds, lots, purchases
from tenancy.table import INSTANT
from tenancy.tables import tenants


def _due_tenants(at: Column[datetime], *conditions: ColumnElement[bool]) -> Any:
    """Tenants with rows whose instant ``at`` has come, those that wait longest first.

    Each tenant is asked for its first row only, by an index, however many rows are due and will be.
    """
    first = (
        select(at.label("since"))
        .where(at.table.c.tenant_id == tenants.c.tenant_id, at.is_not(None), *conditions)
        .order_by(at)
        .limit(1)
        .correlate(tenants)
        .lateral("first")
    )
    ahead = func.make_interval(0, 0, 0, 0, 0, 0, tenants.c.clock_advance_seconds)
    return (
        select(tenants.c.tenant_id)
        .join_from(tenants, first, true())
        .where(first.c.since <= bindparam("now", type_=INSTANT) + ahead)
        .order_by(first.c.since)
        .limit(bindparam("limit"))
    )


_DUE: Mapping[str, Any] = {
    "evaluation": _due_tenants(purchases.c.evaluates_at),
    "maturing": _due_tenants(accruals.c.matures_at, accruals.c.state == AccrualState.PENDING),
    "holds": _due_tenants(holds.c.expires_at, holds.c.state == HoldState.ACTIVE),
    "notices": _due_tenants(lots.c.notice_at, lots.c.state == LotState.OPEN),
    # Where all points whose time is over are held, nothing can expire yet.
    "expiry": _due_tenants(lots.c.due_at),
    "gift_card_holds": _due_tenants(gift_card_holds.c.expires_at, gift_card_holds.c.state == HoldState.ACTIVE),
    # Where all that is left of the cards whose time is over is held, nothing can expire yet.
    "gift_card_expiry": _due_tenants(gift_cards.c.due_at),
    "tiers": _due_tenants(accounts.c.tier_review_at),
}


async def read_due_tenants(connection: AsyncConnection, sweep: str, now: datetime, limit: int) -> list[TenantId]:
    """Up to so many tenants where a sweep has something to do, by its name."""
    rows = await connection.execute(_DUE[sweep], {"now": now, "limit": limit})
    return [TenantId(row.tenant_id) for row in rows]
