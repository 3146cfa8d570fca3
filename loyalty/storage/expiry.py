"""Lots that are due to expire, notices that are due, and the points that expire on each day."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, literal, select

from loyalty.rules.expiry import last_day_before
from loyalty.rules.ids import CustomerId, LotId
from loyalty.rules.lots import Lot, LotState
from loyalty.storage.lots import LOT_COLUMNS, lot_of
from loyalty.storage.tables import expiry_notices, lots
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, tenant_parameter
from tenancy.tables import tenants


class DueLot(NamedTuple):
    """A lot that is due to expire, or whose notice is due, with its customer."""

    lot_id: LotId
    customer_id: CustomerId


class Notice(NamedTuple):
    """A notice that points of a lot will expire at an instant, so many days before. It is told once."""

    lot_id: LotId
    expires_at: datetime
    days_before: int


class ExpiringRow(NamedTuple):
    """The points that can be spent until the end of a local day."""

    last_day: date
    expires_at: datetime
    points: int


class LotRow(NamedTuple):
    """A lot as clients see it."""

    id: LotId
    customer_id: CustomerId
    entry_id: UUID
    original: int
    remaining: int
    held: int
    expired: int
    opened_at: datetime
    expires_at: datetime | None


_OPEN = (lots.c.tenant_id == tenant_parameter(), lots.c.state == literal(LotState.OPEN))
_DUE = (
    select(lots.c.id, lots.c.customer_id)
    .where(lots.c.tenant_id == tenant_parameter(), lots.c.due_at <= bindparam("now", type_=INSTANT))
    .order_by(lots.c.due_at, lots.c.id)
    .limit(bindparam("limit"))
)
_NOTICES = (
    select(lots.c.id, lots.c.customer_id)
    .where(*_OPEN, lots.c.notice_at <= bindparam("now", type_=INSTANT))
    .order_by(lots.c.notice_at, lots.c.id)
    .limit(bindparam("limit"))
)
_TOLD = select(expiry_notices.c.lot_id, expiry_notices.c.expires_at, expiry_notices.c.days_before).where(
    expiry_notices.c.tenant_id == tenant_parameter(),
    among(expiry_notices.c.lot_id, "ids"),
)
_EXPIRING = (
    select(
        lots.c.customer_id,
        lots.c.expires_at,
        func.sum(lots.c.remaining).label("points"),
        func.min(tenants.c.time_zone).label("time_zone"),
    )
    .join_from(lots, tenants, tenants.c.tenant_id == lots.c.tenant_id)
    .where(
        *_OPEN,
        among(lots.c.customer_id, "customers"),
        lots.c.remaining > 0,
        # A sandbox may be ahead of the others.
        lots.c.expires_at
        > bindparam("now", type_=INSTANT) + func.make_interval(0, 0, 0, 0, 0, 0, tenants.c.clock_advance_seconds),
    )
    .group_by(lots.c.customer_id, lots.c.expires_at)
    .order_by(lots.c.customer_id, lots.c.expires_at)
)
_LOTS = select(*LOT_COLUMNS).where(lots.c.tenant_id == tenant_parameter(), among(lots.c.id, "ids"))
_BY_IDS = select(*(lots.c[name] for name in LotRow._fields)).where(
    lots.c.tenant_id == tenant_parameter(), among(lots.c.id, "ids")
)


async def read_due_lots(tx: Transaction, now: datetime, limit: int) -> list[DueLot]:
    """Return lots with points left whose time is over, the longest over first."""
    return [DueLot(row.id, row.customer_id) for row in await tx.rows(_DUE, now=now, limit=limit)]


async def read_due_notices(tx: Transaction, now: datetime, limit: int) -> list[DueLot]:
    """Return lots with a due notice."""
    return [DueLot(row.id, row.customer_id) for row in await tx.rows(_NOTICES, now=now, limit=limit)]


async def read_lots_of(tx: Transaction, seen: Sequence[DueLot]) -> dict[CustomerId, list[Lot]]:
    """Return the present state of these lots by customer; the accounts must be locked."""
    found: dict[CustomerId, list[Lot]] = {one.customer_id: [] for one in seen}
    for row in await tx.rows(_LOTS, ids=[one.lot_id for one in seen]):
        found[CustomerId(row.customer_id)].append(lot_of(row))
    return found


async def read_notices_told(tx: Transaction, lot_ids: Sequence[LotId]) -> set[Notice]:
    """Return which notices of these lots have been told."""
    return {Notice._make(row) for row in await tx.rows(_TOLD, ids=list(lot_ids))}


async def read_expiring(
    tx: Reads, customer_ids: Sequence[CustomerId], now: datetime
) -> dict[CustomerId, list[ExpiringRow]]:
    """Return for each customer which points expire when, soonest first. Points that never expire are left out.

    All points of one day expire at one instant, so there is one row for each day. ``now`` is the time for tenants that
    have not advanced their clock.
    """
    found: dict[CustomerId, list[ExpiringRow]] = {customer_id: [] for customer_id in customer_ids}
    for row in await tx.rows(_EXPIRING, customers=list(customer_ids), now=now):
        last_day = last_day_before(row.expires_at, ZoneInfo(row.time_zone))
        found[CustomerId(row.customer_id)].append(ExpiringRow(last_day, row.expires_at, int(row.points)))
    return found


async def read_lots_by_id(tx: Reads, ids: Sequence[LotId]) -> dict[LotId, LotRow]:
    """Return the lots among ``ids``."""
    return {row.id: LotRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}
