"""Background jobs of a tenant: what they have done, and where they go on."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.ids import CustomerId, JobId, TenantId
from loyalty.storage.accounts import ACCOUNT_COLUMNS, PROFILE_COLUMNS, LockedCustomer, locked_customer
from loyalty.storage.tables import accounts, customers, jobs
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter

RETIER = "RETIER"


class JobRow(NamedTuple):
    """A job as clients see it."""

    id: JobId
    kind: str
    state: str
    done: int
    total: int
    cursor: UUID | None
    problem: str | None
    created_at: datetime
    updated_at: datetime


class DueJob(NamedTuple):
    """A job that waits for a worker."""

    tenant_id: TenantId
    id: JobId


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
        jobs.c.state.in_(["WAITING", "RUNNING"]),
    )
    .with_for_update(skip_locked=True)
)
_COUNT_ACCOUNTS = select(func.count()).where(accounts.c.tenant_id == tenant_parameter(), ~accounts.c.closed)
_INSERT = insert(jobs).values(
    tenant_id=tenant_parameter(),
    id=bindparam("id"),
    kind=bindparam("kind"),
    state="WAITING",
    done=0,
    total=bindparam("total"),
    created_at=bindparam("now"),
    updated_at=bindparam("now"),
)
_UPDATE = (
    update(jobs)
    .where(jobs.c.tenant_id == tenant_parameter(), jobs.c.id == bindparam("job"))
    .values(
        state=bindparam("state"),
        done=bindparam("done"),
        total=bindparam("total"),
        cursor=bindparam("cursor"),
        problem=bindparam("problem"),
        updated_at=bindparam("now"),
    )
)
_DUE = (
    select(jobs.c.tenant_id, jobs.c.id)
    .where(jobs.c.state.in_(["WAITING", "RUNNING"]))
    .order_by(jobs.c.created_at)
    .limit(bindparam("limit"))
)
_ACCOUNTS_AFTER = (
    select(*PROFILE_COLUMNS, *ACCOUNT_COLUMNS)
    .join_from(
        accounts,
        customers,
        (customers.c.tenant_id == accounts.c.tenant_id) & (customers.c.id == accounts.c.customer_id),
    )
    .where(accounts.c.tenant_id == tenant_parameter(), accounts.c.customer_id > bindparam("cursor"), ~accounts.c.closed)
    .order_by(accounts.c.customer_id)
    .limit(bindparam("limit"))
    .with_for_update(of=accounts)
)


async def start_job(tx: Transaction, job_id: JobId, kind: str, now: datetime) -> JobRow:
    """Put a job over all accounts of the tenant in line; its total is how many there are now."""
    counted = await tx.row(_COUNT_ACCOUNTS)
    total = int(counted[0]) if counted else 0
    await tx.run(_INSERT, id=job_id, kind=kind, total=total, now=now)
    return JobRow(job_id, kind, "WAITING", 0, total, None, None, now, now)


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
        problem=job.problem,
        now=job.updated_at,
    )


async def read_jobs_by_id(tx: Reads, ids: Sequence[JobId]) -> dict[JobId, JobRow]:
    """The jobs among ``ids``."""
    return {row.id: JobRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_due_jobs(connection: AsyncConnection, limit: int) -> list[DueJob]:
    """Unfinished jobs of all tenants, oldest first; runs as the relay role, outside any tenant."""
    return [DueJob._make(row) for row in await connection.execute(_DUE, {"limit": limit})]


async def lock_accounts_after(tx: Transaction, cursor: CustomerId, limit: int) -> list[LockedCustomer]:
    """The next customers in the order of their ids, their accounts locked."""
    return [locked_customer(row) for row in await tx.rows(_ACCOUNTS_AFTER, cursor=cursor, limit=limit)]
