"""The consents of customers: when each was given or withdrawn."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select, true

from loyalty.rules.ids import CustomerId
from loyalty.storage.tables import accounts, customer_consents
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class ConsentRow(NamedTuple):
    """A consent that was given or withdrawn."""

    customer_id: CustomerId
    granted: bool
    source: str | None
    told_at: datetime
    recorded_at: datetime
    actor_kind: str
    actor: str


_last = (
    select(customer_consents.c.id, *(customer_consents.c[name] for name in ConsentRow._fields))
    .where(
        customer_consents.c.tenant_id == tenant_parameter(), customer_consents.c.customer_id == accounts.c.customer_id
    )
    .order_by(customer_consents.c.told_at.desc(), customer_consents.c.id.desc())
    .limit(bindparam("limit"))
    .correlate(accounts)
    .lateral("last_consents")
)
_HISTORY = (
    select(*(_last.c[name] for name in ConsentRow._fields))
    .select_from(accounts.join(_last, true()))
    .where(accounts.c.tenant_id == tenant_parameter(), among(accounts.c.customer_id, "ids"))
    .order_by(_last.c.customer_id, _last.c.told_at.desc(), _last.c.id.desc())
)


async def read_consents(
    tx: Reads, customer_ids: Sequence[CustomerId], limit: int
) -> dict[CustomerId, list[ConsentRow]]:
    """Return the last consents of each customer, newest first. A customer without any is left out."""
    found: dict[CustomerId, list[ConsentRow]] = {}
    for row in await tx.rows(_HISTORY, ids=list(customer_ids), limit=limit):
        found.setdefault(row.customer_id, []).append(ConsentRow._make(row))
    return found
