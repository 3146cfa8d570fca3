"""``giftCardReturn``: give spent money back to its gift card."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.ids import GiftCardHoldId
from loyalty.services.gift_card_hold import return_to_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.gift_card import GiftCard, GiftCardEntry, GiftCardHold, build_returned_payload
from schema.types.money import MoneyInput, amount_of


@strawberry.input(description="A payment with a gift card, and how much of it comes back.")
class GiftCardReturnInput:
    hold: strawberry.ID = strawberry.field(description="A captured hold of a gift card.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    amount: MoneyInput | None = strawberry.field(
        default=None, description="A part of what was spent, above 0; by default all that has not come back yet."
    )
    reason: str | None = strawberry.field(default=None, description="Why, for the team only; at most 500 characters.")


@strawberry.type(description="What came back, and the card.")
class GiftCardReturnPayload:
    user_errors: UserErrors = user_errors_field()
    entry: GiftCardEntry | None = strawberry.field(default=None, description="The line of the card's ledger.")
    gift_card_hold: GiftCardHold | None = strawberry.field(default=None, description="The payment.")
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card, with the new balance.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_SPEND,
    description="Give spent money back to its gift card, never more than was spent. A card whose time is over has to "
    "be extended first.",
)
async def gift_card_return(
    info: Info,
    input: Annotated[GiftCardReturnInput, strawberry.argument(description="The captured hold to give money back of.")],  # noqa: A002
) -> GiftCardReturnPayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        returned = await return_to_gift_card(
            info.context.world,
            info.context.actor,
            GiftCardHoldId(row_id_of(input.hold, "GiftCardHold", "hold")),
            None if input.amount is None else amount_of(input.amount, "amount"),
            input.reason,
            input.idempotency_key,
        )
        info.context.loaders.clear()
        return build_returned_payload(returned)

    return await answer_mutation(GiftCardReturnPayload, work)
