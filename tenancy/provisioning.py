"""Create tenants, suspend, resume and close them, grant them the loyalty module, and give them budgets.

Runs as the relay role, or as the owner of the tables, inside the tenant: the application role cannot do it. The relay
role reads nothing that tenants hold.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update

from loyalty.rules.ids import TenantId
from tenancy.database import Database, Transaction
from tenancy.table import tenant_parameter
from tenancy.tables import ACTIVE, CLOSED, tenants


class ListedTenant(NamedTuple):
    """A tenant in the list of all tenants."""

    tenant_id: TenantId
    name: str
    state: str
    loyalty_entitled: bool
    sandbox: bool
    created_at: datetime
    budget_points: int | None
    budget_per_second: int | None


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
_LISTED = [tenants.c[name] for name in ListedTenant._fields]
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


_LIMIT = (
    update(tenants)
    .where(tenants.c.tenant_id == tenant_parameter(), tenants.c.state != CLOSED)
    .values(budget_points=bindparam("points"), budget_per_second=bindparam("per_second"))
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


async def set_tenant_state(tx: Transaction, state: str) -> None:
    """Let a tenant be ACTIVE, SUSPENDED or CLOSED; one that is closed stays so."""
    await tx.run(_SET_STATE, new_state=state)


async def set_entitlement(tx: Transaction, *, entitled: bool) -> None:
    """Grant the loyalty module, or take it back; nothing happens to a tenant that is closed."""
    await tx.run(_ENTITLE, entitled=entitled)


async def set_budget(tx: Transaction, points: int | None, per_second: int | None) -> None:
    """Give a tenant a budget of its own, or with None for both that of the settings; a closed one stays as it is."""
    await tx.run(_LIMIT, points=points, per_second=per_second)


async def read_listed_tenant(tx: Transaction) -> ListedTenant | None:
    """The tenant of the transaction, as the list of all tenants shows it."""
    row = await tx.row(_ONE)
    return None if row is None else ListedTenant._make(row)


async def list_tenants(relay: Database) -> list[ListedTenant]:
    """All tenants by age; runs as the relay role, the only one that sees across tenants."""
    async with relay.engine.connect() as connection:
        return [ListedTenant._make(row) for row in await connection.execute(_LIST)]
