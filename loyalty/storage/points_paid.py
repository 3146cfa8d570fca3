"""What points pay of a purchase, found by its natural key: active holds, and redemptions that are not wholly returned.

Only the owner of a purchase pays for it with points, so all of it is read under the lock of one account. Before a
purchase is recorded, the customer of the first hold owns it; the row of `checkouts` decides between two holds that
begin together.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Text, cast, func, select
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.ids import CustomerId, HoldId, RedemptionId
from loyalty.rules.points_paid import ActiveHold, DiscountTerms, LiveRedemption, PointsPaid, point_value, sum_paid
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.redemption import CaptureOn, HoldState
from loyalty.storage.documents import from_document
from loyalty.storage.tables import (
    customers,
    holds,
    purchase_refunds,
    purchases,
    redemption_returns,
    redemptions,
)
from tenancy.database import Transaction
from tenancy.table import record_set, tenant_parameter


class PurchaseKey(NamedTuple):
    """The natural key of a purchase, which may be recorded later."""

    kind: PurchaseKind
    external_id: str


def name_purchase(kind: PurchaseKind | None, external_id: str | None) -> PurchaseKey | None:
    """Return the key of a purchase from two columns, which are both null if no purchase is named."""
    return None if kind is None or external_id is None else PurchaseKey(kind, external_id)


class PayingHold(NamedTuple):
    """An active hold for a purchase, and the customer of its points: for a merged customer the target."""

    id: HoldId
    owner_id: CustomerId
    external_id: str
    hold: ActiveHold
    capture_on: CaptureOn


class PayingRedemption(NamedTuple):
    """A redemption for a purchase with points left, and the customer of these points."""

    id: RedemptionId
    owner_id: CustomerId
    redemption: LiveRedemption


class PaidWithPoints(NamedTuple):
    """All holds and redemptions that pay for one purchase, each in the order in which they were made.

    ``given_back`` are the points that went back for refunds.
    """

    holds: Sequence[PayingHold] = ()
    redemptions: Sequence[PayingRedemption] = ()
    given_back: PointsPaid = PointsPaid()
    """The points that went back because a part of the purchase was refunded: they had paid for that part."""

    @property
    def sum(self) -> PointsPaid:
        """The points of all these holds and redemptions, and their discount."""
        return sum_paid(
            [
                *(PointsPaid(one.hold.points, one.hold.discount_minor) for one in self.holds),
                *(one.redemption.paid for one in self.redemptions),
            ]
        )

    @property
    def owner_ids(self) -> frozenset[CustomerId]:
        """The customers whose points pay."""
        held = frozenset(one.owner_id for one in self.holds)
        return held | frozenset(one.owner_id for one in self.redemptions)

    def without(self, hold_ids: frozenset[HoldId]) -> "PaidWithPoints":
        """Return the payments without these holds."""
        return self._replace(holds=[one for one in self.holds if one.id not in hold_ids])


_HOLD = holds.alias("paying_hold")
_REDEMPTION = redemptions.alias("paying_redemption")
_PAYER = customers.alias("payer")
_RETURNED = redemptions.alias("returned_redemption")
_REFUNDED = purchases.alias("refunded_purchase")
REFUNDED_TABLES = (_REFUNDED, purchase_refunds)


def paying_holds(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column with the active holds for a purchase as one document, labelled for ``read_points_paid``."""
    names = ("id", "discount_minor", "value_points", "value_minor", "currency", "terms", "capture_on")
    return _aggregate(
        _HOLD,
        kind,
        external_id,
        [*_pairs(_HOLD, names), "points", _HOLD.c.points - _HOLD.c.lowered_points],
        _HOLD.c.state == HoldState.ACTIVE,
    ).label("paying_holds")


