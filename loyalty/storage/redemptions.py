"""Holds and redemptions: what a checkout must know before it locks, and what it moves under the lock."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, cast, func, null, select, true, union_all
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.entry import EntryKind
from loyalty.rules.ids import (
    CustomerId,
    EntryId,
    GiftCardId,
    HoldId,
    PurchaseId,
    RedemptionId,
    RedemptionReturnId,
)
from loyalty.rules.lots import Lot
from loyalty.rules.points_paid import ActiveHold, point_value
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.redemption import CaptureOn, HoldState
from loyalty.storage.checkouts import join_purchase
from loyalty.storage.idempotency import KEPT_FOR_CALL, KeptKey, KeyedCall
from loyalty.storage.lots import LOT_COLUMNS, lot_of
from loyalty.storage.points_paid import (
    PURCHASE_COLUMNS,
    REFUNDED_TABLES,
    VERSION,
    KnownCheckout,
    PurchaseKey,
    given_back,
    known_checkout,
    of_refunds,
    paying_holds,
    paying_redemptions,
    read_terms,
    sum_of,
)
from loyalty.storage.purchase_locks import take_purchase
from loyalty.storage.shared_names import conditions_of
from loyalty.storage.tables import (
    allocations,
    customers,
    entries,
    hold_lots,
    holds,
    lots,
    programs,
    purchase_refunds,
    purchases,
    redemption_returns,
    redemptions,
)
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, tenant_parameter


class HoldRow(NamedTuple):
    """Points that are, or were, set aside at a checkout."""

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

    @property
    def left_points(self) -> int:
        """How many points can still be captured: what was set aside, less what went back early."""
        return self.points - self.lowered_points

    @property
    def active(self) -> ActiveHold:
        """As the limits of its purchase see it."""
        value = point_value(self.value_points, self.value_minor, self.currency)
        return ActiveHold(self.id, self.left_points, self.discount_minor, value, read_terms(self.terms))

    @property
    def purchase(self) -> PurchaseKey | None:
        """The natural key of its purchase; None for a hold from before each named one."""
        if self.purchase_kind is None or self.purchase_external_id is None:
            return None
        return PurchaseKey(self.purchase_kind, self.purchase_external_id)


class RedemptionRow(NamedTuple):
    """Points that were spent at a checkout."""

    id: RedemptionId
    hold_id: HoldId
    customer_id: CustomerId
    points: int
    returned_points: int
    discount_minor: int
    currency: str
    purchase_kind: PurchaseKind | None
    purchase_external_id: str | None
    redeemed_at: datetime
    actor_kind: str
    actor: str


class ReturnRow(NamedTuple):
    """Points of a redemption that were given back."""

    id: RedemptionReturnId
    redemption_id: RedemptionId
    customer_id: CustomerId
    points: int
    discount_minor: int
    reason: str | None
    returned_at: datetime
    actor_kind: str
    actor: str
    refunded_points: int = 0
    """How many of them a refund of the purchase had left to give back."""
    refunded_minor: int = 0


class PartOfLot(NamedTuple):
    """So many points of one lot, and whose lot it is; ``lowered_points`` of a hold went back before."""

    customer_id: CustomerId
    lot: Lot
    points: int
    lowered_points: int = 0


class UnpaidDebit(NamedTuple):
    """A debit that took more than the lots had: so many of its points are debt, or were until a credit paid."""

    entry_id: EntryId
    points: int


class Prepared(NamedTuple):
    """What an operation must know before it locks anything."""

    config_version: int
    kept_key: KeptKey | None
    customer_id: CustomerId | None
    purchase_id: PurchaseId | None = None


_HOLD_COLUMNS = [holds.c[name] for name in HoldRow._fields]
_REDEMPTION_COLUMNS = [redemptions.c[name] for name in RedemptionRow._fields]
_RETURN_COLUMNS = [redemption_returns.c[name] for name in ReturnRow._fields]


def _prepare(*found: ColumnElement[Any]) -> Any:
    kept = KEPT_FOR_CALL.subquery("kept")
    return (
        select(programs.c.config_version, kept.c.fingerprint, kept.c.result_id, *found)
        .select_from(programs.outerjoin(kept, true()))
        .where(programs.c.tenant_id == tenant_parameter())
    )


def _owner_of(table: Any, parameter: str) -> Any:
    return (
        select(func.coalesce(customers.c.merged_into, customers.c.id))
        .join_from(
            table, customers, (customers.c.tenant_id == table.c.tenant_id) & (customers.c.id == table.c.customer_id)
        )
        .where(table.c.tenant_id == tenant_parameter(), table.c.id == bindparam(parameter))
        .scalar_subquery()
        .label("customer_id")
    )


def _customer_by(condition: ColumnElement[bool]) -> Any:
    """The oldest customer for whom this holds."""
    return (
        select(func.coalesce(customers.c.merged_into, customers.c.id))
        .where(customers.c.tenant_id == tenant_parameter(), condition)
        .order_by(customers.c.id)
        .limit(1)
        .scalar_subquery()
        .label("customer_id")
    )


_PREPARE_FOR_CUSTOMER = {
    "id": _prepare(_customer_by(customers.c.id == bindparam("value"))),
    "external_id": _prepare(_customer_by(customers.c.external_id == bindparam("value"))),
    **{what: _prepare(_customer_by(condition)) for what, condition in conditions_of(customers).items()},
}
_TAKE_PURCHASE = take_purchase(bindparam("purchase_kind", type_=Text()), bindparam("purchase_id", type_=Text()))
_PREPARE_TO_HOLD = {what: statement.add_columns(_TAKE_PURCHASE) for what, statement in _PREPARE_FOR_CUSTOMER.items()}
_PREPARE_FOR_NOBODY = _prepare(null().label("customer_id"))
_PREPARE_FOR_HOLD = _prepare(_owner_of(holds, "hold"))
_PREPARE_FOR_REDEMPTION = _prepare(_owner_of(redemptions, "redemption"))


def _prepare_purchase(*conditions: ColumnElement[bool]) -> Any:
    named = (purchases.c.tenant_id == tenant_parameter(), *conditions)
    return _prepare(
        select(purchases.c.customer_id).where(*named).scalar_subquery().label("customer_id"),
        select(purchases.c.id).where(*named).scalar_subquery().label("purchase_id"),
    )


_PREPARE_FOR_PURCHASE_ID = _prepare_purchase(purchases.c.id == bindparam("id"))
_PREPARE_FOR_PURCHASE_KEY = _prepare_purchase(
    purchases.c.kind == bindparam("kind"), purchases.c.external_id == bindparam("external_id")
)

_HOLD_WITH_PURCHASE = (
    select(
        *_HOLD_COLUMNS,
        VERSION,
        *PURCHASE_COLUMNS,
        paying_holds(holds.c.purchase_kind, holds.c.purchase_external_id),
        paying_redemptions(holds.c.purchase_kind, holds.c.purchase_external_id),
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
    # What would expire first pays a debt first.
    .order_by(lots.c.expires_at.asc().nulls_last(), lots.c.opened_at, lots.c.id)
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
_REDEMPTIONS_BY_ID = select(*_REDEMPTION_COLUMNS).where(
    redemptions.c.tenant_id == tenant_parameter(), among(redemptions.c.id, "ids")
)
_REDEMPTIONS_FOR_PURCHASE = (
    select(*_REDEMPTION_COLUMNS)
    .where(
        redemptions.c.tenant_id == tenant_parameter(),
        redemptions.c.purchase_kind == bindparam("kind"),
        redemptions.c.purchase_external_id == bindparam("external_id"),
    )
    .order_by(redemptions.c.id)
)
_REDEMPTIONS_BY = _REDEMPTIONS_FOR_PURCHASE.join_from(
    redemptions,
    customers,
    (customers.c.tenant_id == redemptions.c.tenant_id) & (customers.c.id == redemptions.c.customer_id),
).where(
    customers.c.tenant_id == tenant_parameter(),
    func.coalesce(customers.c.merged_into, customers.c.id) == bindparam("customer"),
)
_REDEMPTIONS_OF_HOLDS = select(*_REDEMPTION_COLUMNS).where(
    redemptions.c.tenant_id == tenant_parameter(), among(redemptions.c.hold_id, "ids")
)
_of_redemption = (redemptions.c.purchase_kind, redemptions.c.purchase_external_id)
_given_back_points, _ = given_back(*_of_redemption)
_owed_points = (
    func.coalesce(sum_of(purchase_refunds.c.point_share, REFUNDED_TABLES, of_refunds(*_of_redemption)), 0)
    - _given_back_points.element
)
_REDEMPTION_TO_RETURN = select(*_REDEMPTION_COLUMNS, cast(_owed_points, BigInteger).label("owed_points")).where(
    redemptions.c.tenant_id == tenant_parameter(), redemptions.c.id == bindparam("redemption")
)
_RETURNS_BY_ID = select(*_RETURN_COLUMNS).where(
    redemption_returns.c.tenant_id == tenant_parameter(), among(redemption_returns.c.id, "ids")
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
_RETURNS_MADE = (
    select(*_RETURN_COLUMNS)
    .join_from(
        redemptions,
        redemption_returns,
        (redemption_returns.c.tenant_id == redemptions.c.tenant_id)
        & (redemption_returns.c.redemption_id == redemptions.c.id),
    )
    .where(
        redemptions.c.tenant_id == tenant_parameter(),
        redemptions.c.purchase_kind == bindparam("kind"),
        redemptions.c.purchase_external_id == bindparam("external_id"),
        redemption_returns.c.tenant_id == tenant_parameter(),
        redemption_returns.c.returned_at == bindparam("moment", type_=INSTANT),
    )
    .order_by(redemption_returns.c.id)
)

# What a redemption took, less what its returns have given back: both are allocations, the latter below zero.
_CAUSES = union_all(
    select(bindparam("redemption", type_=redemptions.c.id.type, unique=False).label("id")),
    select(redemption_returns.c.id).where(
        redemption_returns.c.tenant_id == tenant_parameter(),
        redemption_returns.c.redemption_id == bindparam("redemption"),
    ),
).subquery("causes")
_net = (
    select(allocations.c.lot_id, func.sum(allocations.c.points).label("points"))
    .join_from(
        entries,
        allocations,
        (allocations.c.tenant_id == entries.c.tenant_id) & (allocations.c.entry_id == entries.c.id),
    )
    .where(entries.c.tenant_id == tenant_parameter(), entries.c.cause_id.in_(select(_CAUSES.c.id)))
    .group_by(allocations.c.lot_id)
    .subquery("net")
)
_TAKEN = (
    select(*LOT_COLUMNS, _net.c.points)
    .join_from(_net, lots, lots.c.id == _net.c.lot_id)
    .where(lots.c.tenant_id == tenant_parameter(), _net.c.points > 0)
    # What would live longest comes back first: it was taken last.
    .order_by(lots.c.expires_at.desc().nulls_first(), lots.c.opened_at.desc(), lots.c.id.desc())
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


# ── before the lock ──────────────────────────────────────────────────────────────────────────────────────────────


async def prepare_for_customer(tx: Reads, call: KeyedCall, what: str, **values: Any) -> Prepared | None:
    """For an operation about a customer, named by ``id``, ``external_id`` or a shared name; None without a program."""
    return _read_prepared(await tx.row(_PREPARE_FOR_CUSTOMER[what], **call.parameters, **values))


async def prepare_to_hold(
    tx: Transaction, call: KeyedCall, purchase: PurchaseKey, what: str, **values: Any
) -> Prepared | None:
    """The same for a new hold, and wait until nobody else begins with its purchase."""
    named = {"purchase_kind": purchase.kind, "purchase_id": purchase.external_id}
    return _read_prepared(await tx.row(_PREPARE_TO_HOLD[what], **call.parameters, **named, **values))


async def prepare_for_nobody(tx: Reads, call: KeyedCall) -> Prepared | None:
    """For an operation about no customer; None without a program."""
    return _read_prepared(await tx.row(_PREPARE_FOR_NOBODY, **call.parameters))


async def prepare_for_hold(tx: Transaction, call: KeyedCall, hold_id: HoldId) -> Prepared | None:
    """For an operation about a hold."""
    return _read_prepared(await tx.row(_PREPARE_FOR_HOLD, **call.parameters, hold=hold_id))


async def prepare_for_redemption(tx: Transaction, call: KeyedCall, redemption_id: RedemptionId) -> Prepared | None:
    """For an operation about a redemption."""
    return _read_prepared(await tx.row(_PREPARE_FOR_REDEMPTION, **call.parameters, redemption=redemption_id))


async def prepare_for_purchase(tx: Transaction, call: KeyedCall, **purchase: Any) -> Prepared | None:
    """For an operation about a purchase, named by ``id``, or by ``kind`` and ``external_id``."""
    statement = _PREPARE_FOR_PURCHASE_ID if "id" in purchase else _PREPARE_FOR_PURCHASE_KEY
    row = await tx.row(statement, **call.parameters, **purchase)
    prepared = _read_prepared(row)
    return prepared._replace(purchase_id=row.purchase_id) if prepared and row else None


# ── under the lock ───────────────────────────────────────────────────────────────────────────────────────────────


async def read_hold_with_purchase(tx: Transaction, hold_id: HoldId) -> tuple[HoldRow, KnownCheckout]:
    """A hold that exists, with what is known of the purchase that it is to pay for."""
    (row,) = await tx.rows(_HOLD_WITH_PURCHASE, hold=hold_id)
    hold = HoldRow._make(getattr(row, name) for name in HoldRow._fields)
    return _typed(hold), known_checkout(row)


async def read_held_lots(tx: Transaction, hold_ids: Sequence[HoldId]) -> dict[HoldId, list[PartOfLot]]:
    """What each hold has set aside, lot by lot, in the order in which lots are spent."""
    found: dict[HoldId, list[PartOfLot]] = {hold_id: [] for hold_id in hold_ids}
    for row in await tx.rows(_HELD, holds=list(hold_ids)):
        found[HoldId(row.hold_id)].append(
            PartOfLot(CustomerId(row.customer_id), lot_of(row), row.points, row.lowered_points)
        )
    return found


async def read_taken_lots(tx: Transaction, cause_id: RedemptionId | GiftCardId) -> list[PartOfLot]:
    """What a redemption, or the sale of a card, took and has not given back, lot by lot, what lives longest first."""
    rows = await tx.rows(_TAKEN, redemption=cause_id)
    return [PartOfLot(CustomerId(row.customer_id), lot_of(row), int(row.points)) for row in rows]


async def read_unpaid_debits(tx: Transaction, customer_id: CustomerId) -> list[UnpaidDebit]:
    """The debits of a customer that took more than lots have paid for, oldest first."""
    return [UnpaidDebit(row.id, int(row.points)) for row in await tx.rows(_UNPAID, customer=customer_id)]


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def read_holds_by_id(tx: Reads, ids: Sequence[HoldId]) -> dict[HoldId, HoldRow]:
    """The holds among ``ids``."""
    return {row.id: hold_row(row) for row in await tx.rows(_HOLDS_BY_ID, ids=list(ids))}


async def read_abandoned_holds(tx: Transaction, now: datetime, limit: int) -> list[HoldRow]:
    """Active holds whose time is over, those that waited longest first."""
    return [hold_row(row) for row in await tx.rows(_ABANDONED, now=now, limit=limit)]


async def read_active_holds_for(tx: Transaction, purchase: PurchaseKey) -> list[HoldRow]:
    """The active holds that are to pay for a purchase, oldest first."""
    return [hold_row(row) for row in await tx.rows(_ACTIVE_FOR_PURCHASES, **purchase._asdict())]


async def read_redemptions_by_id(tx: Reads, ids: Sequence[RedemptionId]) -> dict[RedemptionId, RedemptionRow]:
    """The redemptions among ``ids``."""
    return {row.id: redemption_row(row) for row in await tx.rows(_REDEMPTIONS_BY_ID, ids=list(ids))}


async def read_redemption_to_return(tx: Transaction, redemption_id: RedemptionId) -> tuple[RedemptionRow, int]:
    """A redemption that exists, and how many points refunds of its purchase have left to give back."""
    (row,) = await tx.rows(_REDEMPTION_TO_RETURN, redemption=redemption_id)
    return redemption_row([getattr(row, name) for name in RedemptionRow._fields]), max(0, row.owed_points)


async def read_redemptions_by(tx: Transaction, customer_id: CustomerId, purchase: PurchaseKey) -> list[RedemptionRow]:
    """The redemptions that a customer, or a customer merged into it, paid with, oldest first."""
    rows = await tx.rows(_REDEMPTIONS_BY, customer=customer_id, **purchase._asdict())
    return [redemption_row(row) for row in rows]


async def read_redemptions_of_holds(tx: Reads, ids: Sequence[HoldId]) -> dict[HoldId, RedemptionRow]:
    """The redemption that each captured hold became."""
    return {row.hold_id: redemption_row(row) for row in await tx.rows(_REDEMPTIONS_OF_HOLDS, ids=list(ids))}


async def read_redemptions_for(tx: Transaction, purchase: PurchaseKey) -> list[RedemptionRow]:
    """The redemptions that paid for a purchase, oldest first."""
    return [redemption_row(row) for row in await tx.rows(_REDEMPTIONS_FOR_PURCHASE, **purchase._asdict())]


async def read_holds_moved_at(tx: Transaction, purchase: PurchaseKey, moment: datetime) -> list[HoldRow]:
    """The holds for a purchase that ended or were lowered at a moment, oldest first."""
    return [hold_row(row) for row in await tx.rows(_HOLDS_MOVED, **purchase._asdict(), moment=moment)]


async def read_returns_made_at(tx: Transaction, purchase: PurchaseKey, moment: datetime) -> list[ReturnRow]:
    """What redemptions of a purchase gave back at a moment."""
    return [ReturnRow._make(row) for row in await tx.rows(_RETURNS_MADE, **purchase._asdict(), moment=moment)]


async def read_returns_by_id(tx: Transaction, ids: Sequence[RedemptionReturnId]) -> dict[RedemptionReturnId, ReturnRow]:
    """The returns among ``ids``."""
    return {row.id: ReturnRow._make(row) for row in await tx.rows(_RETURNS_BY_ID, ids=list(ids))}


def _read_prepared(row: Any) -> Prepared | None:
    if row is None:
        return None
    kept = KeptKey(row.fingerprint, row.result_id) if row.fingerprint is not None else None
    return Prepared(row.config_version, kept, row.customer_id)


def hold_row(row: Any) -> HoldRow:
    """A hold from its columns."""
    return _typed(HoldRow._make(row))


def _typed(hold: HoldRow) -> HoldRow:
    kind = PurchaseKind(hold.purchase_kind) if hold.purchase_kind else None
    return hold._replace(state=HoldState(hold.state), purchase_kind=kind, capture_on=CaptureOn(hold.capture_on))


def redemption_row(row: Any) -> RedemptionRow:
    """A redemption from its columns."""
    made = RedemptionRow._make(row)
    return made._replace(purchase_kind=PurchaseKind(made.purchase_kind) if made.purchase_kind else None)
