"""The line in which jobs wait. A use case adds a job in the transaction of the change that needs it."""

from datetime import datetime
from typing import Any

from loyalty.rules.ids import JobId
from loyalty.rules.job import JobKind, ReTierArguments
from loyalty.storage.documents import to_document
from loyalty.storage.jobs import JobRow, NewJob, count_open_accounts, start_job
from permissions.actor import Actor
from tenancy.database import Transaction


async def put_in_line(
    tx: Transaction, by: Actor, kind: JobKind, arguments: Any, *, job_id: JobId, total: int, now: datetime
) -> JobRow:
    """Put a job in line for the actor ``by``, who owns it. ``total`` is the approximate number of its items."""
    new = NewJob(job_id, kind, to_document(arguments), total, by.kind, by.subject, by.display, now)
    return await start_job(tx, new)


async def put_re_tiering_in_line(tx: Transaction, by: Actor, *, job_id: JobId, now: datetime) -> JobRow:
    """Put the job in line that puts every customer into the right tier."""
    total = await count_open_accounts(tx)
    return await put_in_line(tx, by, JobKind.RETIER, ReTierArguments(), job_id=job_id, total=total, now=now)
