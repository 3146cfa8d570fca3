"""Prove the ledger: every invariant, for one tenant, as one moment saw it."""

from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from loyalty.storage.verification import Difference, find_differences
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require


async def verify_ledger(world: World, tenant_id: TenantId) -> list[Difference]:
    """Every invariant that does not hold; empty when the ledger adds up. Reads only, and blocks nobody."""
    async with world.database.tenant_transaction(tenant_id, snapshot=True) as tx:
        return await find_differences(tx)


async def get_verification(world: World, actor: Actor) -> list[Difference]:
    """The same for whoever may read reports."""
    require(actor, Permission.LOYALTY_REPORT)
    return await verify_ledger(world, actor.tenant_id)
