"""The sweeping loop: looks where time alone has made something due, and does it tenant by tenant.

The trouble of one tenant is no trouble of the others: it is logged once, tried again with every round, and passed over.
"""

import asyncio
from dataclasses import dataclass, field

import structlog

from loyalty.rules.ids import TenantId
from loyalty.services.sweep import NOTHING_SWEPT, Sweep, Swept
from loyalty.services.tenant_sweeps import SWEEPS
from loyalty.services.world import World
from loyalty.storage.due import read_due_tenants
from tenancy.database import Database
from tenancy.elsewhere import TenantElsewhere
from tenancy.outage import Outage, is_away
from worker.loop import Pace, repeat_until_stopped
from worker.tally import Tally

PACE = Pace(busy_seconds=0.05, idle_seconds=1.0)
TENANTS_AT_ONCE = 100

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.sweeping")


@dataclass(slots=True)
class SweepNews:
    """What a worker knows of its sweeps from the round before, so that the log tells what is new and nothing twice."""

    tally: Tally = field(default_factory=Tally)
    outages: dict[tuple[str, TenantId], Outage] = field(default_factory=dict)
    """The sweeps that failed the last time, by tenant."""
    late: dict[str, set[TenantId]] = field(default_factory=dict)
    """The tenants of each sweep where something was done late in the last round."""


async def sweep(world: World, relay: Database, stop: asyncio.Event, tally: Tally | None = None) -> None:
    """Do what is due until ``stop`` is set; a running batch is finished. Survives a lost database."""
    news = SweepNews() if tally is None else SweepNews(tally)

    async def work() -> bool:
        return await sweep_round(world, relay, news) > 0

    await repeat_until_stopped("sweeping", work, stop, PACE, news.tally)


async def sweep_round(world: World, relay: Database, news: SweepNews) -> int:
    """One batch of each sweep for each tenant where something is due; returns how much was done.

    Where things begin to be done later than they should have been, the log warns of the tenant.
    """
    total = 0
    for one in SWEEPS:
        async with relay.engine.connect() as connection:
            tenants = await read_due_tenants(connection, one.due, world.clock(), TENANTS_AT_ONCE)
        late_before, late = news.late.get(one.name, set()), set[TenantId]()
        for tenant_id in tenants:
            swept = await _sweep_tenant(one, world, tenant_id, news)
            total += swept.done
            if swept.late:
                late.add(tenant_id)
                if tenant_id not in late_before:
                    log.warning("swept late", sweep=one.name, tenant=str(tenant_id), late=swept.late)
        news.late[one.name] = late
    return total


async def _sweep_tenant(one: Sweep, world: World, tenant_id: TenantId, news: SweepNews) -> Swept:
    key = (one.name, tenant_id)
    try:
        with news.tally.trace_work(f"sweep {one.name}", tenant_id):
            swept = await one.work(world, tenant_id)
    except TenantElsewhere:  # it has just begun to move, or has just left
        return NOTHING_SWEPT
    except Exception as error:
        if is_away(error):
            raise
        news.tally.failed_sweeps[one.name] += 1
        news.outages.setdefault(key, Outage(f"{one.name} of {tenant_id}")).failed(error)
        return NOTHING_SWEPT
    if key in news.outages:
        news.outages.pop(key).over()
    news.tally.swept[one.name] += swept.done
    news.tally.swept_late[one.name] += swept.late
    return swept
