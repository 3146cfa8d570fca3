"""The log of the platform: what was done to which tenant or credential, and by whom. Entries are never changed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from loyalty.rules.audit import compare_states
from loyalty.rules.platform import PlatformAction, PlatformCaller
from loyalty.services.world import World
from loyalty.storage.documents import to_document
from loyalty.storage.narrowed import MAX_TOTAL_COUNT
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
    """Write what the platform does, in the transaction that does it."""
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
    """What the platform has done, the newest first; before an action, and to a tenant, where that is asked.

    Each action stands in the cluster where its tenant lived then.
    """
    found: list[PlatformActionRow] = []
    for cluster in world.database.clusters.values():
        async with cluster.plain_transaction() as connection:
            found += await read_platform_actions(connection, limit, before=before, tenant_id=tenant_id)
    return sorted(found, key=lambda one: one.id, reverse=True)[:limit]


async def count_actions(world: World, *, tenant_id: UUID | None = None) -> int:
    """How many actions a list has, up to the ceiling of counts."""
    total = 0
    for cluster in world.database.clusters.values():
        async with cluster.plain_transaction() as connection:
            total += await count_platform_actions(connection, MAX_TOTAL_COUNT + 1, tenant_id=tenant_id)
    return min(total, MAX_TOTAL_COUNT + 1)
