"""``giftCardHold``: set money of a gift card aside at a checkout."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.durations import parse_minutes
from loyalty.rules.text import tidy_optional_id
from loyalty.services.gift_card_hold import CardHoldRequest, hold_gift_card
from loyalty.storage.points_paid import PurchaseKey
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.scalars import Duration
from schema.types.checkout import PurchaseKeyInput
from schema.types.gift_card import GiftCard, GiftCardBy, GiftCardHold, build_held_payload, gift_card_key
from schema.types.location import location_input
from schema.types.money import MoneyInput, amount_of


@strawberry.input(description="A gift card, and how much of it to set aside.")
class GiftCardHoldInput:
    gift_card: GiftCardBy = strawberry.field(
        description="The card. Anybody with its code may spend it; by id customers spend only a card that they have."
    )
    amount: MoneyInput = strawberry.field(description="How much, in the card's currency; above 0.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    purchase: PurchaseKeyInput | None = strawberry.field(
        default=None, description="The purchase that it is to pay for; it may be recorded later."
    )
    time_to_live: Duration | None = strawberry.field(
        default=None, description="After which it ends by itself: PT1M to P7D; by default as holds of points do."
    )
    location: str | None = location_input()


@strawberry.type(description="The hold, and its card.")
class GiftCardHoldPayload:
    user_errors: UserErrors = user_errors_field()
    gift_card_hold: GiftCardHold | None = strawberry.field(default=None, description="The hold.")
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card, with what is left to spend.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_SPEND,
    Permission.SELF_REDEEM,
    description="Set money of a gift card aside at a checkout. It counts as spent until the hold is captured, released "
    "or over.",
)
async def gift_card_hold(
    info: Info,
    input: Annotated[GiftCardHoldInput, strawberry.argument(description="The card.")],  # noqa: A002
) -> GiftCardHoldPayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        purchase = input.purchase
        request = CardHoldRequest(
            card=gift_card_key(input.gift_card, "gift_card"),
            amount=amount_of(input.amount, "amount"),
            purchase=None if purchase is None else PurchaseKey(purchase.kind, purchase.external_id),
            minutes=parse_minutes(input.time_to_live, ("time_to_live",)) if input.time_to_live else None,
            idempotency_key=input.idempotency_key,
            location=tidy_optional_id(input.location),
        )
        held = await hold_gift_card(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return build_held_payload(held)

    return await answer_mutation(GiftCardHoldPayload, work)
