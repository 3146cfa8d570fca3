"""Read the tenant's log of events, as far as the caller may see it."""

from loyalty.log.reading import EventPage, last_position, read_page
from loyalty.rules.ids import CustomerId
from loyalty.services.customer import CustomerKey, get_customer, may_see_customer
from loyalty.services.world import World
from loyalty.storage.events import EventFilter
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import allows, require, require_any


async def find_newest_position(world: World, actor: Actor) -> int:
    """Return the position of the newest event of the actor's tenant; 0 if there is none."""
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    return await last_position(world.database, actor.tenant_id)


async def find_followed_customer(world: World, actor: Actor, key: CustomerKey | None, *path: str) -> CustomerId | None:
    """Return the customer whose events are followed; None for the events of all customers.

    A customer follows their own events. Raises PermissionDenied for the events of all without LOYALTY_READ. Refusals:
    NotFound, AmbiguousCustomer.
    """
    require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
    if key is not None:
        return (await get_customer(world, actor, key, *path)).id
    if allows(actor, Permission.SELF_READ):
        return actor.customer_id
    require(actor, Permission.LOYALTY_READ)
    return None


async def poll_events(world: World, actor: Actor, wanted: EventFilter, *, after: int, limit: int) -> EventPage:
    """Return the next events after a position, in order. Customers poll only their own.

    ``end`` moves on even if no event fits the filter, so polling always reaches the end of the log.
    """
    if wanted.customer_id is None:
        # Also for a filter by subject: events of a gift card belong to its holder of the time, who may change.
        require(actor, Permission.LOYALTY_READ)
    else:
        require_any(actor, Permission.LOYALTY_READ, Permission.SELF_READ)
        if not may_see_customer(actor, wanted.customer_id):
            return EventPage([], after, more=False)
    return await read_page(world.database, actor.tenant_id, wanted, after=after, limit=limit)
