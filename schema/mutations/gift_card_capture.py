"""``giftCardCapture``: spend what a hold of a gift card has set aside."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.ids import GiftCardHoldId
from loyalty.rules.text import tidy_optional_id
from loyalty.services.gift_card_hold import capture_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.gift_card import GiftCard, GiftCardHold, build_held_payload
from schema.types.location import capture_location_input
from schema.types.money import MoneyInput, amount_of


@strawberry.input(description="Which hold, and how much of it.")
class GiftCardCaptureInput:
    hold: strawberry.ID = strawberry.field(description="An active hold of a gift card.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    amount: MoneyInput | None = strawberry.field(
        default=None, description="A part of the hold, above 0; the rest can be spent again. By default all of it."
    )
    location: str | None = capture_location_input()


@strawberry.type(description="The payment, and its card.")
class GiftCardCapturePayload:
    user_errors: UserErrors = user_errors_field()
    gift_card_hold: GiftCardHold | None = strawberry.field(default=None, description="The hold, captured.")
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card, with the new balance.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_SPEND,
    description="Spend what a hold of a gift card has set aside, or a part of it: when the purchase is paid.",
)
async def gift_card_capture(
    info: Info,
    input: Annotated[GiftCardCaptureInput, strawberry.argument(description="Which hold.")],  # noqa: A002
) -> GiftCardCapturePayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        captured = await capture_gift_card(
            info.context.world,
            info.context.actor,
            GiftCardHoldId(row_id_of(input.hold, "GiftCardHold", "hold")),
            None if input.amount is None else amount_of(input.amount, "amount"),
            input.idempotency_key,
            tidy_optional_id(input.location),
        )
        info.context.loaders.clear()
        return build_held_payload(captured)

    return await answer_mutation(GiftCardCapturePayload, work)
