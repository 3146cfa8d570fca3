"""``giftCardProductUpdate``: change a product, or switch it on or off, as its next version."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import strawberry

from loyalty.rules.gift_card_product import GiftCardProduct as Product
from loyalty.services.gift_card_product import change_product
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.given import read_given_fields
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.scalars import Points
from schema.types.gift_card_product import GiftCardProduct, GiftCardValidityInput, validity_from
from schema.types.money import MoneyInput, amount_of

_NULLABLE = ("description", "picture_url", "points_cost", "stock", "limit_per_customer")


@strawberry.input(description="A change of a product. What is left out stays as it is.")
class GiftCardProductUpdateInput:
    id: strawberry.ID = strawberry.field(description="The product.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="1 to 120 characters.")
    face_value: MoneyInput | None = strawberry.field(
        default=strawberry.UNSET, description="What new cards are worth; those of before keep theirs."
    )
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="At most 2,000 characters; null takes it away."
    )
    picture_url: str | None = strawberry.field(
        default=strawberry.UNSET, description="An https address of at most 2,000 characters; null takes it away."
    )
    purchasable_with_points: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether customers can buy a card with points."
    )
    points_cost: Points | None = strawberry.field(
        default=strawberry.UNSET, description="At least 1; null takes it away where points cannot buy a card."
    )
    validity: GiftCardValidityInput | None = strawberry.field(
        default=strawberry.UNSET, description="Of new cards; those of before keep theirs."
    )
    stock: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="How many cards of it there may be in all: 0 to 1,000,000, also fewer than there are; null for no "
        "limit.",
    )
    limit_per_customer: int | None = strawberry.field(
        default=strawberry.UNSET, description="1 to 1,000; null for no limit."
    )
    active: bool | None = strawberry.field(default=strawberry.UNSET, description="Whether cards of it can be had.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse unless this is the stored version, so that nobody is overwritten."
    )


@strawberry.type(description="The product as it is now.")
class GiftCardProductUpdatePayload:
    user_errors: UserErrors = user_errors_field()
    gift_card_product: GiftCardProduct | None = strawberry.field(
        default=None, description="The product at its newest version."
    )


@guarded(
    Permission.GIFT_CARDS_MANAGE,
    prepares=True,
    description="Change a product of gift cards; cards that are out stay as they are.",
)
async def gift_card_product_update(
    info: Info,
    input: Annotated[  # noqa: A002
        GiftCardProductUpdateInput, strawberry.argument(description="The product to change, and the change.")
    ],
) -> GiftCardProductUpdatePayload:
    """Change a product. If nothing differs, there is no new version."""

    async def work() -> Mapping[str, Any]:
        changes = _changes(input)

        def change(product: Product) -> Product:
            return replace(product, **changes)

        product_id: Any = row_id_of(input.id, "GiftCardProduct", "id")
        world, actor = info.context.world, info.context.actor
        product = await change_product(world, actor, product_id, change, input.expected_version)
        info.context.loaders.clear()
        return {"gift_card_product": product}

    return await answer_mutation(GiftCardProductUpdatePayload, work)


def _changes(given: GiftCardProductUpdateInput) -> dict[str, Any]:
    changes = read_given_fields(given, "name", "face_value", "purchasable_with_points", "validity", "active")
    if "face_value" in changes:
        changes["face"] = amount_of(changes.pop("face_value"), "face_value")
    if "validity" in changes:
        changes["validity"] = validity_from(changes["validity"])
    sent = {name: getattr(given, name) for name in _NULLABLE}
    return changes | {name: value for name, value in sent.items() if value is not strawberry.UNSET}
