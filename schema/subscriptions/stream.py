"""What every subscription does: from a cursor on, event by event, each with loaders of its own."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from loyalty.rules.errors import NotFound
from loyalty.rules.ids import CustomerId
from loyalty.services.customer import find_customer
from loyalty.storage.events import EventRow
from schema.connections import Order, cursor_of, place_of, whole_value
from schema.context import Info
from schema.types.customer import CustomerBy, customer_key

EVENT_ORDER: Order[int] = Order("events", lambda position: (position,), whole_value)


async def follow(info: Info, after: str | None) -> AsyncGenerator[EventRow, None]:
    """The tenant's events after a cursor, or from now on. What one event loaded is forgotten before the next."""
    context = info.context
    position = None if after is None else place_of(context.seal, after, EVENT_ORDER, "after")
    async with aclosing(context.services.feed.follow(context.actor.tenant_id, position)) as events:
        async for event in events:
            context.loaders.clear()
            yield event


def event_cursor(info: Info, event: EventRow) -> str:
    """The cursor of an event."""
    return cursor_of(info.context.seal, event.position, EVENT_ORDER)


async def watched_customer(info: Info, by: CustomerBy | None) -> CustomerId | None:
    """Whom to watch, or None for everybody; customers watch themselves, whatever they ask for."""
    actor = info.context.actor
    if by is None:
        return actor.customer_id
    found = await find_customer(info.context.world, actor, customer_key(by, "customer"))
    if found is None:
        raise NotFound("customer", ("customer",))
    return found.id
