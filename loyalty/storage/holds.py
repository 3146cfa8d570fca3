"""Holds of points at a checkout, and their lots."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select

from loyalty.rules.entry import EntryKind
from loyalty.rules.hold_steps import PointsHold
from loyalty.rules.ids import CustomerId, EntryId, HoldId
from loyalty.rules.lots import Lot
from loyalty.rules.points_paid import ActiveHold, point_value
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.redemption import CaptureOn, HoldState
from loyalty.storage.known_checkouts import KnownCheckout, build_known_checkout, join_purchase, list_known_columns
from loyalty.storage.lots import LOT_COLUMNS, lot_of, spending_order
from loyalty.storage.points_paid import PurchaseKey, name_purchase, read_terms
from loyalty.storage.tables import allocations, entries, hold_lots, holds, lots
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, tenant_parameter


class HoldRow(NamedTuple):
    """A hold of points, active or ended."""

    id: HoldId
    customer_id: CustomerId
    state: HoldState
    points: int
    captured_points: int
    discount_minor: int
    currency: str
    value_points: int
    value_minor: int
    purchase_kind: PurchaseKind | None
    purchase_external_id: str | None
    lowered_points: int
    lowered_at: datetime | None
    terms: dict[str, int | None] | None
    capture_on: CaptureOn
    expires_at: datetime
    created_at: datetime
    ended_at: datetime | None
    actor_kind: str
    actor: str
    ended_actor_kind: str | None = None
    ended_actor: str | None = None
    ended_reason: str | None = None
    location: str | None = None

    @property
    def left_points(self) -> int:
        """How many points can still be captured: the points set aside, less the points that went back early."""
        return self.points - self.lowered_points

    @property
    def active(self) -> ActiveHold:
        """The hold as the limits of its purchase count it."""
        value = point_value(self.value_points, self.value_minor, self.currency)
        return ActiveHold(self.id, self.left_points, self.discount_minor, value, read_terms(self.terms))

    @property
    def numbers(self) -> PointsHold:
        """The numbers by which the rules decide."""
        return PointsHold(self.customer_id, self.state, self.expires_at, self.points, self.active)

    @property
    def purchase(self) -> PurchaseKey | None:
        """The natural key of its purchase; None for a hold from before each hold named one."""
        return name_purchase(self.purchase_kind, self.purchase_external_id)


class PartOfLot(NamedTuple):
    """A number of points of one lot, and the lot's customer. ``lowered_points`` of a hold went back before."""

    customer_id: CustomerId
    lot: Lot
    points: int
    lowered_points: int = 0


class UnpaidDebit(NamedTuple):
    """A debit that took more points than the lots had. These points are debt until a credit pays it."""

    entry_id: EntryId
    points: int


_HOLD_COLUMNS = [holds.c[name] for name in HoldRow._fields]


_HOLD_WITH_PURCHASE = (
    select(
        *_HOLD_COLUMNS,
        *list_known_columns(holds.c.purchase_kind, holds.c.purchase_external_id),
    )
    .select_from(join_purchase(holds.c.purchase_kind, holds.c.purchase_external_id, holds))
    .where(holds.c.tenant_id == tenant_parameter(), holds.c.id == bindparam("hold"))
)


_HELD = (
    select(
        *LOT_COLUMNS,
        (hold_lots.c.points - hold_lots.c.lowered_points).label("points"),
        hold_lots.c.lowered_points,
        hold_lots.c.hold_id,
    )
    .join_from(hold_lots, lots, (lots.c.tenant_id == hold_lots.c.tenant_id) & (lots.c.id == hold_lots.c.lot_id))
    .where(
        hold_lots.c.tenant_id == tenant_parameter(),
        among(hold_lots.c.hold_id, "holds"),
        hold_lots.c.points > hold_lots.c.lowered_points,
    )
    # The points with the soonest expiry pay a debt first.
    .order_by(*spending_order(lots.c))
)


_HOLDS_BY_ID = select(*_HOLD_COLUMNS).where(holds.c.tenant_id == tenant_parameter(), among(holds.c.id, "ids"))


_ABANDONED = (
    select(*_HOLD_COLUMNS)
    .where(
        holds.c.tenant_id == tenant_parameter(),
        holds.c.state == HoldState.ACTIVE,
        holds.c.expires_at <= bindparam("now", type_=INSTANT),
    )
    .order_by(holds.c.expires_at, holds.c.id)
    .limit(bindparam("limit"))
)


