"""``customerExport``: everything that is stored about one customer."""

from typing import Annotated

import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.services.customer_export import export_customer
from permissions.catalog import Permission
from schema.connections import cursor_of, place_of
from schema.context import Info
from schema.guard import guarded
from schema.limits import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from schema.scalars import Cursor
from schema.types.customer import CustomerBy, customer_key
from schema.types.held_data import HELD_ORDER, CustomerExport, export_page


@guarded(
    Permission.CUSTOMERS_EXPORT,
    Permission.SELF_READ,
    description="Everything that is stored about one customer, as JSON, a page at a time; customers who were merged "
    "into this one are part of it. A customer exports themself, without notes, reasons, labels and names of the team.",
)
async def customer_export(
    info: Info,
    customer: Annotated[
        CustomerBy | None, strawberry.argument(description="Whose; by default the customer who is calling.")
    ] = None,
    after: Annotated[Cursor | None, strawberry.argument(description="Only records after this cursor.")] = None,
    first: Annotated[
        int | None, strawberry.argument(description="How many records at most: 1 to 100, default 20.")
    ] = None,
) -> CustomerExport:
    """Return a page of the export, read in one statement."""
    context = info.context
    if first is not None and not 1 <= first <= MAX_PAGE_SIZE:
        raise InvalidInput.one("first", reason=f"must be between 1 and {MAX_PAGE_SIZE}")
    beyond = None if after is None else place_of(context.seal, after, HELD_ORDER, "after")
    key = None if customer is None else customer_key(customer, "customer")
    page = await export_customer(context.world, context.actor, key, beyond, first or DEFAULT_PAGE_SIZE)
    end = cursor_of(context.seal, page.records[-1].place, HELD_ORDER) if page.records else None
    return export_page(page.records, end, more=page.more)
