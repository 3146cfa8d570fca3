"""The tenant itself, as its own people and customers may see it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, select, update

from loyalty.rules.ids import TenantId
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import tenant_parameter
from tenancy.tables import tenants


class TenantRow(NamedTuple):
    """A tenant as clients see it."""

    id: TenantId
    name: str
    currency: str
    time_zone: str
    locale: str
    sandbox: bool
    clock_advance: timedelta
    """How far the clock of a sandbox is ahead; nothing for every other tenant."""
    allowed_origins: list[str]
    """The origins of browser pages that may call."""
    loyalty_entitled: bool
    """Whether the platform grants the loyalty module."""


_TENANT = select(
    tenants.c.tenant_id.label("id"),
    tenants.c.name,
    tenants.c.currency,
    tenants.c.time_zone,
    tenants.c.locale,
    tenants.c.sandbox,
    tenants.c.clock_advance_seconds,
    tenants.c.allowed_origins,
    tenants.c.loyalty_entitled,
).where(tenants.c.tenant_id == tenant_parameter())

_ADVANCE = (
    update(tenants).where(tenants.c.tenant_id == tenant_parameter()).values(clock_advance_seconds=bindparam("seconds"))
)
_ALLOW_ORIGINS = (
    update(tenants).where(tenants.c.tenant_id == tenant_parameter()).values(allowed_origins=bindparam("origins"))
)


async def read_tenant(tx: Reads) -> TenantRow | None:
    """The tenant of the running transaction."""
    row = await tx.row(_TENANT)
    if row is None:
        return None
    return TenantRow._make(row)._replace(clock_advance=timedelta(seconds=row.clock_advance_seconds))


async def advance_clock(tx: Transaction, ahead: timedelta) -> None:
    """Put the clock of a sandbox so far ahead of the real one; the database refuses it for every other tenant."""
    await tx.run(_ADVANCE, seconds=int(ahead.total_seconds()))


async def allow_origins(tx: Transaction, origins: Sequence[str]) -> None:
    """Replace the list of origins whose pages may call."""
    await tx.run(_ALLOW_ORIGINS, origins=list(origins))
