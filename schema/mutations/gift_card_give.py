"""``giftCardGive``: hand a gift card to somebody."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import strawberry

from loyalty.rules.gift_card_code import group_code
from loyalty.rules.gift_card_gift import Gift
from loyalty.rules.ids import GiftCardId
from loyalty.services.gift_card_gift import GiveRequest, give_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.gift_card import GiftCard
from schema.types.gift_card_gift import GiftCardGift


@strawberry.input(description="Which card, and for whom.")
class GiftCardGiveInput:
    gift_card: strawberry.ID = strawberry.field(description="A card of which something can be spent.")
    recipient_name: str = strawberry.field(description="For whom it is: 1 to 200 characters.")
    recipient_email: str | None = strawberry.field(
        default=None, description="How to reach them: at most 254 characters. Nothing is sent from here."
    )
    message: str | None = strawberry.field(default=None, description="Words for them: at most 1,000 characters.")
    deliver_on: date | None = strawberry.field(
        default=None, description="On which day you hand it over: today or later, where the tenant is."
    )
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )


@strawberry.type(description="The card that was given.")
class GiftCardGivePayload:
    user_errors: UserErrors = user_errors_field()
    gift: GiftCardGift | None = strawberry.field(default=None, description="The giver's reference.")
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card, which nobody has now.")
    code: str | None = strawberry.field(
        default=None,
        description="The code to hand over, grouped for reading, for the customer who gave the card; null for the "
        "team, and once somebody has claimed the card.",
    )
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_ISSUE,
    Permission.SELF_REDEEM,
    description="Hand a gift card to somebody. The card then has no holder: anybody with its code may spend "
    "or claim it. Customers give cards that they have.",
)
async def gift_card_give(
    info: Info,
    input: Annotated[GiftCardGiveInput, strawberry.argument(description="Which card, and for whom.")],  # noqa: A002
) -> GiftCardGivePayload:
    """Give the card in one transaction."""

    async def work() -> Mapping[str, Any]:
        gift = Gift(input.recipient_name, input.recipient_email, input.message, input.deliver_on)
        card_id = GiftCardId(row_id_of(input.gift_card, "GiftCard", "gift_card"))
        request = GiveRequest(card_id, gift, input.idempotency_key)
        given = await give_gift_card(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        code = None if given.code is None else group_code(given.code)
        return {"gift": given.gift, "gift_card": given.card, "code": code, "replayed": given.replayed}

    return await answer_mutation(GiftCardGivePayload, work)
