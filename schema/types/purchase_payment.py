"""The payments of a purchase in its reports."""

from typing import Any

import strawberry

from loyalty.rules.money import Money as Amount
from loyalty.rules.payments import PaymentKind
from loyalty.storage.documents import read_payments
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed
from schema.types.money import Money
from schema.types.node import show_row


@strawberry.type(description="A part of the total of a purchase that a report told, and what paid it.")
class PurchasePayment:
    kind: PaymentKind = strawberry.field(description="The kind of the payment: money, points or a gift card.")
    amount: Money = strawberry.field(description="How much, in the currency of the total.")
    told_reference: strawberry.Private[str | None]

    @computed(description="The caller's id of the payment, if it was told, for the team; null for customers.")
    def reference(self, info: Info) -> str | None:
        """Null for customers: for a gift card of another system it may be the number that spends the card."""
        return self.told_reference if reads_internals(info.context.actor) else None


def payments_of(stored: list[dict[str, Any]] | None, currency: str) -> list[PurchasePayment]:
    """Return the payments of a purchase, in the currency of its total."""
    return [
        PurchasePayment(
            kind=payment.kind,
            amount=show_row(Money, Amount(payment.amount_minor, currency)),
            told_reference=payment.reference,
        )
        for payment in read_payments(stored)
    ]
