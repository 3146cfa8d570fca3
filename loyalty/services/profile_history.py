"""The changes of a customer's profile, for the team. Customers read only changes of their name and contact."""

from loyalty.rules.profile_history import OWN_FIELDS
from loyalty.services.profile import PROFILE_READERS
from loyalty.services.world import World
from loyalty.storage.profile_changes import (
    ProfileChangeFilter,
    ProfileChangeRow,
    narrow_profile_changes,
    read_profile_change_page,
)
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from permissions.policy import require_any
from permissions.visibility import reads_contact, reads_internals


async def list_profile_changes(
    world: World, actor: Actor, wanted: ProfileChangeFilter, window: Window[TimePlace]
) -> list[ProfileChangeRow]:
    """Return a page of changes, newest first; an empty one for an actor who may not read the customer's contact."""
    readable = _narrow_to_readable(actor, wanted)
    if readable is None:
        return []
    return await read_profile_change_page(world.database.reading(actor.tenant_id), readable, window)


async def count_profile_changes(world: World, actor: Actor, wanted: ProfileChangeFilter) -> int:
    """Return the number of changes in a list, up to the ceiling of counts."""
    readable = _narrow_to_readable(actor, wanted)
    return (
        0 if readable is None else await narrow_profile_changes(readable).count(world.database.reading(actor.tenant_id))
    )


def _narrow_to_readable(actor: Actor, wanted: ProfileChangeFilter) -> ProfileChangeFilter | None:
    """Return the filter limited to the fields that the actor may read; None for nothing."""
    require_any(actor, *PROFILE_READERS)
    if not reads_contact(actor, wanted.customer_id):
        return None
    if reads_internals(actor):
        return wanted
    return wanted._replace(fields=[field for field in wanted.fields or OWN_FIELDS if field in OWN_FIELDS])
