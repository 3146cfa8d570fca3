"""``giftCardCancel``: take a gift card back, with the points that bought it."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.ids import GiftCardId
from loyalty.services.gift_card_cancel import CancelRequest, cancel_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.gift_card import GiftCard, GiftCardEntry, build_moved_payload


@strawberry.input(description="A gift card to cancel.")
class GiftCardCancelInput:
    gift_card: strawberry.ID = strawberry.field(description="The card.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    return_points: bool | None = strawberry.field(
        default=None,
        description="Only for cards that points bought: whether the points come back, which needs a card of which "
        "nothing was spent. By default they do; `false` cancels a card that was used, and the points stay burnt.",
    )
    reason: str | None = strawberry.field(default=None, description="Why, for the team only; at most 500 characters.")


@strawberry.type(description="The gift card, void.")
class GiftCardCancelPayload:
    user_errors: UserErrors = user_errors_field()
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card as it is now.")
    entry: GiftCardEntry | None = strawberry.field(default=None, description="The line of its ledger.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_MANAGE,
    description="Take what is left of a gift card for good. The points of an unused card that points bought go back to "
    "the lots that they came from.",
)
async def gift_card_cancel(
    info: Info,
    input: Annotated[GiftCardCancelInput, strawberry.argument(description="The card.")],  # noqa: A002
) -> GiftCardCancelPayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        request = CancelRequest(
            card_id=GiftCardId(row_id_of(input.gift_card, "GiftCard", "gift_card")),
            return_points=input.return_points,
            reason=input.reason,
            idempotency_key=input.idempotency_key,
        )
        cancelled = await cancel_gift_card(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return build_moved_payload(cancelled)

    return await answer_mutation(GiftCardCancelPayload, work)
