"""``eventLogged``: the log itself, each event as it comes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, NamedTuple

import strawberry

from loyalty.rules.events import EventKind
from loyalty.rules.ids import CustomerId
from loyalty.storage.events import EventRow
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded_stream
from schema.scalars import Cursor
from schema.subscriptions.stream import find_watched_customer, follow
from schema.types.customer import CustomerBy
from schema.types.event_log import Event, check_kinds, show_event
from schema.types.node import show_row


class WatchedEvents(NamedTuple):
    """Chooses the events of a subscription."""

    customer_id: CustomerId | None
    kinds: frozenset[EventKind] | None

    def show(self, event: EventRow, cursor_at: Callable[[int], Cursor]) -> Event | None:
        """Return the event if the subscription shows it."""
        if self.customer_id not in (None, event.customer_id):
            return None
        if self.kinds is not None and event.kind not in self.kinds:
            return None
        return show_row(Event, show_event(event, cursor_at(event.position)))


@guarded_stream(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="Streams each event of the log once, in order: the events that the query `events` lists. Customers see "
    "only their own.",
)
async def event_logged(
    info: Info,
    kinds: Annotated[list[EventKind] | None, strawberry.argument(description="Only these kinds, at least one.")] = None,
    customer: Annotated[CustomerBy | None, strawberry.argument(description="Only this customer's.")] = None,
    after: Annotated[Cursor | None, strawberry.argument(description="Go on after this event, without a gap.")] = None,
) -> AsyncGenerator[Event, None]:
    """An event of a gift card belongs to the customer who held the card then. Without a holder it belongs to nobody."""
    check_kinds(kinds)
    watched = await find_watched_customer(info, customer)
    watch = WatchedEvents(watched, None if kinds is None else frozenset(kinds))
    async with aclosing(follow(info, after, watch)) as events:
        async for event in events:
            yield event
