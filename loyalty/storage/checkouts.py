"""The facts that a checkout needs: the points that it may use, and the purchase that they pay for.

A customer may have thousands of open lots. So the database sums them, and returns only the lots that a hold takes from.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Select, Text, Uuid, and_, bindparam, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.ids import CustomerId
from loyalty.rules.lots import Lot, LotState
from loyalty.rules.redemption import HoldState
from loyalty.storage.known_checkouts import KnownCheckout, build_known_checkout, join_purchase, list_known_columns
from loyalty.storage.lots import LOT_COLUMNS, lot_of, spending_order
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.tables import accruals, hold_lots, holds, lots, programs, purchases
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import INSTANT, tenant_parameter


class CheckoutPoints(NamedTuple):
    """The sums of a customer's points for a quote, and the known facts about the purchase.

    ``held`` points are set aside by the customer's own active holds for this purchase. The other two sums include them,
    because a new hold may replace these holds. ``spendable`` leaves out the points that the purchase has earned.
    """

    balance: int
    spendable: int
    held: int
    known: KnownCheckout


class CheckoutLots(NamedTuple):
    """The lots that a hold takes from, and the known facts about the purchase.

    ``spendable`` sums the points that may pay, in these ``lots`` and in all others. Points of the accruals
    ``earned_with`` the purchase do not pay for it (PB-06).
    """

    lots: list[Lot]
    spendable: int
    earned_with: frozenset[UUID]
    known: KnownCheckout


_kind, _external_id = bindparam("kind", type_=Text()), bindparam("external_id", type_=Text())
_customer, _now = bindparam("customer", type_=Uuid), bindparam("now", type_=INSTANT)
_wanted = bindparam("wanted", type_=BigInteger)


_earner = purchases.alias("earner")
_EARNED_WITH = (
    select(accruals.c.id)
    .join_from(
        _earner,
        accruals,
        (accruals.c.tenant_id == _earner.c.tenant_id) & (accruals.c.purchase_id == _earner.c.id),
    )
    .where(_earner.c.tenant_id == tenant_parameter(), _earner.c.kind == _kind, _earner.c.external_id == _external_id)
)
_own_hold = holds.alias("own_hold")
_held_for_it = (
    select(hold_lots.c.lot_id, func.sum(hold_lots.c.points - hold_lots.c.lowered_points).label("points"))
    .join_from(
        _own_hold,
        hold_lots,
        (hold_lots.c.tenant_id == _own_hold.c.tenant_id) & (hold_lots.c.hold_id == _own_hold.c.id),
    )
    .where(
        _own_hold.c.tenant_id == tenant_parameter(),
        _own_hold.c.customer_id == _customer,
        _own_hold.c.state == HoldState.ACTIVE,
        _own_hold.c.purchase_kind == _kind,
        _own_hold.c.purchase_external_id == _external_id,
    )
    .group_by(hold_lots.c.lot_id)
    .subquery("held_for_it")
)
_OPEN_LOTS = (
    lots.c.tenant_id == tenant_parameter(),
    lots.c.customer_id == _customer,
    lots.c.state == literal(LotState.OPEN),
)
_is_spendable = or_(lots.c.expires_at.is_(None), lots.c.expires_at > _now)
_may_pay = and_(_is_spendable, lots.c.cause_id.in_(_EARNED_WITH).is_not(true()))


def _add_up() -> Any:
    held = func.coalesce(_held_for_it.c.points, 0)
    usable = lots.c.remaining + held
    sums = {
        "balance": func.sum(usable).filter(_is_spendable),
        "spendable": func.sum(usable).filter(_may_pay),
        "held": func.sum(held),
    }
    columns = [func.coalesce(one, 0).cast(BigInteger).label(name) for name, one in sums.items()]
    found = lots.outerjoin(_held_for_it, _held_for_it.c.lot_id == lots.c.id)
    return select(*columns).select_from(found).where(*_OPEN_LOTS).subquery("own_points")


def _rank() -> Any:
    counted = func.sum(lots.c.remaining).filter(_may_pay)
    # The points of the lots before this one. Points are taken from this lot only if those are too few.
    before = counted.over(order_by=spending_order(lots.c), rows=(None, -1))
    return (
        select(
            *LOT_COLUMNS,
            _is_spendable.label("is_spendable"),
            func.coalesce(before, 0).cast(BigInteger).label("before"),
            func.coalesce(counted.over(), 0).cast(BigInteger).label("spendable"),
        )
        .where(*_OPEN_LOTS)
        .subquery("ranked")
    )


_points = _add_up()
_ranked = _rank()


def _with_purchase(columns: list[Any], points: Any, on: ColumnElement[bool]) -> Select[Any]:
    """Return each of the points' rows with the facts about the purchase.

    Without points, return one row with these facts.
    """
    return (
        select(
            *columns,
            *list_known_columns(_kind, _external_id),
        )
        .select_from(join_purchase(_kind, _external_id, programs).outerjoin(points, on))
        .where(programs.c.tenant_id == tenant_parameter())
    )


_CHECKOUT_POINTS = _with_purchase([*_points.c], _points, true())
_CHECKOUT_LOTS = _with_purchase(
    [*_ranked.c, func.array(_EARNED_WITH.scalar_subquery(), type_=ARRAY(Uuid)).label("earned_with")],
    _ranked,
    or_(and_(~_ranked.c.is_spendable, _ranked.c.remaining > 0), _ranked.c.before < _wanted),
).order_by(*spending_order(_ranked.c))


async def read_checkout_points(
    tx: Reads, customer_id: CustomerId, purchase: PurchaseKey | None, now: datetime
) -> CheckoutPoints:
    """Return what a customer could use at a checkout, without a lock."""
    kind, external_id = purchase or ("", "")
    row = await tx.row(_CHECKOUT_POINTS, customer=customer_id, kind=kind, external_id=external_id, now=now)
    if row is None:
        return CheckoutPoints(0, 0, 0, KnownCheckout())
    return CheckoutPoints(row.balance, row.spendable, row.held, build_known_checkout(row))


async def read_checkout_lots(
    tx: Transaction, customer_id: CustomerId, purchase: PurchaseKey | None, wanted: int, now: datetime
) -> CheckoutLots:
    """Return the open lots from which a hold of so many points takes, in the order of spending, and the due lots.

    The customer must be locked.
    """
    kind, external_id = purchase or ("", "")
    rows = await tx.rows(
        _CHECKOUT_LOTS, customer=customer_id, kind=kind, external_id=external_id, wanted=wanted, now=now
    )
    of_lots = [row for row in rows if row.id is not None]
    return CheckoutLots(
        [lot_of(row) for row in of_lots],
        of_lots[0].spendable if of_lots else 0,
        frozenset(rows[0].earned_with or ()) if rows else frozenset(),
        build_known_checkout(rows[0]) if rows else KnownCheckout(),
    )
