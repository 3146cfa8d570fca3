"""What gift cards pay of a purchase, found by its natural key: active holds, captures, and money that came back.

The holder of a card may be another customer than the owner of the purchase, or nobody. So the lock of an account
protects nothing here. Every change of these payments takes the lock of the purchase (`purchase_locks.py`) and raises
the version of its row of `checkouts`.
"""

from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, case, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.ids import CustomerId
from loyalty.rules.payments import PaidWithCards
from loyalty.rules.redemption import HoldState
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.tables import checkouts, gift_card_holds, purchases
from tenancy.reading import Reads
from tenancy.table import tenant_parameter

_HOLD = gift_card_holds.alias("paying_card_hold")


class PurchaseOfCard(NamedTuple):
    """The facts about a purchase that an operation on a card needs.

    ``version`` is the version of the row in `checkouts`, 0 without a row. ``customer_id`` is set if the purchase is
    recorded.
    """

    version: int = 0
    customer_id: CustomerId | None = None


def cards_paid(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column: an array of what cards pay of a purchase, labelled for ``read_cards_paid``."""
    sums: tuple[ColumnElement[Any], ...] = (
        func.sum(case((_HOLD.c.state == literal(HoldState.ACTIVE), _HOLD.c.amount_minor), else_=0)),
        func.sum(_HOLD.c.captured_minor),
        func.sum(_HOLD.c.returned_minor),
    )
    return (
        select(func.jsonb_build_array(*(cast(one, BigInteger) for one in sums), type_=JSONB))
        .where(
            _HOLD.c.tenant_id == tenant_parameter(),
            _HOLD.c.purchase_kind == kind,
            _HOLD.c.purchase_external_id == external_id,
        )
        .correlate_except(_HOLD)
        .scalar_subquery()
        .label("cards_paid")
    )


def read_cards_paid(row: Any) -> PaidWithCards:
    """Return what cards pay of a purchase, from the column of ``cards_paid``."""
    return PaidWithCards(*(int(one or 0) for one in row.cards_paid))


_PAID = select(cards_paid(bindparam("kind", type_=Text), bindparam("external_id", type_=Text)))


async def read_paid_with_cards(tx: Reads, key: PurchaseKey) -> PaidWithCards:
    """Return what cards pay of one purchase."""
    (row,) = await tx.rows(_PAID, kind=key.kind, external_id=key.external_id)
    return read_cards_paid(row)


def purchase_of_card(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return the columns about a purchase that an operation on a card needs, labelled for ``read_purchase_of_card``."""
    version = select(checkouts.c.version).where(
        checkouts.c.tenant_id == tenant_parameter(),
        checkouts.c.purchase_kind == kind,
        checkouts.c.purchase_external_id == external_id,
    )
    recorded = select(purchases.c.customer_id).where(
        purchases.c.tenant_id == tenant_parameter(),
        purchases.c.kind == kind,
        purchases.c.external_id == external_id,
    )
    return [
        func.coalesce(version.correlate_except(checkouts).scalar_subquery(), 0).label("checkout_version"),
        recorded.correlate_except(purchases).scalar_subquery().label("purchase_customer_id"),
    ]


def read_purchase_of_card(row: Any) -> PurchaseOfCard:
    """Return the facts about a purchase, from the columns of ``purchase_of_card``."""
    return PurchaseOfCard(row.checkout_version, row.purchase_customer_id)
