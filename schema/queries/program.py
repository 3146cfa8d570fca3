"""The program, its rules, tiers and catalogue, and the jobs that follow their edits."""

from typing import Annotated

import strawberry

from loyalty.rules.earning import CatalogKind
from loyalty.rules.errors import InvalidInput
from loyalty.rules.text import check_text, is_storable
from loyalty.services import tier as tier_service
from loyalty.services.catalog import count_catalog_items, list_catalog_items
from loyalty.services.earning_rule import count_earning_rules, list_earning_rules
from loyalty.services.program import get_program
from loyalty.storage.earning_rules import RulePlace
from permissions.catalog import Permission
from schema.connections import (
    Connection,
    Order,
    Page,
    connection_of,
    id_value,
    whole_value,
    window_of,
)
from schema.context import Info
from schema.guard import guarded
from schema.loaders import load, load_node
from schema.node_ids import RowKey
from schema.types.arguments import After, Before, First, Last
from schema.types.catalog import CATALOG_ORDER, CatalogItem, CatalogItemBy, catalog_place
from schema.types.earning_rule import EarningRule
from schema.types.job import Job
from schema.types.node import show_row, show_rows
from schema.types.program import Program
from schema.types.tier import Tier

SEARCH_MAX_LENGTH = 200

RULE_ORDER: Order[RulePlace] = Order(
    name="rules",
    values=tuple,
    place=lambda priority, row_id: RulePlace(whole_value(priority), id_value(row_id)),  # type: ignore[arg-type]
)


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="The tenant's loyalty settings, also while the program is off.",
    even_when_off=True,
)
async def program(info: Info) -> Program:
    """Return the settings in force."""
    return show_row(Program, await get_program(info.context.world, info.context.actor))


@guarded(Permission.LOYALTY_READ, prepares=True, description="The earning rules, by priority, then by age.")
async def earning_rules(
    info: Info,
    active: Annotated[bool | None, strawberry.argument(description="Only active rules, or only paused ones.")] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[EarningRule]:
    """A page of rules."""
    window = window_of(info.context.seal, Page(first, after, last, before), RULE_ORDER)
    found = await list_earning_rules(info.context.world, info.context.actor, active=active, window=window)
    places = [(RulePlace(row.priority, row.id), row) for row in found]
    world, actor = info.context.world, info.context.actor
    return connection_of(
        info.context.seal, window, RULE_ORDER, places, count=lambda: count_earning_rules(world, actor, active=active)
    )


@guarded(
    Permission.LOYALTY_READ,
    Permission.LOYALTY_REPORT,
    Permission.SELF_READ,
    prepares=True,
    description="All tiers, lowest minimum first.",
)
async def tiers(info: Info) -> list[Tier]:
    """Return the tiers; a program has at most 50."""
    return show_rows(Tier, await tier_service.list_tiers(info.context.world, info.context.actor))


@guarded(Permission.LOYALTY_READ, prepares=True, description="The catalogue, by kind, then by external id.")
async def catalog_items(
    info: Info,
    kind: Annotated[CatalogKind | None, strawberry.argument(description="Only this kind.")] = None,
    search: Annotated[
        str | None,
        strawberry.argument(
            description="What stands in the name, without regard to case and accents, or begins the external id: 1 to "
            "200 characters."
        ),
    ] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[CatalogItem]:
    """A page of the catalogue."""
    if search is not None and (problem := check_text(search, ("search",), SEARCH_MAX_LENGTH)):
        raise InvalidInput([problem])
    window = window_of(info.context.seal, Page(first, after, last, before), CATALOG_ORDER)
    world, actor = info.context.world, info.context.actor
    found = await list_catalog_items(world, actor, kind=kind, search=search, window=window)
    return connection_of(
        info.context.seal,
        window,
        CATALOG_ORDER,
        [(catalog_place(item), item) for item in found],
        count=lambda: count_catalog_items(world, actor, kind=kind, search=search),
    )


@guarded(Permission.LOYALTY_READ, prepares=True, description="An item of the catalogue; null when there is none.")
async def catalog_item(
    info: Info, by: Annotated[CatalogItemBy, strawberry.argument(description="The item to read.")]
) -> CatalogItem | None:
    """Return an item by global id, or by kind and external id."""
    if by.key:
        if not is_storable(by.key.external_id):
            return None
        return await load(info, "catalog_items", RowKey(by.key.kind, by.key.external_id))  # type: ignore[no-any-return]
    return await load_node(info, by.id or "", "CatalogItem", "catalog_items")  # type: ignore[no-any-return]


@guarded(Permission.LOYALTY_READ, prepares=True, description="A background job; null when there is none.")
async def job(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Its global id.")],  # noqa: A002
) -> Job | None:
    """Return a job with its progress."""
    return await load_node(info, id, "Job", "jobs")  # type: ignore[no-any-return]
