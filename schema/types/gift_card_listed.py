"""Pages of gift cards, for the list of all and for the cards of one customer."""

from typing import Any

from loyalty.services.gift_card_listing import count_gift_cards, list_gift_cards
from loyalty.storage.gift_card_lists import GiftCardFilter
from schema.connections import Connection, Page
from schema.context import Info
from schema.types.gift_card import GIFT_CARD_ORDER
from schema.types.listed import load_listed_page


async def gift_card_page(info: Info, wanted: GiftCardFilter, page: Page) -> Connection[Any]:
    """Return a page of the gift cards that the caller may see."""
    return await load_listed_page(info, GIFT_CARD_ORDER, page, list_gift_cards, wanted, "issued_at", count_gift_cards)
