"""``giftCardIssue``: issue a gift card that was sold for money, or is given for goodwill."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import strawberry

from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.rules.ids import GiftCardProductId
from loyalty.services.gift_card_issue import IssueRequest, issue_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.customer import Customer, CustomerBy, customer_key
from schema.types.gift_card import GiftCard, build_issued_payload, code_field
from schema.types.money import MoneyInput, amount_of


@strawberry.input(description="A gift card to issue.")
class GiftCardIssueInput:
    origin: GiftCardOrigin = strawberry.field(
        description="MONEY for a card that was sold, GOODWILL for one that is given. Points buy with `giftCardBuy`."
    )
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never makes a second card for one caller and operation."
    )
    amount: MoneyInput | None = strawberry.field(
        default=None, description="What the card is worth, in the program's currency; above 0. Or a `product`."
    )
    product: strawberry.ID | None = strawberry.field(
        default=None,
        description="The product that says what the card is worth and how long it lives, in place of `amount`. It has "
        "to be active, with cards left; its limit per customer holds for cards that are sold.",
    )
    customer: CustomerBy | None = strawberry.field(
        default=None,
        description="Who gets it; without one the card has no holder: anybody with its code may spend or claim it.",
    )
    price: MoneyInput | None = strawberry.field(
        default=None, description="What was paid for it, in the program's currency; only with MONEY."
    )
    expires_on: date | None = strawberry.field(
        default=None,
        description="The last local day on which it can be spent; by default as the product says, else the last "
        "one of the third year after that of its issue.",
    )
    reference: str | None = strawberry.field(
        default=None, description="The sale in the caller's own system, 1 to 255 characters."
    )
    reason: str | None = strawberry.field(default=None, description="Why, for the team only; at most 500 characters.")


@strawberry.type(description="The gift card, with its code.")
class GiftCardIssuePayload:
    user_errors: UserErrors = user_errors_field()
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card.")
    code: str | None = code_field()
    customer: Customer | None = strawberry.field(
        default=None, description="The customer who got the card; null when unknown."
    )
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_ISSUE,
    description="Issue a gift card that was sold for money, or is given for goodwill. It earns nothing.",
)
async def gift_card_issue(
    info: Info,
    input: Annotated[GiftCardIssueInput, strawberry.argument(description="The card.")],  # noqa: A002
) -> GiftCardIssuePayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        request = IssueRequest(
            origin=input.origin,
            face=None if input.amount is None else amount_of(input.amount, "amount"),
            product_id=None
            if input.product is None
            else GiftCardProductId(row_id_of(input.product, "GiftCardProduct", "product")),
            idempotency_key=input.idempotency_key,
            customer=None if input.customer is None else customer_key(input.customer, "customer"),
            price=None if input.price is None else amount_of(input.price, "price"),
            expires_on=input.expires_on,
            reference=input.reference,
            reason=input.reason,
        )
        issued = await issue_gift_card(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return build_issued_payload(issued)

    return await answer_mutation(GiftCardIssuePayload, work)
