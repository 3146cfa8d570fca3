"""The sweeping loop: looks where time alone has made something due, and does it tenant by tenant.

The trouble of one tenant is no trouble of the others: it is logged once, tried again with every round, and passed over.
"""

import asyncio

import structlog

from loyalty.rules.ids import TenantId
from loyalty.services.sweep import NOTHING_SWEPT, Sweep, Swept
from loyalty.services.tenant_sweeps import SWEEPS
from loyalty.services.world import World
from loyalty.storage.due import read_due_tenants
from tenancy.database import Database
from tenancy.outage import Outage, is_away
from worker.loop import Pace, repeat_until_stopped

PACE = Pace(busy_seconds=0.05, idle_seconds=1.0)
TENANTS_AT_ONCE = 100

Outages = dict[tuple[str, TenantId], Outage]

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.sweeping")


async def sweep(world: World, relay: Database, stop: asyncio.Event) -> None:
    """Do what is due until ``stop`` is set; a running batch is finished. Survives a lost database."""
    outages: Outages = {}

    async def work() -> bool:
        return await sweep_round(world, relay, outages) > 0

    await repeat_until_stopped("sweeping", work, stop, PACE)


async def sweep_round(world: World, relay: Database, outages: Outages) -> int:
    """One batch of each sweep for each tenant where something is due; returns how much was done.

    What was done later than it should have been is an alarm in the log. ``outages`` are the sweeps that failed the last
    time, by tenant.
    """
    total = 0
    for one in SWEEPS:
        async with relay.engine.connect() as connection:
            tenants = await read_due_tenants(connection, one.due, world.clock(), TENANTS_AT_ONCE)
        for tenant_id in tenants:
            swept = await _sweep_tenant(one, world, tenant_id, outages)
            total += swept.done
            if swept.late:
                log.warning("swept late", sweep=one.name, tenant=str(tenant_id), late=swept.late)
    return total


async def _sweep_tenant(one: Sweep, world: World, tenant_id: TenantId, outages: Outages) -> Swept:
    key = (one.name, tenant_id)
    try:
        swept = await one.work(world, tenant_id)
    except Exception as error:
        if is_away(error):
            raise
        outages.setdefault(key, Outage(f"{one.name} of {tenant_id}")).failed(error)
        return NOTHING_SWEPT
    if key in outages:
        outages.pop(key).over()
    return swept
