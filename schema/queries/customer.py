"""Customers, and what they bought."""

from typing import Annotated

import strawberry

from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.text import check_text, is_storable
from loyalty.services.customer import find_customer, list_customers
from loyalty.services.purchase import find_purchase
from loyalty.storage.customers import CustomerFilter, CustomerOrder, CustomerPlace, PointsFilter
from permissions.catalog import Permission
from schema.connections import Connection, Order, Page, connection_of, id_value, text_value, whole_value, window_of
from schema.context import Info
from schema.guard import guarded
from schema.loaders import load_node
from schema.types.arguments import After, Before, First, Last
from schema.types.checkout import PurchaseBy
from schema.types.customer import Customer, CustomerBy, customer_key
from schema.types.ledger import Adjustment
from schema.types.node import shown
from schema.types.purchase import Purchase
from schema.types.tier import known_tier_id

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
    order_by: Annotated[CustomerOrder, strawberry.argument(description="How they are ordered.")] = CustomerOrder.NAME,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Customer]:
    """A page of customers, two statements whatever its size."""
    if search is not None and (problem := check_text(search, ("search",), SEARCH_MAX_LENGTH)):
        raise InvalidInput([problem])
    order = CUSTOMER_ORDERS[order_by]
    window = window_of(info.context.seal, Page(first, after, last, before), order)
    tier_id = None if tier is None else await known_tier_id(info, tier, "tier")
    wanted = CustomerFilter(having=having, search=search, tier_id=tier_id)
    found = await list_customers(info.context.world, info.context.actor, wanted, order_by, window)
    return connection_of(info.context.seal, window, order, found)  # type: ignore[no-any-return]


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    prepares=True,
    description="A customer; null when there is none, or not for this caller.",
)
async def customer(
    info: Info, by: Annotated[CustomerBy, strawberry.argument(description="Which one.")]
) -> Customer | None:
    """Two statements, with tier and progress."""
    try:
        key = customer_key(by)
    except NotFound:
        return None
    return shown(await find_customer(info.context.world, info.context.actor, key, "by"))  # type: ignore[no-any-return]


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="A purchase; null when there is none, or not for this caller.",
)
async def purchase(
    info: Info, by: Annotated[PurchaseBy, strawberry.argument(description="Which one.")]
) -> Purchase | None:
    """By global id or natural key."""
    if by.key:
        if not is_storable(by.key.external_id):
            return None
        key = (by.key.kind, by.key.external_id)
        return shown(await find_purchase(info.context.world, info.context.actor, purchase_id=None, key=key))  # type: ignore[no-any-return]
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
    """The detail view of a correction."""
    return await load_node(info, id, "Adjustment", "adjustments")  # type: ignore[no-any-return]
