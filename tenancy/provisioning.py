"""Create tenants, suspend, resume and close them, and grant them the loyalty module.

Runs as the relay role, or as the owner of the tables, inside the tenant: the application role cannot do it. The relay
role reads nothing that tenants hold.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.ids import TenantId
from tenancy.database import Database, Transaction
from tenancy.table import tenant_parameter
from tenancy.tables import ACTIVE, CLOSED, tenants

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
    loyalty_entitled=bindparam("loyalty_entitled"),
)
_LISTED = (
    tenants.c.tenant_id,
    tenants.c.name,
    tenants.c.state,
    tenants.c.loyalty_entitled,
    tenants.c.sandbox,
    tenants.c.created_at,
)
_LIST = select(*_LISTED).order_by(tenants.c.created_at, tenants.c.tenant_id)
_ONE = select(*_LISTED).where(tenants.c.tenant_id == tenant_parameter())
_SET_STATE = (
    update(tenants)
    .where(tenants.c.tenant_id == tenant_parameter(), tenants.c.state != CLOSED)
    .values(state=bindparam("new_state"))
)
_ENTITLE = (
    update(tenants)
    .where(tenants.c.tenant_id == tenant_parameter(), tenants.c.state != CLOSED)
    .values(loyalty_entitled=bindparam("entitled"))
)


class NewTenant(NamedTuple):
    """A business that joins the platform."""

    tenant_id: TenantId
    name: str
    currency: str
    time_zone: str
    locale: str
    sandbox: bool = False
    allowed_origins: tuple[str, ...] = ()
    loyalty_entitled: bool = True


class ListedTenant(NamedTuple):
    """A tenant in the list of all tenants."""

    tenant_id: TenantId
    name: str
    state: str
    loyalty_entitled: bool
    sandbox: bool
    created_at: datetime


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
        loyalty_entitled=tenant.loyalty_entitled,
    )


async def set_tenant_state(tx: Transaction, state: str) -> bool:
    """Let a tenant be ACTIVE, SUSPENDED or CLOSED; tells whether there is one that is not closed."""
    return await tx.run(_SET_STATE, new_state=state) > 0


async def set_entitlement(tx: Transaction, *, entitled: bool) -> bool:
    """Grant the loyalty module, or take it back; tells whether there is a tenant that is not closed."""
    return await tx.run(_ENTITLE, entitled=entitled) > 0


async def read_listed_tenant(tx: Transaction) -> ListedTenant | None:
    """The tenant of the transaction, as the list of all tenants shows it."""
    row = await tx.row(_ONE)
    return None if row is None else _listed(row)


async def list_tenants(relay: Database) -> list[ListedTenant]:
    """All tenants by age; runs as the relay role, the only one that sees across tenants."""
    async with relay.engine.connect() as connection:
        return await _list(connection)


async def _list(connection: AsyncConnection) -> list[ListedTenant]:
    return [_listed(row) for row in await connection.execute(_LIST)]


def _listed(row: Any) -> ListedTenant:
    return ListedTenant(TenantId(row.tenant_id), row.name, row.state, row.loyalty_entitled, row.sandbox, row.created_at)
