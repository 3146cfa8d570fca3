"""Gift cards and their products."""

from typing import Annotated

import strawberry

from loyalty.rules.listing import OrderDirection
from loyalty.services.gift_card_product import READERS, count_products_of_list, list_products
from schema.connections import Connection, Page
from schema.context import Info
from schema.guard import guarded
from schema.loaders import load_node
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.gift_card_product import (
    GIFT_CARD_PRODUCT_ORDER,
    GiftCardProduct,
    GiftCardProductFilterInput,
    product_filter,
)
from schema.types.listed import load_listed_page


@guarded(
    *READERS,
    prepares=True,
    description="Products of gift cards, by default newest first. Customers list what is offered to them: active, and "
    "for points.",
)
async def gift_card_products(
    info: Info,
    filter: Annotated[  # noqa: A002
        GiftCardProductFilterInput | None, strawberry.argument(description="Which products to list.")
    ] = None,
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[GiftCardProduct]:
    """A page of products."""
    wanted, page = product_filter(filter), Page(first, after, last, before, direction)
    return await load_listed_page(
        info, GIFT_CARD_PRODUCT_ORDER, page, list_products, wanted, "created_at", count_products_of_list
    )


@guarded(
    *READERS,
    prepares=True,
    description="A product of gift cards, archived or not; null when there is none, or not for this caller.",
)
async def gift_card_product(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Its global id.")],  # noqa: A002
) -> GiftCardProduct | None:
    """Return a product. Customers find only products that are offered to them."""
    return await load_node(info, id, "GiftCardProduct", "gift_card_products")  # type: ignore[no-any-return]
