"""Pages of lists by time."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from loyalty.services.listing import count_listed
from loyalty.services.world import World
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from schema.connections import Connection, Order, Page, connection_by_time, window_of
from schema.context import Info

Wanted = TypeVar("Wanted")


async def load_listed_page(
    info: Info,
    order: Order[TimePlace],
    page: Page,
    read: Callable[[World, Actor, Wanted, Window[TimePlace]], Awaitable[Sequence[Any]]],
    wanted: Wanted,
    at: str,
    count: Callable[[World, Actor, Any], Awaitable[int]] = count_listed,
) -> Connection[Any]:
    """Return a page of a list. ``at`` names the attribute with the time of a row.

    Rows are counted only if requested.
    """
    world, actor = info.context.world, info.context.actor
    window = window_of(info.context.seal, page, order)
    found = await read(world, actor, wanted, window)
    return connection_by_time(info.context.seal, window, order, found, at, count=lambda: count(world, actor, wanted))
