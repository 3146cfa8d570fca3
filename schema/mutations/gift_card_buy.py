"""``giftCardBuy``: buy a gift card with points."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.ids import GiftCardProductId
from loyalty.services.gift_card_buy import BuyRequest, buy_gift_card
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.customer import Customer, CustomerBy, payer_key
from schema.types.gift_card import GiftCard, build_issued_payload, code_field


@strawberry.input(description="Which gift card, and whose points.")
class GiftCardBuyInput:
    product: strawberry.ID = strawberry.field(description="A product that points can buy, with cards left.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never buys a second card for one caller and operation."
    )
    customer: CustomerBy | None = strawberry.field(
        default=None, description="The customer whose points count; a customer may leave it out and is meant then."
    )


@strawberry.type(description="The gift card with its code, and where the customer stands after it.")
class GiftCardBuyPayload:
    user_errors: UserErrors = user_errors_field()
    gift_card: GiftCard | None = strawberry.field(default=None, description="The card.")
    code: str | None = code_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_ISSUE,
    Permission.SELF_REDEEM,
    description="Burn a customer's points for a gift card. It earns nothing and counts for no tier.",
)
async def gift_card_buy(
    info: Info,
    input: Annotated[  # noqa: A002
        GiftCardBuyInput, strawberry.argument(description="The product, and the customer who buys a card of it.")
    ],
) -> GiftCardBuyPayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        request = BuyRequest(
            customer=payer_key(info, input.customer),
            product_id=GiftCardProductId(row_id_of(input.product, "GiftCardProduct", "product")),
            idempotency_key=input.idempotency_key,
        )
        bought = await buy_gift_card(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return build_issued_payload(bought)

    return await answer_mutation(GiftCardBuyPayload, work)
