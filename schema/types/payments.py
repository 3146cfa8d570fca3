"""Pages of the holds and the redemptions of one purchase."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from loyalty.services.listing import list_holds, list_redemptions
from loyalty.services.world import World
from loyalty.storage.lists import HoldFilter, RedemptionFilter
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from schema.connections import Connection, Order, Page, time_order
from schema.context import Info
from schema.loaders import load
from schema.types.listed import load_listed_page

Read = Callable[[World, Actor, Any, Window[TimePlace]], Awaitable[Sequence[Any]]]
"""Reads a window of a list as an actor."""

HOLD_ORDER: Order[TimePlace] = time_order("holds")
REDEMPTION_ORDER: Order[TimePlace] = time_order("redemptions")


async def holds_of(info: Info, purchase: Any, page: Page) -> Connection[Any]:
    """Return a page of the holds for a purchase that the caller may see."""
    key = PurchaseKey(purchase.kind, purchase.external_id)
    wanted = HoldFilter(customer_id=info.context.actor.customer_id, purchase=key)
    read = _load_first_page(info, "holds_for", key, list_holds)
    return await load_listed_page(info, HOLD_ORDER, page, read, wanted, "created_at")


async def redemptions_of(info: Info, purchase: Any, page: Page) -> Connection[Any]:
    """Return a page of the redemptions for a purchase that the caller may see."""
    key = PurchaseKey(purchase.kind, purchase.external_id)
    wanted = RedemptionFilter(customer_id=info.context.actor.customer_id, purchase=key)
    read = _load_first_page(info, "redemptions_for", key, list_redemptions)
    return await load_listed_page(info, REDEMPTION_ORDER, page, read, wanted, "redeemed_at")


def _load_first_page(info: Info, loader: str, key: PurchaseKey, read: Read) -> Read:
    """Read a page with ``read``. The first pages of many purchases are loaded at once."""

    async def read_or_load(world: World, actor: Actor, wanted: Any, window: Window[TimePlace]) -> Sequence[Any]:
        if window.beyond is not None or window.backwards:
            return await read(world, actor, wanted, window)
        found: Sequence[Any] = await load(info, loader, key) or []
        return found[: window.limit]

    return read_or_load
