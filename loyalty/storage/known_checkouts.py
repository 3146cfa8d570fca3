"""The known facts about a purchase before it is paid: its recorded state, if it is recorded, and its payments."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, Text, bindparam, cast, func, select
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.hold_steps import PurchaseToPay
from loyalty.rules.ids import CustomerId, HoldId, PurchaseId
from loyalty.rules.money import Money
from loyalty.rules.payments import PaidWithCards, Payment, sum_beside_cards, sum_beside_points
from loyalty.rules.purchase import PurchaseStatus
from loyalty.storage.cards_paid import cards_paid, read_cards_paid
from loyalty.storage.documents import read_payments
from loyalty.storage.points_paid import (
    PaidWithPoints,
    PurchaseKey,
    paying_holds,
    paying_redemptions,
    read_points_paid,
)
from loyalty.storage.tables import checkouts, programs, purchases
from tenancy.reading import Reads
from tenancy.table import tenant_parameter


class RecordedPurchase(NamedTuple):
    """The facts that a checkout needs about a recorded purchase. `payments` are those in reports."""

    id: PurchaseId
    customer_id: CustomerId
    status: PurchaseStatus
    total_minor: int
    refunded_minor: int
    currency: str
    payments: Sequence[Payment] = ()

    @property
    def left_minor(self) -> int:
        """The total less the refunds."""
        return self.total_minor - self.refunded_minor


class KnownCheckout(NamedTuple):
    """The known facts about the purchase that a checkout names: its recorded state, if any, and its payments.

    ``version`` is the version of the row in `checkouts`, 0 without a row. ``paid`` is what points pay, ``cards`` what
    gift cards pay.
    """

    version: int = 0
    purchase: RecordedPurchase | None = None
    paid: PaidWithPoints = PaidWithPoints()
    cards: PaidWithCards = PaidWithCards()

    @property
    def owner_ids(self) -> frozenset[CustomerId]:
        """The owners of the purchase: its customer; before it is recorded, the customers whose points pay for it."""
        return self.paid.owner_ids if self.purchase is None else frozenset({self.purchase.customer_id})

    @property
    def beside_points_minor(self) -> int:
        """The sum of all payments other than points of this program."""
        return sum_beside_points(self._payments, self.cards, self._refunded_minor)

    def beside_cards_minor(self, points_minor: int) -> int:
        """Return the sum of all payments other than gift cards of this program, if points pay so much."""
        return sum_beside_cards(self._payments, points_minor, self.cards, self._refunded_minor)

    def build_purchase_to_pay(self, but: frozenset[HoldId] = frozenset()) -> PurchaseToPay:
        """Return the purchase for a payment with points. The holds ``but`` do not count as paid."""
        purchase, paid = self.purchase, self.paid.without(but).sum
        if purchase is None:
            return PurchaseToPay(self.owner_ids, None, None, paid)
        left = Money(purchase.left_minor, purchase.currency)
        return PurchaseToPay(self.owner_ids, purchase.status, left, paid)

    @property
    def _payments(self) -> Sequence[Payment]:
        return () if self.purchase is None else self.purchase.payments

    @property
    def _refunded_minor(self) -> int:
        return 0 if self.purchase is None else self.purchase.refunded_minor


_NAMES = RecordedPurchase._fields


def list_known_columns(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return the columns for ``build_known_checkout``, over tables that ``join_purchase`` has joined."""
    return [
        cast(func.coalesce(checkouts.c.version, 0), Integer).label("checkout_version"),
        *(purchases.c[name].label(f"paid_{name}") for name in _NAMES),
        paying_holds(kind, external_id),
        paying_redemptions(kind, external_id),
        cards_paid(kind, external_id),
    ]


def join_purchase(kind: ColumnElement[Any], external_id: ColumnElement[Any], tables: Any) -> Any:
    """Join a purchase by its natural key, and the row that protects its checkout."""
    return tables.outerjoin(
        purchases,
        (purchases.c.tenant_id == tenant_parameter())
        & (purchases.c.kind == kind)
        & (purchases.c.external_id == external_id),
    ).outerjoin(
        checkouts,
        (checkouts.c.tenant_id == tenant_parameter())
        & (checkouts.c.purchase_kind == kind)
        & (checkouts.c.purchase_external_id == external_id),
    )


_kind, _external_id = bindparam("kind", type_=Text()), bindparam("external_id", type_=Text())
_KNOWN = (
    select(*list_known_columns(_kind, _external_id))
    .select_from(join_purchase(_kind, _external_id, programs))
    .where(programs.c.tenant_id == tenant_parameter())
)


async def read_known_checkout(tx: Reads, key: PurchaseKey) -> KnownCheckout:
    """Return the known facts about one purchase."""
    row = await tx.row(_KNOWN, kind=key.kind, external_id=key.external_id)
    return KnownCheckout() if row is None else build_known_checkout(row)


def build_known_checkout(row: Any) -> KnownCheckout:
    """Return the known facts about a purchase, from ``list_known_columns``."""
    purchase = None
    if row.paid_id is not None:
        made = RecordedPurchase._make(getattr(row, f"paid_{name}") for name in _NAMES)
        purchase = made._replace(status=PurchaseStatus(made.status), payments=read_payments(made.payments))
    return KnownCheckout(row.checkout_version, purchase, read_points_paid(row), read_cards_paid(row))
