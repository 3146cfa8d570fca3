"""Lists of somebody who is limited to locations: their pages are those of the whole list without what is elsewhere."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from loyalty.services.adjustment import adjust_points
from loyalty.services.listing import count_listed, list_adjustments, list_purchases
from loyalty.services.purchase import record_purchase
from loyalty.services.world import World
from loyalty.storage.lists import AdjustmentFilter, PurchaseFilter
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, adjustment, at, order

MADE_AT = ("hill", "main", None, "main-2", "hill", "main", "hill", None, "main", "main-2", "hill")
"""Where one after the other happens; a name that begins with another one is another location."""
SCOPES = (("main",), ("hill", "main"), ("hill", "main", "main-2", "nowhere"), ("nowhere",))

Page = Callable[[Actor, Window[TimePlace]], Awaitable[Sequence[Any]]]


async def read_pages(page: Page, actor: Actor, place: Callable[[Any], TimePlace], **way: bool) -> list[Any]:
    """Read a list two rows at a time, each page from the end of the one before."""
    rows: list[Any] = []
    while found := await page(actor, Window(2, place(rows[-1]) if rows else None, **way)):
        assert len(found) <= 2
        rows += found
    return rows


@pytest.mark.parametrize("ascending", [False, True], ids=["newest first", "oldest first"])
@pytest.mark.parametrize("kind", ["purchases", "adjustments"])
async def test_pages_of_locations_are_the_list_without_the_rest(
    world: World, salon: Salon, kind: str, *, ascending: bool
) -> None:
    """For one location and for several, in both directions, and with several rows at one instant."""
    if kind == "adjustments":
        await record_purchase(world, salon.integration, order("of a customer"))
    for number, location in enumerate(MADE_AT):
        then = at(world, NOON + timedelta(minutes=number // 3))
        if kind == "purchases":
            await record_purchase(then, salon.integration, order(f"order-{number}", location=location))
        else:
            given = adjustment(1, f"key-{number}", location=location)
            await adjust_points(then, salon.manager, given)

    async def page(actor: Actor, window: Window[TimePlace]) -> Sequence[Any]:
        if kind == "purchases":
            return await list_purchases(world, actor, PurchaseFilter(), window)
        return await list_adjustments(world, actor, AdjustmentFilter(), window)

    def place(row: Any) -> TimePlace:
        return TimePlace(row.recorded_at if kind == "purchases" else row.created_at, row.id)

    whole = await page(salon.manager, Window(50, ascending=ascending))
    assert len(whole) == len(MADE_AT)
    for scope in SCOPES:
        actor = replace(salon.staff, locations=frozenset(scope))
        seen = [row for row in whole if row.location in scope]
        assert await read_pages(page, actor, place, ascending=ascending) == seen
        assert await read_pages(page, actor, place, ascending=ascending, backwards=True) == seen[::-1]
        wanted: Any = PurchaseFilter() if kind == "purchases" else AdjustmentFilter()
        assert await count_listed(world, actor, wanted) == len(seen)