_ACTIVE_FOR_PURCHASES = (
    select(*_HOLD_COLUMNS)
    .where(
        holds.c.tenant_id == tenant_parameter(),
        holds.c.state == HoldState.ACTIVE,
        holds.c.purchase_kind == bindparam("kind"),
        holds.c.purchase_external_id == bindparam("external_id"),
    )
    .order_by(holds.c.id)
)


_HOLDS_MOVED = (
    select(*_HOLD_COLUMNS)
    .where(
        holds.c.tenant_id == tenant_parameter(),
        holds.c.purchase_kind == bindparam("kind"),
        holds.c.purchase_external_id == bindparam("external_id"),
        (holds.c.ended_at == bindparam("moment", type_=INSTANT))
        | (holds.c.lowered_at == bindparam("moment", type_=INSTANT)),
    )
    .order_by(holds.c.id)
)


_allocated = func.coalesce(func.sum(allocations.c.points), 0)


_UNPAID = (
    select(entries.c.id, (-entries.c.points - _allocated).label("points"))
    .select_from(
        entries.outerjoin(
            allocations,
            (allocations.c.tenant_id == entries.c.tenant_id) & (allocations.c.entry_id == entries.c.id),
        )
    )
    .where(
        entries.c.tenant_id == tenant_parameter(),
        entries.c.customer_id == bindparam("customer"),
        entries.c.points < 0,
        entries.c.kind != EntryKind.EXPIRED,
    )
    .group_by(entries.c.id, entries.c.points, entries.c.sequence)
    .having(-entries.c.points > _allocated)
    .order_by(entries.c.sequence)
)


async def read_hold_with_purchase(tx: Transaction, hold_id: HoldId) -> tuple[HoldRow, KnownCheckout]:
    """Return an existing hold, with the known facts about the purchase for which it pays."""
    (row,) = await tx.rows(_HOLD_WITH_PURCHASE, hold=hold_id)
    hold = HoldRow._make(getattr(row, name) for name in HoldRow._fields)
    return _read_enums(hold), build_known_checkout(row)


async def read_held_lots(tx: Transaction, hold_ids: Sequence[HoldId]) -> dict[HoldId, list[PartOfLot]]:
    """Return the points that each hold has set aside, lot by lot, in the order in which lots are spent."""
    found: dict[HoldId, list[PartOfLot]] = {hold_id: [] for hold_id in hold_ids}
    for row in await tx.rows(_HELD, holds=list(hold_ids)):
        found[HoldId(row.hold_id)].append(
            PartOfLot(CustomerId(row.customer_id), lot_of(row), row.points, row.lowered_points)
        )
    return found


async def read_unpaid_debits(tx: Transaction, customer_id: CustomerId) -> list[UnpaidDebit]:
    """Return the debits of a customer that took more than lots have paid, oldest first."""
    return [UnpaidDebit(row.id, int(row.points)) for row in await tx.rows(_UNPAID, customer=customer_id)]


async def read_holds_by_id(tx: Reads, ids: Sequence[HoldId]) -> dict[HoldId, HoldRow]:
    """Return the holds among ``ids``."""
    return {row.id: hold_row(row) for row in await tx.rows(_HOLDS_BY_ID, ids=list(ids))}


async def read_abandoned_holds(tx: Transaction, now: datetime, limit: int) -> list[HoldRow]:
    """Return active holds whose time is over, the longest over first."""
    return [hold_row(row) for row in await tx.rows(_ABANDONED, now=now, limit=limit)]


async def read_active_holds_for(tx: Transaction, purchase: PurchaseKey) -> list[HoldRow]:
    """Return the active holds that pay for a purchase, oldest first."""
    return [hold_row(row) for row in await tx.rows(_ACTIVE_FOR_PURCHASES, **purchase._asdict())]


async def read_holds_moved_at(tx: Transaction, purchase: PurchaseKey, moment: datetime) -> list[HoldRow]:
    """Return the holds for a purchase that ended or were lowered at a moment, oldest first."""
    return [hold_row(row) for row in await tx.rows(_HOLDS_MOVED, **purchase._asdict(), moment=moment)]


def hold_row(row: Any) -> HoldRow:
    """Return a hold from its columns."""
    return _read_enums(HoldRow._make(row))


def _read_enums(hold: HoldRow) -> HoldRow:
    kind = PurchaseKind(hold.purchase_kind) if hold.purchase_kind else None
    return hold._replace(state=HoldState(hold.state), purchase_kind=kind, capture_on=CaptureOn(hold.capture_on))
