"""``giftCardRelease``: end a hold of a gift card without spending it."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.ids import GiftCardHoldId
from loyalty.services.gift_card_hold import release_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.gift_card import GiftCard, GiftCardHold, build_held_payload


@strawberry.input(description="Which hold, and why it ends.")
class GiftCardReleaseInput:
    hold: strawberry.ID = strawberry.field(description="A hold of a gift card that was not captured.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    reason: str | None = strawberry.field(
        default=None, description="Why, for the team only (`GiftCardHold.endedReason`); at most 500 characters."
    )


@strawberry.type(description="The hold as it ended, and its card.")
class GiftCardReleasePayload:
    user_errors: UserErrors = user_errors_field()
    gift_card_hold: GiftCardHold | None = strawberry.field(default=None, description="The hold.")
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card, with what is left to spend.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_SPEND,
    Permission.SELF_REDEEM,
    description="End a hold of a gift card without spending it: the money can be spent again at once.",
)
async def gift_card_release(
    info: Info,
    input: Annotated[GiftCardReleaseInput, strawberry.argument(description="Which hold.")],  # noqa: A002
) -> GiftCardReleasePayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        hold_id = GiftCardHoldId(row_id_of(input.hold, "GiftCardHold", "hold"))
        released = await release_gift_card(
            info.context.world,
            info.context.actor,
            hold_id,
            input.idempotency_key,
            input.reason,
        )
        info.context.loaders.clear()
        return build_held_payload(released)

    return await answer_mutation(GiftCardReleasePayload, work)
