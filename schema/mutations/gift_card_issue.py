"""``giftCardIssue``: a gift card that was sold for money, or is given for goodwill."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import strawberry

from loyalty.rules.gift_card import GiftCardOrigin
from loyalty.services.gift_card_issue import IssueRequest, issue_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.types.customer import Customer, CustomerBy, customer_key
from schema.types.gift_card import GiftCard, code_field, issued_payload
from schema.types.money import MoneyInput, amount_of


@strawberry.input(description="A gift card to issue.")
class GiftCardIssueInput:
    origin: GiftCardOrigin = strawberry.field(
        description="MONEY for a card that was sold, GOODWILL for one that is given. Points buy with `giftCardBuy`."
    )
    amount: MoneyInput = strawberry.field(description="What the card is worth, in the program's currency; above 0.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never makes a second card for one caller and operation."
    )
    customer: CustomerBy | None = strawberry.field(
        default=None, description="Who gets it; without one the card belongs to whoever has its code."
    )
    price: MoneyInput | None = strawberry.field(
        default=None, description="What was paid for it, in the program's currency; only with MONEY."
    )
    expires_on: date | None = strawberry.field(
        default=None,
        description="The last local day on which it can be spent; by default the last one of the third year after "
        "that of its issue.",
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
    customer: Customer | None = strawberry.field(default=None, description="Who got it; null for nobody we know.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_ISSUE,
    description="Issue a gift card that was sold for money, or is given for goodwill. It earns nothing.",
)
async def gift_card_issue(
    info: Info,
    input: Annotated[GiftCardIssueInput, strawberry.argument(description="The card.")],  # noqa: A002
) -> GiftCardIssuePayload:
    """One transaction of four statements."""

    async def work() -> Mapping[str, Any]:
        request = IssueRequest(
            origin=input.origin,
            face=amount_of(input.amount, "amount"),
            idempotency_key=input.idempotency_key,
            customer=None if input.customer is None else customer_key(input.customer, "customer"),
            price=None if input.price is None else amount_of(input.price, "price"),
            expires_on=input.expires_on,
            reference=input.reference,
            reason=input.reason,
        )
        issued = await issue_gift_card(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return issued_payload(issued)

    return await answer_mutation(GiftCardIssuePayload, work)
