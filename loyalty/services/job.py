"""Jobs of a tenant: read them, work on them in batches that each commit, and give them up."""

from collections.abc import Mapping, Sequence
from typing import Any

from loyalty.jobs.kinds import ClaimedJob, JobType, Step, UnknownJob
from loyalty.rules.ids import JobId, TenantId
from loyalty.rules.job import JobState
from loyalty.services.job_kinds import JOB_TYPES
from loyalty.services.world import World
from loyalty.storage.documents import from_document, to_document
from loyalty.storage.jobs import JobRow, claim_job, read_jobs_by_id, save_job
from permissions.actor import Actor, system_actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.retry import retry_transaction


async def load_jobs(world: World, actor: Actor, ids: Sequence[JobId]) -> dict[JobId, JobRow]:
    """Return the jobs among ``ids``."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read_jobs_by_id(tx, ids)


def result_of(job: JobRow) -> Any:
    """Return the result of a job so far; None before its first batch, or for an unknown kind."""
    known = JOB_TYPES.get(job.kind)
    return None if known is None or job.result is None else from_document(known.result, job.result)


async def advance_job(
    world: World,
    tenant_id: TenantId,
    job_id: JobId,
    job_types: Mapping[str, JobType[World, Any, Any]] = JOB_TYPES,
) -> bool:
    """Work on one batch of a job. Return whether the job needs more batches.

    False means that it is finished, or that another worker has it. Raises UnknownJob.
    """
    return await retry_transaction(lambda: _advance(world, tenant_id, job_id, job_types))


async def fail_job(world: World, tenant_id: TenantId, job_id: JobId, problem: str) -> bool:
    """Give up an unfinished job. Its finished batches stay. ``problem`` is a text for people of the tenant.

    Returns False and changes nothing if the job is finished or another worker has it.
    """
    return await retry_transaction(lambda: _fail(world, tenant_id, job_id, problem))


async def _fail(world: World, tenant_id: TenantId, job_id: JobId, problem: str) -> bool:
    """Give up a job in one transaction. Return whether the job was unfinished and free."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        job = await claim_job(tx, job_id)
        if job is None:
            return False
        await save_job(tx, job._replace(state=JobState.FAILED, problem=problem, updated_at=world.clock()))
    return True


async def _advance(
    world: World, tenant_id: TenantId, job_id: JobId, job_types: Mapping[str, JobType[World, Any, Any]]
) -> bool:
    """Work on one batch of a job in one transaction. Raises UnknownJob."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        job = await claim_job(tx, job_id)
        if job is None:
            return False
        known = job_types.get(job.kind)
        if known is None:
            raise UnknownJob(f"jobs of kind {job.kind!r} are unknown")
        step = await known.work(world, tx, _build_claimed_job(job, known, tenant_id))
        await save_job(tx, _move_job(job, step)._replace(updated_at=world.clock()))
    return not step.finished


def _build_claimed_job(job: JobRow, known: JobType[World, Any, Any], tenant_id: TenantId) -> ClaimedJob[Any, Any]:
    """Return a claimed job in the form that its handler gets."""
    return ClaimedJob(
        arguments=from_document(known.arguments, job.arguments or {}),
        result=from_document(known.result, job.result or {}),
        cursor=job.cursor,
        worker=system_actor(tenant_id, f"worker:{job.kind.lower()}"),
    )


def _move_job(job: JobRow, step: Step[Any]) -> JobRow:
    """Return the job as it is after a batch."""
    done = job.done + step.done
    return job._replace(
        state=JobState.DONE if step.finished else JobState.RUNNING,
        done=done,
        # Items that came after the job began are counted too, so the total may have to grow.
        total=max(job.total, done),
        cursor=step.cursor,
        result=to_document(step.result),
    )
