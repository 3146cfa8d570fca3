"""The log of the platform: its actions on tenants and credentials, each with its caller. Entries are never changed."""

from datetime import datetime
from itertools import chain
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from loyalty.rules.audit import compare_states
from loyalty.rules.platform import PlatformAction, PlatformCaller
from loyalty.services.world import World
from loyalty.storage.documents import to_document
from loyalty.storage.narrowed import MAX_TOTAL_COUNT
from tenancy.clusters import ask_clusters
from tenancy.database import Transaction
from tenancy.platform import (
    PlatformActionRow,
    count_platform_actions,
    insert_platform_action,
    read_platform_actions,
)


async def note_action(
    place: AsyncConnection | Transaction, by: PlatformCaller, action: PlatformAction, now: datetime
) -> None:
    """Write an action of the platform to the log, in the transaction of the action."""
    differing = compare_states(to_document(action.before), to_document(action.after))
    row = PlatformActionRow(
        id=uuid7(),
        tenant_id=action.tenant_id,
        action=action.kind.value,
        subject_name=action.name,
        changes=[list(one) for one in differing],
        happened_at=now,
        actor_subject=by.subject,
        actor=by.name,
    )
    await insert_platform_action(place, row)


async def list_actions(
    world: World, limit: int, *, before: UUID | None = None, tenant_id: UUID | None = None
) -> list[PlatformActionRow]:
    """Return the actions of the platform, newest first; only those before an action, or on a tenant, if given.

    Each action is stored in the cluster in which its tenant lived at the time.
    """
    found = await ask_clusters(
        world.database,
        lambda connection: read_platform_actions(connection, limit, before=before, tenant_id=tenant_id),
    )
    return sorted(chain.from_iterable(found.values()), key=lambda one: one.id, reverse=True)[:limit]


async def count_actions(world: World, *, tenant_id: UUID | None = None) -> int:
    """Return the number of actions in a list, up to the ceiling of counts."""
    counts = await ask_clusters(
        world.database, lambda connection: count_platform_actions(connection, MAX_TOTAL_COUNT + 1, tenant_id=tenant_id)
    )
    return min(sum(counts.values()), MAX_TOTAL_COUNT + 1)
