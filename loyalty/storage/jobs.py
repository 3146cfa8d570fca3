"""Background jobs of a tenant: their progress and their result."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.ids import JobId, TenantId
from loyalty.storage.tables import accounts, jobs
from tenancy.database import Transaction
from tenancy.elsewhere import is_here
from tenancy.reading import Reads
from tenancy.table import among, among_these, tenant_parameter


class JobRow(NamedTuple):
    """A job as clients see it."""

    id: JobId
    kind: str
    state: str
    done: int
    total: int
    cursor: UUID | None
    problem: str | None
    arguments: dict[str, Any] | None
    """The arguments of the job as a document; None if an earlier release started it."""
    result: dict[str, Any] | None
    """The result of its batches so far as a document; None before the first batch."""
    actor_kind: str | None
    actor_subject: str | None
    actor: str | None
    """The actor who asked for it; None for jobs from before the actor was stored."""
    created_at: datetime
    updated_at: datetime


class NewJob(NamedTuple):
    """A job to start."""

    id: JobId
    kind: str
    arguments: dict[str, Any]
    total: int
    actor_kind: str
    actor_subject: str
    actor: str
    created_at: datetime


class DueJob(NamedTuple):
    """A job that waits for a worker."""

    tenant_id: TenantId
    id: JobId


_UNFINISHED = ("WAITING", "RUNNING")
_COLUMNS = [jobs.c[name] for name in JobRow._fields]
_BY_IDS = select(*_COLUMNS).where(
    jobs.c.tenant_id == tenant_parameter(),
    among(jobs.c.id, "ids"),
)
_CLAIM = (
    select(*_COLUMNS)
    .where(
        jobs.c.tenant_id == tenant_parameter(),
        jobs.c.id == bindparam("id"),
        among_these(jobs.c.state, _UNFINISHED),
    )
    .with_for_update(skip_locked=True)
)
_COUNT_ACCOUNTS = select(func.count()).where(accounts.c.tenant_id == tenant_parameter(), ~accounts.c.closed)
_INSERT = insert(jobs).values(
    tenant_id=tenant_parameter(),
    id=bindparam("id"),
    state="WAITING",
    done=0,
    updated_at=bindparam("created_at"),
    **{name: bindparam(name) for name in NewJob._fields if name != "id"},
)
_UPDATE = (
    update(jobs)
    .where(jobs.c.tenant_id == tenant_parameter(), jobs.c.id == bindparam("job"))
    .values(
        state=bindparam("state"),
        done=bindparam("done"),
        total=bindparam("total"),
        cursor=bindparam("cursor"),
        result=bindparam("result"),
        problem=bindparam("problem"),
        updated_at=bindparam("now"),
    )
)
_DUE = (
    select(jobs.c.tenant_id, jobs.c.id)
    .where(among_these(jobs.c.state, _UNFINISHED), is_here(jobs.c.tenant_id))
    .order_by(jobs.c.created_at)
    .limit(bindparam("limit"))
)


_COUNTS = (
    select(jobs.c.state, func.count().label("jobs"), func.min(jobs.c.updated_at).label("oldest"))
    .where(among_these(jobs.c.state, _UNFINISHED), is_here(jobs.c.tenant_id))
    .group_by(jobs.c.state)
)


async def count_open_accounts(tx: Transaction) -> int:
    """Count the tenant's customers with an account that is not closed."""
    counted = await tx.row(_COUNT_ACCOUNTS)
    return int(counted[0]) if counted else 0


async def start_job(tx: Transaction, new: NewJob) -> JobRow:
    """Insert a job, so that a worker takes it."""
    await tx.run(_INSERT, **new._asdict())
    return JobRow(
        id=new.id,
        kind=new.kind,
        state="WAITING",
        done=0,
        total=new.total,
        cursor=None,
        problem=None,
        arguments=new.arguments,
        result=None,
        actor_kind=new.actor_kind,
        actor_subject=new.actor_subject,
        actor=new.actor,
        created_at=new.created_at,
        updated_at=new.created_at,
    )


async def claim_job(tx: Transaction, job_id: JobId) -> JobRow | None:
    """Lock an unfinished job; None if it is finished or another worker has locked it."""
    row = await tx.row(_CLAIM, id=job_id)
    return JobRow._make(row) if row else None


async def save_job(tx: Transaction, job: JobRow) -> None:
    """Store the progress of a job."""
    await tx.run(
        _UPDATE,
        job=job.id,
        state=job.state,
        done=job.done,
        total=job.total,
        cursor=job.cursor,
        result=job.result,
        problem=job.problem,
        now=job.updated_at,
    )


async def read_jobs_by_id(tx: Reads, ids: Sequence[JobId]) -> dict[JobId, JobRow]:
    """Return the jobs among ``ids``."""
    return {row.id: JobRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_due_jobs(connection: AsyncConnection, limit: int) -> list[DueJob]:
    """Return unfinished jobs of all tenants, oldest first. Runs as the relay role, outside any tenant."""
    return [DueJob._make(row) for row in await connection.execute(_DUE, {"limit": limit})]


class UnfinishedJobs(NamedTuple):
    """The unfinished jobs of all tenants in one state."""

    state: str
    jobs: int
    oldest: datetime
    """When the job that has waited longest was last worked on, or was started."""


async def count_unfinished_jobs(connection: AsyncConnection) -> list[UnfinishedJobs]:
    """Count the unfinished jobs of all tenants by their state. Runs as the relay role, outside any tenant."""
    return [UnfinishedJobs._make(row) for row in await connection.execute(_COUNTS)]
