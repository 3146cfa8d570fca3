"""Redemptions and their returns: the lots that a redemption took from, and reading by id, hold and purchase."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, bindparam, cast, func, select, union_all

from loyalty.rules.ids import CustomerId, GiftCardId, HoldId, RedemptionId, RedemptionReturnId
from loyalty.rules.points_paid import LiveRedemption
from loyalty.rules.purchase import PurchaseKind
from loyalty.storage.holds import PartOfLot
from loyalty.storage.lots import LOT_COLUMNS, lot_of
from loyalty.storage.points_paid import (
    REFUNDED_TABLES,
    PurchaseKey,
    name_purchase,
    of_refunds,
    select_given_back,
    sum_of,
)
from loyalty.storage.tables import (
    allocations,
    customers,
    entries,
    lots,
    purchase_refunds,
    redemption_returns,
    redemptions,
)
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, among, tenant_parameter


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
    location: str | None = None

    @property
    def live(self) -> LiveRedemption:
        """The redemption as the rules decide about it."""
        return LiveRedemption(self.id, self.points, self.returned_points, self.discount_minor)

    @property
    def purchase(self) -> PurchaseKey | None:
        """The natural key of its purchase, if its hold named one."""
        return name_purchase(self.purchase_kind, self.purchase_external_id)


class ReturnRow(NamedTuple):
    """A return: points of a redemption that were given back."""

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
    """How many of its points a refund of the purchase still had to give back."""
    refunded_minor: int = 0


_REDEMPTION_COLUMNS = [redemptions.c[name] for name in RedemptionRow._fields]
_RETURN_COLUMNS = [redemption_returns.c[name] for name in ReturnRow._fields]


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
_given_back_points, _ = select_given_back(*_of_redemption)
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
    # The lot that lives longest gets its points back first: it was spent last.
    .order_by(lots.c.expires_at.desc().nulls_first(), lots.c.opened_at.desc(), lots.c.id.desc())
)
# ── under the lock ───────────────────────────────────────────────────────────────────────────────────────────────


async def read_taken_lots(tx: Transaction, cause_id: RedemptionId | GiftCardId) -> list[PartOfLot]:
    """Return the lots from which a redemption or the sale of a card took points, the longest living first.

    Points that were given back are subtracted.
    """
    rows = await tx.rows(_TAKEN, redemption=cause_id)
    return [PartOfLot(CustomerId(row.customer_id), lot_of(row), int(row.points)) for row in rows]


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def read_redemptions_by_id(tx: Reads, ids: Sequence[RedemptionId]) -> dict[RedemptionId, RedemptionRow]:
    """Return the redemptions among ``ids``."""
    return {row.id: redemption_row(row) for row in await tx.rows(_REDEMPTIONS_BY_ID, ids=list(ids))}


async def read_redemption_to_return(tx: Transaction, redemption_id: RedemptionId) -> tuple[RedemptionRow, int]:
    """Return an existing redemption, and how many points refunds of its purchase still have to give back."""
    (row,) = await tx.rows(_REDEMPTION_TO_RETURN, redemption=redemption_id)
    return redemption_row([getattr(row, name) for name in RedemptionRow._fields]), max(0, row.owed_points)


async def read_redemptions_by(tx: Transaction, customer_id: CustomerId, purchase: PurchaseKey) -> list[RedemptionRow]:
    """Return the redemptions of a customer, or of a customer merged into it, for a purchase, oldest first."""
    rows = await tx.rows(_REDEMPTIONS_BY, customer=customer_id, **purchase._asdict())
    return [redemption_row(row) for row in rows]


async def read_redemptions_of_holds(tx: Reads, ids: Sequence[HoldId]) -> dict[HoldId, RedemptionRow]:
    """Return the redemption of each captured hold."""
    return {row.hold_id: redemption_row(row) for row in await tx.rows(_REDEMPTIONS_OF_HOLDS, ids=list(ids))}


async def read_redemptions_for(tx: Transaction, purchase: PurchaseKey) -> list[RedemptionRow]:
    """Return the redemptions that paid for a purchase, oldest first."""
    return [redemption_row(row) for row in await tx.rows(_REDEMPTIONS_FOR_PURCHASE, **purchase._asdict())]


async def read_returns_made_at(tx: Transaction, purchase: PurchaseKey, moment: datetime) -> list[ReturnRow]:
    """Return the returns of a purchase's redemptions at a moment."""
    return [ReturnRow._make(row) for row in await tx.rows(_RETURNS_MADE, **purchase._asdict(), moment=moment)]


async def read_returns_by_id(tx: Transaction, ids: Sequence[RedemptionReturnId]) -> dict[RedemptionReturnId, ReturnRow]:
    """Return the returns among ``ids``."""
    return {row.id: ReturnRow._make(row) for row in await tx.rows(_RETURNS_BY_ID, ids=list(ids))}


def redemption_row(row: Any) -> RedemptionRow:
    """Return a redemption from its columns."""
    made = RedemptionRow._make(row)
    return made._replace(purchase_kind=PurchaseKind(made.purchase_kind) if made.purchase_kind else None)
