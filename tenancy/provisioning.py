"""Create tenants, suspend and resume them.

Runs as the owner of the tables, inside the tenant: the application role cannot do it.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.ids import TenantId
from tenancy.database import Database, Transaction
from tenancy.table import tenant_parameter
from tenancy.tables import ACTIVE, tenants

_INSERT = insert(tenants).values(
    tenant_id=tenant_parameter(),
    name=bindparam("name"),
    currency=bindparam("currency"),
    time_zone=bindparam("time_zone"),
    locale=bindparam("locale"),
    state=ACTIVE,
    created_at=bindparam("now"),
    sandbox=bindparam("sandbox"),
    clock_advance_seconds=0,
    allowed_origins=bindparam("allowed_origins"),
)
_LIST = select(tenants.c.tenant_id, tenants.c.name, tenants.c.state).order_by(tenants.c.created_at)
_SET_STATE = update(tenants).where(tenants.c.tenant_id == tenant_parameter()).values(state=bindparam("new_state"))


class NewTenant(NamedTuple):
    """A business that joins the platform."""

    tenant_id: TenantId
    name: str
    currency: str
    time_zone: str
    locale: str
    sandbox: bool = False
    allowed_origins: tuple[str, ...] = ()


class ListedTenant(NamedTuple):
    """A tenant in the list of all tenants."""

    tenant_id: TenantId
    name: str
    state: str


async def insert_tenant(tx: Transaction, tenant: NewTenant, now: datetime) -> None:
    """Write the tenant's own row; the transaction must have entered it."""
    await tx.run(
        _INSERT,
        name=tenant.name,
        currency=tenant.currency,
        time_zone=tenant.time_zone,
        locale=tenant.locale,
        now=now,
        sandbox=tenant.sandbox,
        allowed_origins=list(tenant.allowed_origins),
    )


async def set_tenant_state(tx: Transaction, state: str) -> bool:
    """Let a tenant be ACTIVE or SUSPENDED; tells whether there is such a tenant."""
    return await tx.run(_SET_STATE, new_state=state) > 0


async def list_tenants(relay: Database) -> list[ListedTenant]:
    """All tenants by age; runs as the relay role, the only one that sees across tenants."""
    async with relay.engine.connect() as connection:
        return await _list(connection)


async def _list(connection: AsyncConnection) -> list[ListedTenant]:
    return [ListedTenant(TenantId(row.tenant_id), row.name, row.state) for row in await connection.execute(_LIST)]
