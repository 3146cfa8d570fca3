"""Read a tenant's log: after a position, in order, of some kinds, of one customer or of one subject.

All reading of the log goes through this module. It checks no permissions: a use case checks them before it reads.
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
"""The number of positions that one page of a poll searches. If no event there fits the filter, the page is empty and
names the position where the next page begins."""

MAX_LOGS_ASKED_AT_ONCE = 5_000
"""The number of logs whose last position one statement reads."""


class EventPage(NamedTuple):
    """Events of a log, the position after which to continue, and whether the log has more positions."""

    events: list[EventRow]
    end: int
    more: bool


async def list_events(database: Database, tenant_id: TenantId, *, after: int) -> list[EventRow]:
    """Return up to ``MAX_EVENTS_AT_ONCE`` events after a position, in order."""
    return await read_events(database.reading(tenant_id), after=after, limit=MAX_EVENTS_AT_ONCE)


async def read_log(database: Database, tenant_id: TenantId, *, after: int, customer_id: CustomerId | None) -> EventPage:
    """Return up to ``MAX_EVENTS_AT_ONCE`` events after a position, in order; with a customer, only that customer's.

    An index finds the events of one customer, so a subscription that resumes does not read the whole log.
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
    """Return the next events that fit a filter, after a position, in order.

    ``end`` moves on even if no event fits the filter, so a client that asks again reaches the end of the log.
    """
    tx = database.reading(tenant_id)
    last = await read_last_position(tx)
    up_to = last if wanted.is_indexed else min(last, after + MAX_POSITIONS_AT_ONCE)
    found = await read_event_page(tx, wanted, after=after, up_to=up_to, limit=limit)
    end = found[-1].position if len(found) == limit else max(after, up_to)
    return EventPage(found, end, more=end < last)


async def last_position(database: Database, tenant_id: TenantId) -> int:
    """Return the position of the newest event; 0 for an empty log."""
    return await read_last_position(database.reading(tenant_id))


async def last_positions(database: Database, tenant_ids: Sequence[TenantId]) -> dict[TenantId, int]:
    """Return the position of the newest event of each tenant, ``MAX_LOGS_ASKED_AT_ONCE`` tenants in a statement."""
    found: dict[TenantId, int] = {}
    for start in range(0, len(tenant_ids), MAX_LOGS_ASKED_AT_ONCE):
        found |= await read_last_positions(database, tenant_ids[start : start + MAX_LOGS_ASKED_AT_ONCE])
    return found
