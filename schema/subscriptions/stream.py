"""Follow the log for a subscription: from a cursor on, event by event, each with its own loaders."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import CustomerId
from loyalty.services.event_log import find_followed_customer
from schema.channels import Watch
from schema.connections import place_of
from schema.context import EVENT_ORDER, Info
from schema.masking import FeedEnded
from schema.types.customer import CustomerBy, customer_key

LAST_EVENT_ID = "Last-Event-ID"
"""The header of an event stream with the cursor to resume from (HTML standard, server-sent events)."""


async def follow(info: Info, after: str | None, watch: Watch) -> AsyncGenerator[Any, None]:
    """Yield the shown values of the tenant's events after a cursor, or from now on.

    Once all earlier events are told, a channel tells the later ones if one can begin there, and this generator ends.
    Otherwise it goes on by itself. The rows loaded for one event are forgotten before the next. The header
    `Last-Event-ID` of an event stream is used instead of the argument ``after`` if both are given. Raises FeedEnded
    when the process stops.
    """
    context = info.context
    start, name = (context.last_event_id, LAST_EVENT_ID) if context.last_event_id else (after, "after")
    position = None if start is None else place_of(context.seal, start, EVENT_ORDER, name)
    context.delivery.begin_after(start)
    log = context.services.feed.follow(
        context.actor.tenant_id, position, watch.customer_id, partial(context.join_channel, watch)
    )
    try:
        async with aclosing(log) as events:
            async for event in events:
                context.forget_loaded()
                context.delivery.take(event.position)
                shown = watch.show(event, context.event_cursor)
                if shown is not None:
                    yield shown
    except InvalidInput as refused:
        # The feed knows positions, not where a reader wrote them.
        raise InvalidInput.one(name, reason=refused.problems[0].reason) from refused
    if context.delivery.subscriber is None:
        raise FeedEnded


async def find_watched_customer(info: Info, by: CustomerBy | None) -> CustomerId | None:
    """Return the customer to watch; None for all. A customer may watch only themselves."""
    key = None if by is None else customer_key(by, "customer")
    return await find_followed_customer(info.context.world, info.context.actor, key, "customer")
