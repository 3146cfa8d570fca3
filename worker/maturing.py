"""The maturing loop: looks where points are due, and lets them mature tenant by tenant.

The trouble of one tenant is no trouble of the others: it is logged once, tried again with every round, and passed over.
"""

import asyncio

import structlog

from loyalty.rules.ids import TenantId
from loyalty.services.maturing import MaturedBatch, mature_due
from loyalty.services.world import World
from loyalty.storage.purchases import read_due_tenants
from tenancy.database import Database
from tenancy.outage import Outage, is_away
from worker.loop import Pace, repeat_until_stopped

PACE = Pace(busy_seconds=0.05, idle_seconds=1.0)
TENANTS_AT_ONCE = 100

Outages = dict[TenantId, Outage]

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.maturing")


async def mature_points(world: World, relay: Database, stop: asyncio.Event) -> None:
    """Let due points mature until ``stop`` is set; a running batch is finished. Survives a lost database."""
    outages: Outages = {}

    async def work() -> bool:
        return await mature_round(world, relay, outages) > 0

    await repeat_until_stopped("maturing", work, stop, PACE)


async def mature_round(world: World, relay: Database, outages: Outages) -> int:
    """One batch for each tenant with due points; returns how many matured. Late ones are an alarm in the log.

    ``outages`` are the tenants whose points could not mature the last time.
    """
    async with relay.engine.connect() as connection:
        tenants = await read_due_tenants(connection, world.clock(), TENANTS_AT_ONCE)
    total = 0
    for tenant_id in tenants:
        batch = await _mature_tenant(world, tenant_id, outages)
        total += batch.matured
        if batch.late:
            log.warning("points matured late", tenant=str(tenant_id), accruals=batch.late)
    return total


async def _mature_tenant(world: World, tenant_id: TenantId, outages: Outages) -> MaturedBatch:
    try:
        batch = await mature_due(world, tenant_id)
    except Exception as error:
        if is_away(error):
            raise
        outages.setdefault(tenant_id, Outage(f"maturing of {tenant_id}")).failed(error)
        return MaturedBatch(0, 0)
    if tenant_id in outages:
        outages.pop(tenant_id).over()
    return batch
