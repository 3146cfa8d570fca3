"""Reading a tenant's log: after a position, in order, of some kinds, of one customer or of one subject.

Every reader comes here.
Nothing here checks permissions: the use cases do so before they read.
"""

from collections.abc import Sequence
from typing import NamedTuple

from loyalty.rules.ids import CustomerId, TenantId
from loyalty.storage.events import (
    EventFilter,
    EventRow,
    read_event_page,
    read_events,
    read_last_position,
    read_last_positions,
)
from tenancy.database import Database

MAX_EVENTS_AT_ONCE = 500
MAX_POSITIONS_AT_ONCE = 5_000
"""How far one page of a poll looks: a filter that fits nothing there answers with an empty page and where to go on."""

MAX_LOGS_ASKED_AT_ONCE = 5_000
"""Logs of which one statement asks how far they reach."""


class EventPage(NamedTuple):
    """Events of a log, the position to go on after, and whether the log goes on beyond it."""

    events: list[EventRow]
    end: int
    more: bool


async def list_events(database: Database, tenant_id: TenantId, *, after: int) -> list[EventRow]:
    """Up to ``MAX_EVENTS_AT_ONCE`` events after a position, in order."""
    return await read_events(database.reading(tenant_id), after=after, limit=MAX_EVENTS_AT_ONCE)


async def read_log(database: Database, tenant_id: TenantId, *, after: int, customer_id: CustomerId | None) -> EventPage:
    """Up to ``MAX_EVENTS_AT_ONCE`` events after a position, in order; with a customer, only those about them.

    The events of one customer are found by an index, so a subscriber who resumes does not read everybody's.
    """
    if customer_id is None:
        events = await list_events(database, tenant_id, after=after)
        return EventPage(events, events[-1].position if events else after, more=len(events) == MAX_EVENTS_AT_ONCE)
    wanted = EventFilter(customer_id=customer_id)
    tx = database.reading(tenant_id)
    last = await read_last_position(tx)
    events = await read_event_page(tx, wanted, after=after, up_to=last, limit=MAX_EVENTS_AT_ONCE)
    more = len(events) == MAX_EVENTS_AT_ONCE
    return EventPage(events, events[-1].position if more else max(after, last), more)


async def read_page(
    database: Database, tenant_id: TenantId, wanted: EventFilter, *, after: int, limit: int
) -> EventPage:
    """The next events of a filter after a position, in order.

    ``end`` moves on even if no event fits the filter, so a client that asks again reaches the end of the log.
    """
    tx = database.reading(tenant_id)
    last = await read_last_position(tx)
    up_to = last if wanted.is_indexed else min(last, after + MAX_POSITIONS_AT_ONCE)
    found = await read_event_page(tx, wanted, after=after, up_to=up_to, limit=limit)
    end = found[-1].position if len(found) == limit else max(after, up_to)
    return EventPage(found, end, more=end < last)


async def last_position(database: Database, tenant_id: TenantId) -> int:
    """The position of the newest event, 0 when there is none."""
    return await read_last_position(database.reading(tenant_id))


async def last_positions(database: Database, tenant_ids: Sequence[TenantId]) -> dict[TenantId, int]:
    """The positions of the newest events of many tenants, in one statement for ``MAX_LOGS_ASKED_AT_ONCE`` of them."""
    found: dict[TenantId, int] = {}
    for start in range(0, len(tenant_ids), MAX_LOGS_ASKED_AT_ONCE):
        found |= await read_last_positions(database, tenant_ids[start : start + MAX_LOGS_ASKED_AT_ONCE])
    return found
