"""Background jobs of a tenant: what they have done, and where they go on."""

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
    """What it was asked to do, as a document; None where an earlier release put it in line."""
    result: dict[str, Any] | None
    """What came of its batches so far, as a document; None before the first."""
    actor_kind: str | None
    actor_subject: str | None
    actor: str | None
    """Who asked for it; None for jobs that are older than the record of it."""
    created_at: datetime
    updated_at: datetime


class NewJob(NamedTuple):
    """A job that somebody asks for."""

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


_LINE = (
    select(jobs.c.state, func.count().label("jobs"), func.min(jobs.c.updated_at).label("oldest"))
    .where(among_these(jobs.c.state, _UNFINISHED), is_here(jobs.c.tenant_id))
    .group_by(jobs.c.state)
)


async def count_open_accounts(tx: Transaction) -> int:
    """How many customers of the tenant have an account that is not closed."""
    counted = await tx.row(_COUNT_ACCOUNTS)
    return int(counted[0]) if counted else 0


async def start_job(tx: Transaction, new: NewJob) -> JobRow:
    """Put a job in line."""
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
    """Lock an unfinished job; None when it is finished or another worker has it."""
    row = await tx.row(_CLAIM, id=job_id)
    return JobRow._make(row) if row else None


async def save_job(tx: Transaction, job: JobRow) -> None:
    """Keep how far a job is."""
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
    """The jobs among ``ids``."""
    return {row.id: JobRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_due_jobs(connection: AsyncConnection, limit: int) -> list[DueJob]:
    """Unfinished jobs of all tenants, oldest first; runs as the relay role, outside any tenant."""
    return [DueJob._make(row) for row in await connection.execute(_DUE, {"limit": limit})]


class JobsInLine(NamedTuple):
    """The unfinished jobs of all tenants in one state."""

    state: str
    jobs: int
    oldest: datetime
    """When one of them was last worked on, or put in line: that of the job that has waited longest."""


async def read_line(connection: AsyncConnection) -> list[JobsInLine]:
    """Unfinished jobs of all tenants by their state; runs as the relay role, outside any tenant."""
    return [JobsInLine._make(row) for row in await connection.execute(_LINE)]
