"""Measure every few seconds how late the work of all workers is. Every worker measures all of it.

So a worker also finds out if another worker is missing. Late work is logged once as a warning, and once more when it is
on time again. The seconds are metrics.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

import structlog

from loyalty.services.log_readers import READER_NAMES
from loyalty.services.tenant_sweeps import SWEEPS
from loyalty.services.world import World
from loyalty.storage.due import read_lateness
from loyalty.storage.events import read_relay_lag
from loyalty.storage.jobs import UnfinishedJobs, count_unfinished_jobs
from loyalty.storage.log_readers import read_lateness_of_readers
from tenancy.database import Database
from worker.loop import Pace, pause, repeat_until_stopped
from worker.tally import Tally

LOOK_SECONDS = 5.0
"""The time between two looks."""
RELAY_LATE_SECONDS = 10.0
"""An event that waits so long for its position is late: usually it takes a tenth of a second."""
SWEEP_LATE_SECONDS = 60.0
"""Work of a sweep is late if it has been due for so long: usually it takes a second."""
JOB_LATE_SECONDS = 60.0
"""A job is late if no worker has worked on it for so long: usually it takes a tenth of a second."""

READER_LATE_SECONDS = 60.0
"""A log is late if its reader has not read it for so long: usually it takes a quarter of a second."""

LATENESS_LOOP = "lateness"
RELAY, JOBS, READERS = "relay", "jobs", "readers"
LIMITS: Mapping[str, float] = MappingProxyType(
    {
        RELAY: RELAY_LATE_SECONDS,
        JOBS: JOB_LATE_SECONDS,
        READERS: READER_LATE_SECONDS,
        **{sweep.name: SWEEP_LATE_SECONDS for sweep in SWEEPS},
    }
)
"""From how many seconds on each thing is late, by its name: the relay, the jobs, the readers, each sweep."""

PACE = Pace(busy_seconds=LOOK_SECONDS, idle_seconds=LOOK_SECONDS)

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.late")


class Look(NamedTuple):
    """The result of one look."""

    seconds: Mapping[str, float]
    """How late each thing is, by its name; 0 if nothing is due."""
    jobs: Mapping[str, int]
    """Unfinished jobs by their state."""


class Lateness:
    """The lateness at the last look. It logs when a thing becomes late, and when it is on time again."""

    def __init__(self) -> None:
        self.last: Look | None = None
        self._late: set[str] = set()

    def is_late(self, name: str) -> bool:
        """Tell whether a thing was late at the last look."""
        return name in self._late

    def note(self, look: Look) -> None:
        """Keep the result of a look, and log the changes."""
        self.last = look
        for name, seconds in look.seconds.items():
            late = seconds >= LIMITS[name]
            if late and name not in self._late:
                self._late.add(name)
                log.warning("late", what=name, late_seconds=round(seconds, 1), limit_seconds=LIMITS[name])
            elif not late and name in self._late:
                self._late.discard(name)
                log.info("on time again", what=name)


async def watch_lateness(world: World, relay: Database, stop: asyncio.Event, lateness: Lateness, tally: Tally) -> None:
    """Measure how late everything is, again and again, as the relay role, until ``stop`` is set.

    The first look comes after a pause: work that waited while no worker ran is about to be done.
    """

    async def work() -> bool:
        """Look once. There is always more to do, so the pause is always the same."""
        lateness.note(await measure_lateness(relay, world.clock()))
        return True

    await pause(stop, LOOK_SECONDS)
    await repeat_until_stopped(LATENESS_LOOP, work, stop, PACE, tally)


async def measure_lateness(relay: Database, now: datetime) -> Look:
    """Return how late everything is now."""
    async with relay.engine.connect() as connection:
        seconds = {RELAY: await read_relay_lag(connection)}
        unfinished = await count_unfinished_jobs(connection)
        seconds[JOBS] = _find_longest_wait(unfinished, now)
        seconds[READERS] = await read_lateness_of_readers(connection, READER_NAMES)
        for sweep in SWEEPS:
            seconds[sweep.name] = await read_lateness(connection, sweep.due, now)
    return Look(seconds, {one.state: one.jobs for one in unfinished})


def _find_longest_wait(unfinished: list[UnfinishedJobs], now: datetime) -> float:
    """Return how many seconds the job that has waited longest has waited; 0 if no job waits."""
    return max((max(0.0, (now - one.oldest).total_seconds()) for one in unfinished), default=0.0)
