"""Pages of lists by time: purchases, adjustments, holds, redemptions, lots."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from loyalty.services.listing import Filter, count_listed
from loyalty.services.world import World
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from schema.connections import Connection, Order, Page, connection_by_time, window_of
from schema.context import Info

Row = TypeVar("Row")


async def listed_page(
    info: Info,
    order: Order[TimePlace],
    page: Page,
    read: Callable[[World, Actor, Filter, Window[TimePlace]], Awaitable[Sequence[Row]]],
    wanted: Filter,
    at: str,
) -> Connection[Any]:
    """A page of a list; ``at`` names the attribute that holds the time of a row."""
    world, actor = info.context.world, info.context.actor
    window = window_of(info.context.seal, page, order)
    found = await read(world, actor, wanted, window)
    return connection_by_time(
        info.context.seal, window, order, found, at, count=lambda: count_listed(world, actor, wanted)
    )
