"""When customers were archived or came back, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select, true

from loyalty.rules.archive import ArchiveCause
from loyalty.rules.ids import CustomerId
from loyalty.storage.tables import accounts, customer_archivings
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class ArchivingRow(NamedTuple):
    """A customer was archived, or came back. ``cause_id`` is the purchase, the hold or the merge behind it."""

    id: UUID
    customer_id: CustomerId
    archived: bool
    cause: ArchiveCause
    cause_id: UUID | None
    note: str | None
    changed_at: datetime
    actor_kind: str
    actor: str


_last = (
    select(*(customer_archivings.c[name] for name in ArchivingRow._fields))
    .where(
        customer_archivings.c.tenant_id == tenant_parameter(),
        customer_archivings.c.customer_id == accounts.c.customer_id,
    )
    .order_by(customer_archivings.c.id.desc())
    .limit(bindparam("limit"))
    .correlate(accounts)
    .lateral("last_archivings")
)
_HISTORY = (
    select(*(_last.c[name] for name in ArchivingRow._fields))
    .select_from(accounts.join(_last, true()))
    .where(accounts.c.tenant_id == tenant_parameter(), among(accounts.c.customer_id, "ids"))
    .order_by(_last.c.customer_id, _last.c.id.desc())
)


async def read_archivings(
    tx: Reads, customer_ids: Sequence[CustomerId], limit: int
) -> dict[CustomerId, list[ArchivingRow]]:
    """Return the last archivings of each customer, newest first. A customer without any is left out."""
    found: dict[CustomerId, list[ArchivingRow]] = {}
    for row in await tx.rows(_HISTORY, ids=list(customer_ids), limit=limit):
        found.setdefault(row.customer_id, []).append(ArchivingRow._make(row))
    return found
