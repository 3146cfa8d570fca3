"""The worker process: its loops, and how they stop."""

import asyncio
import enum
import signal
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from prometheus_client import CollectorRegistry

from loyalty.services.log_readers import READERS
from loyalty.services.world import World
from tenancy.database import POOL_WAIT_SECONDS, Database, Pooler
from tenancy.metrics import DatabaseCollector, collect_by_cluster
from tenancy.startup import refuse_unfit_neighbour, refuse_unsafe_role
from tenancy.tracing import Tracer
from worker.jobs import work_off_jobs
from worker.lateness import LATENESS_LOOP, Lateness, watch_lateness
from worker.metrics import WorkerCollector
from worker.reading import loop_name, read_logs
from worker.relay import relay_events
from worker.sweeping import run_sweeps
from worker.tally import Tally

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.worker")

RELAY_POOL_SIZE = 2
"""One connection for the relay, and one for the loops that look for due or late work."""
DEFAULT_POOL_SIZE = 2
DEFAULT_SHUTDOWN_SECONDS = 20


class Part(enum.StrEnum):
    """A loop of the worker."""

    RELAY = "RELAY"
    """Gives events their positions."""
    JOBS = "JOBS"
    """Works on background jobs."""
    SWEEPING = "SWEEPING"
    """Does the work that becomes due with time: points mature, holds end."""
    READERS = "READERS"
    """Gives new events to each reader of the log."""


ALL_PARTS = frozenset(Part)


@dataclass(frozen=True, slots=True)
class WorkerLoops:
    """The loops of a worker in one cluster, and the figures that they keep."""

    parts: frozenset[Part] = ALL_PARTS
    tally: Tally = field(default_factory=Tally)
    lateness: Lateness = field(default_factory=Lateness)

    @property
    def names(self) -> list[str]:
        """The names of the loops that run."""
        whole = [part.lower() for part in sorted(self.parts - {Part.READERS})]
        readers = [loop_name(reader) for reader in READERS.values()] if Part.READERS in self.parts else []
        return [*whole, *readers, LATENESS_LOOP]


class Cluster(NamedTuple):
    """The connections of a worker to a cluster, under each of its two roles."""

    app_url: str
    relay_url: str


async def run_worker(  # noqa: PLR0913 - one for each part, the optional ones by name
    clusters: Mapping[str, Cluster],
    *,
    fenced: bool = False,
    parts: Collection[Part] = ALL_PARTS,
    pool_size: int = DEFAULT_POOL_SIZE,
    pool_wait_seconds: int = POOL_WAIT_SECONDS,
    pooler: Pooler = Pooler.NONE,
    shutdown_seconds: float = DEFAULT_SHUTDOWN_SECONDS,
    registry: CollectorRegistry | None = None,
    tracer: Tracer | None = None,
) -> None:
    """Run the loops of ``parts`` in each cluster until SIGTERM or SIGINT; batches then have ``shutdown_seconds``.

    ``fenced`` is for an installation with several clusters: tenants that live elsewhere are passed over. Metrics go
    into ``registry``; ``tracer``, if given, gets spans. Raises UnsafeDatabaseRole if one of the roles can see over the
    wall.
    """
    apps = {
        name: Database(
            cluster.app_url,
            pool_size=pool_size,
            pool_wait_seconds=pool_wait_seconds,
            pooler=pooler,
            name="treue-worker",
            tracer=tracer,
            fenced=fenced,
        )
        for name, cluster in clusters.items()
    }
    relays = {
        name: Database(cluster.relay_url, pool_size=RELAY_POOL_SIZE, pooler=pooler, name="treue-relay", tracer=tracer)
        for name, cluster in clusters.items()
    }
    loops = {name: WorkerLoops(frozenset(parts), Tally(tracer)) for name in clusters}
    try:
        for doors in (apps, relays):
            await _refuse_unsafe_roles(doors)
        stop = asyncio.Event()
        _stop_on_signals(stop)
        if registry is not None:
            registry.register(
                collect_by_cluster(
                    {name: DatabaseCollector({"app": app, "relay": relays[name]}) for name, app in apps.items()}
                )
            )
            registry.register(
                collect_by_cluster(
                    {name: WorkerCollector(one.names, one.tally, one.lateness) for name, one in loops.items()}
                )
            )
        log.info("worker started", parts=sorted(parts), clusters=list(clusters))
        async with asyncio.TaskGroup() as running:
            works = [
                running.create_task(
                    work(World(app), relays[name], stop, loops[name], shutdown_seconds=shutdown_seconds), name=name
                )
                for name, app in apps.items()
            ]
        log.info("worker stopped", parts=sorted(parts), finished=all(one.result() for one in works))
    finally:
        for database in (*apps.values(), *relays.values()):
            await database.close()


async def _refuse_unsafe_roles(doors: Mapping[str, Database]) -> None:
    """Refuse a role of the database that can see over the wall.

    One cluster of several that is away does not stop the work in the others.
    """
    if len(doors) == 1:
        await refuse_unsafe_role(*doors.values())
        return
    for name, database in doors.items():
        await refuse_unfit_neighbour(name, database)


async def work(
    world: World,
    relay: Database,
    stop: asyncio.Event,
    loops: WorkerLoops | None = None,
    *,
    shutdown_seconds: float = DEFAULT_SHUTDOWN_SECONDS,
) -> bool:
    """Run ``loops`` in this process until ``stop`` is set. None stands for the loops of all parts.

    Returns False if a batch was cut short. Such a batch rolls back, and the next worker does it again. If a loop ends
    without ``stop``, that is a bug: it ends the other loops and is raised.
    """
    running = asyncio.create_task(_run_loops(world, relay, stop, loops or WorkerLoops()))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(shutdown_seconds):
            await running
    except TimeoutError:
        return False
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)
    return True


async def _run_loops(world: World, relay: Database, stop: asyncio.Event, loops: WorkerLoops) -> None:
    """Run the loops, and the loop that measures lateness, until ``stop`` is set."""
    async with asyncio.TaskGroup() as running:
        if Part.RELAY in loops.parts:
            running.create_task(relay_events(relay, stop, loops.tally), name="relay")
        if Part.JOBS in loops.parts:
            running.create_task(work_off_jobs(world, relay, stop, tally=loops.tally), name="jobs")
        if Part.SWEEPING in loops.parts:
            running.create_task(run_sweeps(world, relay, stop, loops.tally), name="sweeping")
        if Part.READERS in loops.parts:
            running.create_task(read_logs(world, relay, stop, loops.tally), name="readers")
        running.create_task(watch_lateness(world, relay, stop, loops.lateness, loops.tally), name="lateness")


def _stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set ``stop``."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
