"""``giftCardClaim``: take a gift card into a customer's account."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.gift_card_code import normalise_code
from loyalty.services.gift_card_gift import claim_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.types.customer import CustomerBy, customer_key
from schema.types.gift_card import GiftCard


@strawberry.input(description="The code of a card that belongs to nobody.")
class GiftCardClaimInput:
    code: str = strawberry.field(description="As it was typed: case, blanks and dashes do not matter.")
    customer: CustomerBy | None = strawberry.field(
        default=None, description="The customer who gets the card; customers leave it out and take it themselves."
    )
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )


@strawberry.type(description="The card in the account of its new holder.")
class GiftCardClaimPayload:
    user_errors: UserErrors = user_errors_field()
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_SPEND,
    Permission.SELF_REDEEM,
    description="Take a gift card that has no holder, such as one that was given, into a customer's account. "
    "Wrong codes are limited.",
)
async def gift_card_claim(
    info: Info,
    input: Annotated[GiftCardClaimInput, strawberry.argument(description="The code.")],  # noqa: A002
) -> GiftCardClaimPayload:
    """Find the card by its code, then claim it in one transaction."""

    async def work() -> Mapping[str, Any]:
        customer = None if input.customer is None else customer_key(input.customer, "customer")
        claimed = await claim_gift_card(
            info.context.world, info.context.actor, normalise_code(input.code), customer, input.idempotency_key
        )
        info.context.loaders.clear()
        return {"gift_card": claimed.card, "replayed": claimed.replayed}

    return await answer_mutation(GiftCardClaimPayload, work)
