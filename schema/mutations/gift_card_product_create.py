"""``giftCardProductCreate``: create a product of gift cards."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import strawberry

from loyalty.rules.gift_card_product import DEFAULT_VALIDITY
from loyalty.rules.gift_card_product import GiftCardProduct as Product
from loyalty.rules.ids import GiftCardProductId
from loyalty.services.gift_card_product import create_product
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.scalars import Points
from schema.types.gift_card_product import GiftCardProduct, GiftCardValidityInput, validity_from
from schema.types.money import MoneyInput, amount_of

_UNBORN = GiftCardProductId(UUID(int=0))


@strawberry.input(description="A new product of gift cards.")
class GiftCardProductCreateInput:
    name: str = strawberry.field(description="What customers read; 1 to 120 characters.")
    face_value: MoneyInput = strawberry.field(
        description="What a card is worth, in the program's currency; above zero."
    )
    description: str | None = strawberry.field(
        default=None, description="More words for customers; at most 2,000 characters."
    )
    picture_url: str | None = strawberry.field(
        default=None, description="An https address of at most 2,000 characters."
    )
    purchasable_with_points: bool = strawberry.field(
        default=False, description="Whether customers can buy a card with points; then `pointsCost` is required."
    )
    points_cost: Points | None = strawberry.field(default=None, description="What a card costs in points; at least 1.")
    validity: GiftCardValidityInput | None = strawberry.field(
        default=None, description="How long a card can be spent; three years from the end of the year if left out."
    )
    stock: int | None = strawberry.field(
        default=None, description="How many cards of it there may be in all: 0 to 1,000,000; no limit if left out."
    )
    limit_per_customer: int | None = strawberry.field(
        default=None, description="How many one customer may get: 1 to 1,000; no limit if left out."
    )
    active: bool = strawberry.field(default=True, description="Whether cards of it can be had.")
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The new product.")
class GiftCardProductCreatePayload:
    user_errors: UserErrors = user_errors_field()
    gift_card_product: GiftCardProduct | None = strawberry.field(default=None, description="The product, at version 1.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.GIFT_CARDS_MANAGE,
    prepares=True,
    description="Create a product of gift cards. A program has at most 500 that are not archived.",
)
async def gift_card_product_create(
    info: Info,
    input: Annotated[GiftCardProductCreateInput, strawberry.argument(description="The product.")],  # noqa: A002
) -> GiftCardProductCreatePayload:
    """Create a product. It makes no cards."""

    async def work() -> Mapping[str, Any]:
        draft = Product(
            id=_UNBORN,
            name=input.name,
            face=amount_of(input.face_value, "face_value"),
            description=input.description,
            picture_url=input.picture_url,
            purchasable_with_points=input.purchasable_with_points,
            points_cost=input.points_cost,
            validity=validity_from(input.validity) if input.validity else DEFAULT_VALIDITY,
            stock=input.stock,
            limit_per_customer=input.limit_per_customer,
            active=input.active,
        )
        kept = await create_product(info.context.world, info.context.actor, draft, input.idempotency_key)
        info.context.loaders.clear()
        return {"gift_card_product": kept.product, "replayed": kept.replayed}

    return await answer_mutation(GiftCardProductCreatePayload, work)
