"""The tenant's log of events: its newest position, and the events after a cursor."""

from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.event_subjects import EventSubject, Subject
from loyalty.rules.events import EventKind
from loyalty.services.event_log import find_newest_position, poll_events
from loyalty.storage.events import EventFilter
from permissions.catalog import Permission
from schema.connections import place_of
from schema.context import EVENT_ORDER, Info
from schema.guard import guarded
from schema.limits import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from schema.loaders import load
from schema.node_ids import row_id_of
from schema.scalars import Cursor
from schema.subscriptions.stream import find_watched_customer
from schema.types.customer import CustomerBy
from schema.types.event_log import EventPage, check_kinds, show_event


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="The cursor of the newest event. Read it first, then the state you show, then subscribe with it as "
    "`after`: nothing that happens in between is missed.",
)
async def event_cursor(info: Info) -> Cursor:
    """Return the cursor of the newest position. It tells nothing about the events."""
    return info.context.event_cursor(await find_newest_position(info.context.world, info.context.actor))


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="The events after a cursor, oldest first: the same log that subscriptions stream, for clients that ask "
    "now and then. Without `after` it begins with the oldest event. Customers read only their own.",
)
async def events(
    info: Info,
    after: Annotated[Cursor | None, strawberry.argument(description="Only events after this cursor.")] = None,
    kinds: Annotated[list[EventKind] | None, strawberry.argument(description="Only these kinds, at least one.")] = None,
    customer: Annotated[CustomerBy | None, strawberry.argument(description="Only this customer's.")] = None,
    gift_card: Annotated[
        strawberry.ID | None, strawberry.argument(description="Only of the gift card with this global id.")
    ] = None,
    first: Annotated[
        int | None, strawberry.argument(description="How many events at most: 1 to 100, default 20.")
    ] = None,
) -> EventPage:
    """A page of the log."""
    context = info.context
    if first is not None and not 1 <= first <= MAX_PAGE_SIZE:
        raise InvalidInput.one("first", reason=f"must be between 1 and {MAX_PAGE_SIZE}")
    check_kinds(kinds)
    position = 0 if after is None else place_of(context.seal, after, EVENT_ORDER, "after")
    subject = None if gift_card is None else await _find_gift_card(info, gift_card)
    wanted = EventFilter(kinds, await find_watched_customer(info, customer), subject)
    limit = first or DEFAULT_PAGE_SIZE
    page = await poll_events(context.world, context.actor, wanted, after=position, limit=limit)
    nodes: list[Any] = [show_event(event, context.event_cursor(event.position)) for event in page.events]
    return EventPage(nodes=nodes, end_cursor=context.event_cursor(page.end), has_next_page=page.more)


async def _find_gift_card(info: Info, text: str) -> Subject:
    """Return the subject for a card that the caller may see. Raises NotFound for any other card."""
    card_id = row_id_of(text, "GiftCard", "gift_card")
    if await load(info, "gift_cards", card_id) is None:
        raise NotFound("gift card", ("gift_card",))
    return Subject(EventSubject.GIFT_CARD, card_id)
