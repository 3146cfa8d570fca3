"""The input about a checkout, for a quote and for a hold."""

import strawberry

from loyalty.rules.errors import NotFound
from loyalty.rules.ids import PurchaseId
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.text import is_storable
from loyalty.services.checkout import Checkout
from loyalty.services.purchase_change import PurchaseName
from loyalty.storage.points_paid import PurchaseKey
from schema.node_ids import row_id_of
from schema.types.money import MoneyInput, amount_of, minor_in


@strawberry.input(description="The natural key of a purchase.")
class PurchaseKeyInput:
    kind: PurchaseKind = strawberry.field(description="The kind of the purchase.")
    external_id: str = strawberry.field(description="The id in the caller's own system.")


@strawberry.input(description="Names a purchase in exactly one way.", one_of=True)
class PurchaseBy:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="The global id.")
    key: PurchaseKeyInput | None = strawberry.field(default=strawberry.UNSET, description="The natural key.")


def purchase_name(by: PurchaseBy, *path: str) -> PurchaseName:
    """Return the id or the key in the input.

    Raises NotFound for an id that is not a purchase's, and for an external id that no purchase can have.
    """
    if by.key:
        if not is_storable(by.key.external_id):
            raise NotFound("purchase", path)
        return PurchaseName(key=PurchaseKey(by.key.kind, by.key.external_id))
    return PurchaseName(id=PurchaseId(row_id_of(by.id or "", "Purchase", *path)))


@strawberry.input(description="The price of a checkout, before points and gift cards pay for it.")
class CheckoutInput:
    subtotal: MoneyInput = strawberry.field(description="What the goods and services cost, tax included.")
    discounts: MoneyInput | None = strawberry.field(
        default=None, description="What other discounts take off, as a positive amount; at most the subtotal."
    )


def checkout_of(given: CheckoutInput, named: PurchaseKeyInput | None) -> Checkout:
    """Return the checkout for the service. InvalidInput and CurrencyMismatch name the field."""
    subtotal = amount_of(given.subtotal, "subtotal")
    discounts_minor = minor_in(given.discounts, subtotal.currency, "discounts") or 0
    purchase = PurchaseKey(named.kind, named.external_id) if named else None
    return Checkout(subtotal, discounts_minor, purchase)
