"""Work on background jobs: one batch of each due job in turn, so that a long job does not hold up a short one.

The relay role finds the due jobs. The work itself runs as the application role inside the job's tenant. Several workers
may run: the first worker that locks a job's row works on its batch, and the others take the next job.
"""

import asyncio
from typing import NamedTuple

import structlog

from loyalty.rules.errors import LoyaltyError
from loyalty.rules.ids import JobId
from loyalty.services.job import advance_job, fail_job
from loyalty.services.world import World
from loyalty.storage.jobs import DueJob, read_due_jobs
from tenancy.database import Database
from tenancy.elsewhere import TenantElsewhere
from tenancy.outage import is_away, log_failure
from worker.loop import Pace, repeat_until_stopped
from worker.tally import Tally

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.jobs")

JOBS_AT_ONCE = 100
"""Jobs in one round over all tenants, oldest first."""
MAX_ATTEMPTS = 5
"""If one batch fails so often in one process, the job is given up."""
FIRST_RETRY_SECONDS = 1.0
PACE = Pace(busy_seconds=0, idle_seconds=0.1)


class Failure(NamedTuple):
    """How often a job's batch has failed in this process, and when it may be tried again (the event loop's time)."""

    attempts: int
    retry_at: float


class DueJobs:
    """The due jobs as one worker sees them, and how often their batches have failed here."""

    def __init__(
        self, world: World, relay: Database, stop: asyncio.Event, first_retry_seconds: float, tally: Tally
    ) -> None:
        self._world = world
        self._relay = relay
        self._stop = stop
        self._first_retry_seconds = first_retry_seconds
        self._tally = tally
        self._failures: dict[JobId, Failure] = {}

    async def work_round(self) -> bool:
        """Run one batch of every due job; returns whether any job has more to do."""
        async with self._relay.engine.connect() as connection:
            due = await read_due_jobs(connection, JOBS_AT_ONCE)
        self._failures = {job.id: self._failures[job.id] for job in due if job.id in self._failures}
        unfinished = False
        for job in due:
            if self._stop.is_set():
                break
            if self._may_try(job):
                unfinished |= await self._advance(job)
        return unfinished

    def _may_try(self, job: DueJob) -> bool:
        """Tell whether a job may be tried now: it has not failed here, or has waited long enough since."""
        failure = self._failures.get(job.id)
        return failure is None or failure.retry_at <= asyncio.get_running_loop().time()

    async def _advance(self, job: DueJob) -> bool:
        """Run one batch of a job; return whether the job has more to do.

        A failure of the batch is noted. An outage of the database is raised.
        """
        try:
            with self._tally.trace_work("job batch", job.tenant_id):
                unfinished = await advance_job(self._world, job.tenant_id, job.id)
        except TenantElsewhere:  # the tenant has just begun to move, or has just left
            return False
        except Exception as error:
            if is_away(error):
                raise
            await self._note_failure(job, error)
            return False
        self._failures.pop(job.id, None)
        self._tally.job_batches["done"] += 1
        return unfinished

    async def _note_failure(self, job: DueJob, error: Exception) -> None:
        """Log the failure of a batch and set the next attempt; after ``MAX_ATTEMPTS`` failures give the job up."""
        before = self._failures.get(job.id)
        attempts = before.attempts + 1 if before else 1
        rest = self._first_retry_seconds * 2 ** (attempts - 1)
        self._failures[job.id] = Failure(attempts, asyncio.get_running_loop().time() + rest)
        given_up = attempts >= MAX_ATTEMPTS
        self._tally.job_batches["given_up" if given_up else "failed"] += 1
        said = "job given up" if given_up else "job failed, will be tried again"
        log_failure(log, said, error, job_id=job.id, tenant_id=job.tenant_id, attempts=attempts)
        if given_up:
            await fail_job(self._world, job.tenant_id, job.id, problem_text(error, attempts))


async def work_off_jobs(
    world: World,
    relay: Database,
    stop: asyncio.Event,
    *,
    first_retry_seconds: float = FIRST_RETRY_SECONDS,
    tally: Tally | None = None,
) -> None:
    """Work on due jobs until ``stop`` is set; a running batch is finished.

    The loop goes on after an outage of the database. A job whose batch fails ``MAX_ATTEMPTS`` times becomes FAILED with
    a problem text. ``first_retry_seconds`` is the wait after the first failure; each further failure doubles it. An
    outage of the database is not a failure of a job.
    """
    counts = tally or Tally()
    due_jobs = DueJobs(world, relay, stop, first_retry_seconds, counts)
    await repeat_until_stopped("jobs", due_jobs.work_round, stop, PACE, counts)


def problem_text(error: Exception, attempts: int) -> str:
    """Return the text about a given-up job for people of the tenant. The details of the error are only in the log."""
    reason = error.message if isinstance(error, LoyaltyError) else "Something went wrong on our side."
    return f"Given up after {attempts} attempts. {reason}"
