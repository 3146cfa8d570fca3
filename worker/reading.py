"""The loops of the readers of the log. Each reader has its own loop, so no reader waits for another.

If a reader fails in one tenant, only its turn in that tenant is tried later. Other tenants are not affected.
"""

import asyncio

import structlog

from loyalty.log.readers import Reader, TurnFailed, advance_reader
from loyalty.rules.ids import TenantId
from loyalty.services.log_readers import READERS
from loyalty.services.world import World
from loyalty.storage.log_readers import read_due_logs, register_readers
from tenancy.database import Database
from tenancy.outage import is_away, log_failure
from worker.loop import Pace, repeat_until_stopped
from worker.tally import Tally

PACE = Pace(busy_seconds=0.05, idle_seconds=0.25)
TENANTS_AT_ONCE = 100
"""The number of tenants of one reader in one round. The tenants that have waited longest come first."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.readers")


async def read_logs(world: World, relay: Database, stop: asyncio.Event, tally: Tally | None = None) -> None:
    """Run all readers until ``stop`` is set; a running turn is finished.

    The loops go on after an outage of the database.
    """
    counts = tally or Tally()
    async with asyncio.TaskGroup() as loops:
        for reader in READERS.values():
            loops.create_task(_run_reader(reader, world, relay, stop, counts), name=loop_name(reader))


async def read_round(reader: Reader, world: World, relay: Database, tally: Tally | None = None) -> int:
    """Run one turn of a reader for each tenant whose log has grown; returns how many tenants there were."""
    counts = tally or Tally()
    async with relay.engine.connect() as connection:
        tenants = await read_due_logs(connection, reader.name, TENANTS_AT_ONCE)
    for tenant_id in tenants:
        await _take_turn(reader, world, tenant_id, counts)
    return len(tenants)


def loop_name(reader: Reader) -> str:
    """Return the name of a reader's loop in logs and metrics."""
    return f"reader {reader.name}"


async def _run_reader(reader: Reader, world: World, relay: Database, stop: asyncio.Event, tally: Tally) -> None:
    """Run the turns of one reader until ``stop`` is set.

    The first round registers the reader for the logs that exist already.
    """
    is_registered = False

    async def work() -> bool:
        nonlocal is_registered
        if not is_registered:
            async with relay.engine.begin() as connection:
                await register_readers(connection, [reader.name])
            is_registered = True
        return await read_round(reader, world, relay, tally) > 0

    await repeat_until_stopped(loop_name(reader), work, stop, PACE, tally)


async def _take_turn(reader: Reader, world: World, tenant_id: TenantId, tally: Tally) -> None:
    """Run one turn of a reader in a tenant. A failure of the turn is logged. An outage of the database is raised."""
    try:
        with tally.trace_work(f"turn of {reader.name}", tenant_id):
            await advance_reader(world.database, tenant_id, reader)
    except TurnFailed as failed:
        cause = failed.__cause__
        if not isinstance(cause, Exception) or is_away(cause):
            raise
        log_failure(
            log,
            "reader failed, will be tried again",
            cause,
            reader=reader.name,
            tenant=str(tenant_id),
            attempts=failed.attempts,
            retry_after_seconds=failed.retry_seconds,
        )
