"""Pages of gift cards, for the list of all and for the cards of one customer."""

from typing import Any

from loyalty.services.gift_card_listing import count_gift_cards, list_gift_cards
from loyalty.storage.gift_card_lists import GiftCardFilter
from schema.connections import Connection, Page, connection_by_time, window_of
from schema.context import Info
from schema.types.gift_card import GIFT_CARD_ORDER


async def gift_card_page(info: Info, wanted: GiftCardFilter, page: Page) -> Connection[Any]:
    """A page of gift cards, as far as the caller may see them."""
    world, actor, seal = info.context.world, info.context.actor, info.context.seal
    window = window_of(seal, page, GIFT_CARD_ORDER)
    found = await list_gift_cards(world, actor, wanted, window)
    return connection_by_time(
        seal, window, GIFT_CARD_ORDER, found, "issued_at", count=lambda: count_gift_cards(world, actor, wanted)
    )
