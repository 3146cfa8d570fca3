"""The sweeping loop: finds work that time has made due, and does it tenant by tenant.

A failure in one tenant does not affect the others. It is logged once and tried again in every round, and the round goes
on with the next tenant.
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
    """The results of the sweeps in the last round. The log tells only the differences, so it tells nothing twice."""

    tally: Tally = field(default_factory=Tally)
    outages: dict[tuple[str, TenantId], Outage] = field(default_factory=dict)
    """The sweeps that failed in the last round, with their tenant."""
    late: dict[str, set[TenantId]] = field(default_factory=dict)
    """For each sweep, the tenants in which something was done late in the last round."""


async def run_sweeps(world: World, relay: Database, stop: asyncio.Event, tally: Tally | None = None) -> None:
    """Do due work until ``stop`` is set; a running batch is finished.

    The loop goes on after an outage of the database.
    """
    news = SweepNews() if tally is None else SweepNews(tally)

    async def work() -> bool:
        return await sweep_round(world, relay, news) > 0

    await repeat_until_stopped("sweeping", work, stop, PACE, news.tally)


async def sweep_round(world: World, relay: Database, news: SweepNews) -> int:
    """Run one batch of each sweep for each tenant with due work; returns how many rows were done.

    The log warns of a tenant when its work begins to be late.
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
    """Run one batch of a sweep in a tenant; return how many rows were done.

    A failure of the batch is logged. An outage of the database is raised.
    """
    key = (one.name, tenant_id)
    try:
        with news.tally.trace_work(f"sweep {one.name}", tenant_id):
            swept = await one.work(world, tenant_id)
    except TenantElsewhere:  # the tenant has just begun to move, or has just left
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
