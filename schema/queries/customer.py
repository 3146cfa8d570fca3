"""Customers, and what they bought."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import strawberry

from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.listing import OrderDirection
from loyalty.rules.text import check_text, is_storable, tidy_text
from loyalty.services.customer import count_customers, find_customer, list_customers
from loyalty.services.listing import MAX_EXTERNAL_IDS
from loyalty.services.purchase import find_purchase
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, CustomerPlace, PointsFilter
from loyalty.storage.points_paid import PurchaseKey
from permissions.catalog import Permission
from schema.connections import Connection, Order, Page, connection_of, id_value, text_value, whole_value, window_of
from schema.context import Info
from schema.guard import guarded
from schema.input_values import unreadable_problems
from schema.loaders import load, load_node
from schema.types.arguments import After, Before, First, Last
from schema.types.checkout import PurchaseBy, PurchaseKeyInput
from schema.types.customer import Customer, CustomerBy, customer_key
from schema.types.customer_filter import CustomerFilterInput, narrow_filter
from schema.types.ledger import Adjustment
from schema.types.node import show_row_if_any
from schema.types.purchase import Purchase
from schema.types.tier import find_known_tier_id

SEARCH_MAX_LENGTH = 200

CUSTOMER_ORDERS: dict[CustomerOrder, Order[CustomerPlace]] = {
    CustomerOrder.NAME: Order(
        "customers.name",
        tuple,
        lambda value, row_id: CustomerPlace(text_value(value), id_value(row_id)),  # type: ignore[arg-type]
    ),
    CustomerOrder.POINTS: Order(
        "customers.points",
        tuple,
        lambda value, row_id: CustomerPlace(whole_value(value), id_value(row_id)),  # type: ignore[arg-type]
    ),
    CustomerOrder.NEWEST: Order(
        "customers.newest",
        tuple,
        lambda value, row_id: CustomerPlace(id_value(value), id_value(row_id)),  # type: ignore[arg-type]
    ),
}


@guarded(Permission.LOYALTY_READ, prepares=True, description="Customers; by default those with points to spend.")
async def customers(  # noqa: PLR0913, PLR0917 - a list is asked for in many ways
    info: Info,
    having: Annotated[PointsFilter, strawberry.argument(description="By their points.")] = PointsFilter.AVAILABLE,
    search: Annotated[
        str | None,
        strawberry.argument(
            description="What a word of the name, the e-mail or the external id begins with; several words must all be "
            "found. Case and accents do not matter, and `ue` is `ü`."
        ),
    ] = None,
    tier: Annotated[strawberry.ID | None, strawberry.argument(description="Only this tier's customers.")] = None,
    filter: Annotated[CustomerFilterInput | None, strawberry.argument(description="Which customers to list.")] = None,  # noqa: A002
    order_by: Annotated[CustomerOrder, strawberry.argument(description="How they are ordered.")] = CustomerOrder.NAME,
    direction: Annotated[
        OrderDirection | None, strawberry.argument(description="Turns the order round; by default as `orderBy` says.")
    ] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Customer]:
    """Return a page of customers."""
    if search is not None and (problem := check_text(search, ("search",), SEARCH_MAX_LENGTH)):
        raise InvalidInput([problem])
    order = CUSTOMER_ORDERS[order_by]
    window = window_of(info.context.seal, Page(first, after, last, before, direction), order)
    tier_id = None if tier is None else await find_known_tier_id(info, tier, "tier")
    wanted = narrow_filter(CustomerFilter(having=having, search=search, tier_id=tier_id), filter)
    world, actor = info.context.world, info.context.actor
    found = await list_customers(world, actor, wanted, order_by, window)
    return connection_of(info.context.seal, window, order, found, count=lambda: count_customers(world, actor, wanted))


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    prepares=True,
    description="Customers by up to 100 ids of your own system, in their order; null for one that is unknown, or "
    "not for this caller.",
    batch="external_ids",
)
async def customers_by_external_id(
    info: Info,
    external_ids: Annotated[list[str], strawberry.argument(description="1 to 100 ids.")],
) -> list[Customer | None]:
    """Return customers by external id, in one batch."""
    _refuse_many("external_ids", external_ids)
    names = ["" if unreadable_problems(one) else tidy_text(one) for one in external_ids]
    return list(await asyncio.gather(*(load(info, "customers_by_external_id", name) for name in names)))


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="Purchases by up to 100 natural keys, in their order; null for one that is not recorded, or "
    "not for this caller.",
    batch="keys",
)
async def purchases_by_key(
    info: Info,
    keys: Annotated[list[PurchaseKeyInput], strawberry.argument(description="1 to 100 keys.")],
) -> list[Purchase | None]:
    """Return purchases by kind and external id, in one batch."""
    _refuse_many("keys", keys)
    names = [PurchaseKey(one.kind, "" if unreadable_problems(one) else one.external_id) for one in keys]
    return list(await asyncio.gather(*(load(info, "purchases_by_key", name) for name in names)))


def _refuse_many(name: str, given: Sequence[object]) -> None:
    """Refuse an argument with no item, or with more than ``MAX_EXTERNAL_IDS`` items."""
    if not 1 <= len(given) <= MAX_EXTERNAL_IDS:
        raise InvalidInput.one(name, reason=f"must have between 1 and {MAX_EXTERNAL_IDS} items")


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    prepares=True,
    description="A customer; null when there is none, or not for this caller.",
)
async def customer(
    info: Info, by: Annotated[CustomerBy, strawberry.argument(description="The customer to read.")]
) -> Customer | None:
    """Return a customer with tier and progress, by two statements."""
    try:
        key = customer_key(by)
    except NotFound:
        return None
    return show_row_if_any(Customer, await find_customer(info.context.world, info.context.actor, key, "by"))


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="A purchase; null when there is none, or not for this caller.",
)
async def purchase(
    info: Info, by: Annotated[PurchaseBy, strawberry.argument(description="The purchase to read.")]
) -> Purchase | None:
    """Return a purchase by global id, or by kind and external id."""
    if by.key:
        if not is_storable(by.key.external_id):
            return None
        key = (by.key.kind, by.key.external_id)
        found = await find_purchase(info.context.world, info.context.actor, purchase_id=None, key=key)
        return show_row_if_any(Purchase, found)
    return await load_node(info, by.id or "", "Purchase", "purchases")  # type: ignore[no-any-return]


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="An adjustment; null when there is none, or not for this caller.",
)
async def adjustment(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Its global id.")],  # noqa: A002
) -> Adjustment | None:
    """Return one adjustment."""
    return await load_node(info, id, "Adjustment", "adjustments")  # type: ignore[no-any-return]
