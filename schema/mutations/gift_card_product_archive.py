"""``giftCardProductArchive``: archive a product for good."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.gift_card_product import archive_product
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.gift_card_product import GiftCardProduct


@strawberry.input(description="Which product to archive.")
class GiftCardProductArchiveInput:
    id: strawberry.ID = strawberry.field(description="The product.")
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse unless this is the stored version, so that nobody is overwritten."
    )


@strawberry.type(description="The archived product.")
class GiftCardProductArchivePayload:
    user_errors: UserErrors = user_errors_field()
    gift_card_product: GiftCardProduct | None = strawberry.field(
        default=None, description="The product: switched off, and off the list."
    )


@guarded(
    Permission.GIFT_CARDS_MANAGE,
    prepares=True,
    description="Take a product of gift cards off the list, for good; its cards can still be spent. Once more changes "
    "nothing. To pause a product, set `active` to false instead.",
)
async def gift_card_product_archive(
    info: Info,
    input: Annotated[GiftCardProductArchiveInput, strawberry.argument(description="The product to archive.")],  # noqa: A002
) -> GiftCardProductArchivePayload:
    """Archive a product. It can still be found by its id."""

    async def work() -> Mapping[str, Any]:
        product_id: Any = row_id_of(input.id, "GiftCardProduct", "id")
        world, actor = info.context.world, info.context.actor
        product = await archive_product(world, actor, product_id, input.expected_version)
        info.context.loaders.clear()
        return {"gift_card_product": product}

    return await answer_mutation(GiftCardProductArchivePayload, work)
