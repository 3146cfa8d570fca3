"""The tenant's catalogue of services, categories, locations and staff, kept by the tenant's own system."""

from collections.abc import Sequence
from typing import NamedTuple

from loyalty.rules.earning import CatalogItem, CatalogKind, validate_catalog_item
from loyalty.rules.errors import InvalidInput, LimitReached, Problem, refuse_problems
from loyalty.services.program import locked_program
from loyalty.services.world import World
from loyalty.storage.catalog import CatalogPlace, count_items, delete_items, read_items, save_items
from loyalty.storage.programs import touch_config
from loyalty.storage.window import Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.retry import retried

MAX_ITEMS_AT_ONCE = 1_000
MAX_ITEMS = 20_000


class CatalogEdit(NamedTuple):
    """Items to insert or replace, and keys of items to remove; all or nothing."""

    items: Sequence[CatalogItem]
    removals: Sequence[CatalogPlace]


async def upsert_catalog_items(world: World, actor: Actor, edit: CatalogEdit) -> Sequence[CatalogItem]:
    """Keep the catalogue; returns the items as they are stored now. Refusals: InvalidInput, LimitReached."""
    require(actor, Permission.LOYALTY_MANAGE)
    refuse_problems(_problems(edit))

    async def save() -> None:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await locked_program(tx)
            if edit.removals:
                await delete_items(tx, edit.removals)
            if edit.items:
                await save_items(tx, edit.items, world.clock())
            if await count_items(tx) > MAX_ITEMS:
                raise LimitReached("catalogue items", MAX_ITEMS, ("items",))
            await touch_config(tx)

    await retried(save)
    return edit.items


async def list_catalog_items(
    world: World, actor: Actor, *, kind: CatalogKind | None, window: Window[CatalogPlace]
) -> list[CatalogItem]:
    """A page of the catalogue."""
    require(actor, Permission.LOYALTY_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await read_items(tx, kind=kind, window=window)


def _problems(edit: CatalogEdit) -> list[Problem]:
    count = len(edit.items) + len(edit.removals)
    if not 1 <= count <= MAX_ITEMS_AT_ONCE:
        raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_ITEMS_AT_ONCE} items")
    problems = [
        Problem(("items", str(position), *path), reason)
        for position, item in enumerate(edit.items)
        for path, reason in validate_catalog_item(item)
    ]
    seen: set[CatalogPlace] = set()
    for position, item in enumerate(edit.items):
        key = CatalogPlace(item.kind, item.external_id)
        if key in seen:
            problems.append(Problem(("items", str(position), "external_id"), "stands in the list twice"))
        seen.add(key)
    return problems
