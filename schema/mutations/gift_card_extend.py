"""``giftCardExtend``: extend the validity of a gift card."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import strawberry

from loyalty.rules.ids import GiftCardId
from loyalty.services.gift_card_expiry import ExtendRequest, extend_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.gift_card import GiftCard, GiftCardEntry, build_moved_payload


@strawberry.input(description="A gift card, and how long it is to live.")
class GiftCardExtendInput:
    gift_card: strawberry.ID = strawberry.field(description="A card that expires, and is not void.")
    expires_on: date = strawberry.field(
        description="The last local day on which it can be spent; later than so far, and not over yet."
    )
    reason: str = strawberry.field(description="Why, for the team only; 1 to 500 characters.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )


@strawberry.type(description="The gift card, with its new expiry.")
class GiftCardExtendPayload:
    user_errors: UserErrors = user_errors_field()
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card as it is now.")
    entry: GiftCardEntry | None = strawberry.field(
        default=None, description="The line of its ledger; its amount is what had expired and came back."
    )
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_MANAGE,
    description="Give a gift card a later expiry. What had expired since comes back.",
)
async def gift_card_extend(
    info: Info,
    input: Annotated[GiftCardExtendInput, strawberry.argument(description="The card.")],  # noqa: A002
) -> GiftCardExtendPayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        request = ExtendRequest(
            card_id=GiftCardId(row_id_of(input.gift_card, "GiftCard", "gift_card")),
            expires_on=input.expires_on,
            reason=input.reason,
            idempotency_key=input.idempotency_key,
        )
        extended = await extend_gift_card(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return build_moved_payload(extended)

    return await answer_mutation(GiftCardExtendPayload, work)
