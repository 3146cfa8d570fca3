"""The tenant's log of events, from any position."""

from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from loyalty.storage.events import EventRow, read_events, read_last_position

MAX_EVENTS_AT_ONCE = 500


async def list_events(world: World, tenant_id: TenantId, *, after: int) -> list[EventRow]:
    """Up to ``MAX_EVENTS_AT_ONCE`` events after a position, in order."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        return await read_events(tx, after=after, limit=MAX_EVENTS_AT_ONCE)


async def last_position(world: World, tenant_id: TenantId) -> int:
    """The position of the newest event, 0 when there is none."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        return await read_last_position(tx)
