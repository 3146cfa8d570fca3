"""Add a job that waits for a worker. A use case does so in the transaction of the change that needs the job."""

from datetime import datetime
from typing import Any

from loyalty.rules.ids import JobId
from loyalty.rules.job import JobKind, ReTierArguments
from loyalty.storage.documents import to_document
from loyalty.storage.jobs import JobRow, NewJob, count_open_accounts, start_job
from permissions.actor import Actor
from tenancy.database import Transaction


async def add_job(
    tx: Transaction, by: Actor, kind: JobKind, arguments: Any, *, job_id: JobId, total: int, now: datetime
) -> JobRow:
    """Add a job for the actor ``by``, who owns it. ``total`` is the approximate number of its items."""
    new = NewJob(job_id, kind, to_document(arguments), total, by.kind, by.subject, by.display, now)
    return await start_job(tx, new)


async def add_re_tiering_job(tx: Transaction, by: Actor, *, job_id: JobId, now: datetime) -> JobRow:
    """Add the job that puts every customer into the right tier."""
    total = await count_open_accounts(tx)
    return await add_job(tx, by, JobKind.RETIER, ReTierArguments(), job_id=job_id, total=total, now=now)
