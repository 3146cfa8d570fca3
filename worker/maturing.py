"""The maturing loop: looks where points are due, and lets them mature tenant by tenant."""

import asyncio

import structlog

from loyalty.services.maturing import mature_due
from loyalty.services.world import World
from loyalty.storage.purchases import read_due_tenants
from tenancy.database import Database
from worker.loop import Pace, repeat_until_stopped

PACE = Pace(busy_seconds=0.05, idle_seconds=1.0)
TENANTS_AT_ONCE = 100

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.maturing")


async def mature_points(world: World, relay: Database, stop: asyncio.Event) -> None:
    """Let due points mature until ``stop`` is set; a running batch is finished. Survives a lost database."""

    async def work() -> bool:
        return await mature_round(world, relay) > 0

    await repeat_until_stopped("maturing", work, stop, PACE)


async def mature_round(world: World, relay: Database) -> int:
    """One batch for each tenant with due points; returns how many matured. Late ones are an alarm in the log."""
    async with relay.engine.connect() as connection:
        tenants = await read_due_tenants(connection, world.clock(), TENANTS_AT_ONCE)
    total = 0
    for tenant_id in tenants:
        batch = await mature_due(world, tenant_id)
        total += batch.matured
        if batch.late:
            log.warning("points matured late", tenant=str(tenant_id), accruals=batch.late)
    return total