def paying_redemptions(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column with the redemptions for a purchase that have points left, as one document.

    It is labelled for ``read_points_paid``.
    """
    return _aggregate(
        _REDEMPTION,
        kind,
        external_id,
        _pairs(_REDEMPTION, ("id", "points", "returned_points", "discount_minor")),
        _REDEMPTION.c.points > _REDEMPTION.c.returned_points,
    ).label("paying_redemptions")


def select_given_back(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return the points that went back for refunds of a purchase, and their discount.

    They went back with the refund, or by hand later. They had paid for the refunded part, so a valuation counts them as
    paid. Labelled ``given_back_points`` and ``given_back_minor``.
    """
    by_hand = (
        _RETURNED.c.tenant_id == tenant_parameter(),
        _RETURNED.c.purchase_kind == kind,
        _RETURNED.c.purchase_external_id == external_id,
        redemption_returns.c.tenant_id == tenant_parameter(),
        redemption_returns.c.redemption_id == _RETURNED.c.id,
    )
    with_refund = of_refunds(kind, external_id)
    sums = {
        "given_back_points": (redemption_returns.c.refunded_points, purchase_refunds.c.returned_points),
        "given_back_minor": (redemption_returns.c.refunded_minor, purchase_refunds.c.returned_minor),
    }
    return [
        cast(
            func.coalesce(sum_of(one, [_RETURNED, redemption_returns], by_hand), 0)
            + func.coalesce(sum_of(other, REFUNDED_TABLES, with_refund), 0),
            BigInteger,
        ).label(name)
        for name, (one, other) in sums.items()
    ]


def of_refunds(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the refunds of a purchase, over ``REFUNDED_TABLES``."""
    return (
        _REFUNDED.c.tenant_id == tenant_parameter(),
        _REFUNDED.c.kind == kind,
        _REFUNDED.c.external_id == external_id,
        purchase_refunds.c.tenant_id == tenant_parameter(),
        purchase_refunds.c.purchase_id == _REFUNDED.c.id,
    )


def sum_of(column: Any, tables: Sequence[Any], conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[Any]:
    """Return the sum of a column over tables that are not in the statement around it."""
    return select(func.sum(column)).where(*conditions).correlate_except(*tables).scalar_subquery()


def _pairs(table: Any, names: Sequence[str]) -> list[Any]:
    return [item for name in names for item in (name, table.c[name])]


def _aggregate(
    table: Any, kind: ColumnElement[Any], external_id: ColumnElement[Any], pairs: list[Any], condition: Any
) -> ColumnElement[Any]:
    owner = ["owner_id", func.coalesce(_PAYER.c.merged_into, _PAYER.c.id), "external_id", _PAYER.c.external_id]
    return (
        select(func.jsonb_agg(func.jsonb_build_object(*owner, *pairs)))
        .join_from(table, _PAYER, (_PAYER.c.tenant_id == table.c.tenant_id) & (_PAYER.c.id == table.c.customer_id))
        .where(
            table.c.tenant_id == tenant_parameter(),
            table.c.purchase_kind == kind,
            table.c.purchase_external_id == external_id,
            condition,
        )
        .scalar_subquery()
    )


_named = record_set("named", [("ordinal", Integer()), ("kind", Text()), ("external_id", Text())])
_PAID = (
    select(
        paying_holds(_named.c.kind, _named.c.external_id),
        paying_redemptions(_named.c.kind, _named.c.external_id),
        *select_given_back(_named.c.kind, _named.c.external_id),
    )
    .select_from(_named)
    .order_by(_named.c.ordinal)
)


async def read_paid_with_points(tx: Transaction, keys: Sequence[PurchaseKey]) -> list[PaidWithPoints]:
    """Return what points pay of each purchase. The accounts of their owners must be locked."""
    named = [{"ordinal": ordinal, **key._asdict()} for ordinal, key in enumerate(keys)]
    return [
        read_points_paid(row)._replace(given_back=PointsPaid(row.given_back_points, row.given_back_minor))
        for row in await tx.rows(_PAID, named=named)
    ]


def read_points_paid(row: Any) -> PaidWithPoints:
    """Return what points pay of a purchase, from the columns of ``paying_holds`` and ``paying_redemptions``."""
    return PaidWithPoints(
        sorted((_hold(one) for one in row.paying_holds or ()), key=lambda one: one.id),
        sorted((_redemption(one) for one in row.paying_redemptions or ()), key=lambda one: one.id),
    )


def read_terms(stored: dict[str, int | None] | None) -> DiscountTerms:
    """Return the terms of a hold for the rules. A hold from before terms were stored has no limit but the total."""
    return from_document(DiscountTerms, stored or {})


def _hold(one: dict[str, Any]) -> PayingHold:
    hold_id = HoldId(UUID(one["id"]))
    value = point_value(one["value_points"], one["value_minor"], one["currency"])
    hold = ActiveHold(hold_id, one["points"], one["discount_minor"], value, read_terms(one["terms"]))
    return PayingHold(
        hold_id, CustomerId(UUID(one["owner_id"])), one["external_id"], hold, CaptureOn(one["capture_on"])
    )


def _redemption(one: dict[str, Any]) -> PayingRedemption:
    redemption_id = RedemptionId(UUID(one["id"]))
    live = LiveRedemption(redemption_id, one["points"], one["returned_points"], one["discount_minor"])
    return PayingRedemption(redemption_id, CustomerId(UUID(one["owner_id"])), live)
