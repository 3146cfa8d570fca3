"""The tenant itself, as its own people and customers may see it."""

from typing import NamedTuple

from sqlalchemy import select

from loyalty.rules.ids import TenantId
from tenancy.database import Transaction
from tenancy.table import tenant_parameter
from tenancy.tables import tenants


class TenantRow(NamedTuple):
    """A tenant as clients see it."""

    id: TenantId
    name: str
    currency: str
    time_zone: str
    locale: str


_TENANT = select(
    tenants.c.tenant_id.label("id"),
    tenants.c.name,
    tenants.c.currency,
    tenants.c.time_zone,
    tenants.c.locale,
).where(tenants.c.tenant_id == tenant_parameter())


async def read_tenant(tx: Transaction) -> TenantRow | None:
    """The tenant of the running transaction."""
    row = await tx.row(_TENANT)
    return TenantRow._make(row) if row else None
