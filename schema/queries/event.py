"""Where the tenant's log of events stands."""

from loyalty.services.event_log import last_position
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded
from schema.scalars import Cursor


@guarded(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="The cursor of the newest event. Read it first, then the state you show, then subscribe with it as "
    "`after`: nothing that happens in between is missed.",
)
async def event_cursor(info: Info) -> Cursor:
    """A position only; it tells nothing about the events."""
    return info.context.event_cursor(await last_position(info.context.world, info.context.actor.tenant_id))
