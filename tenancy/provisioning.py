"""Create, suspend, resume and close tenants, grant them the loyalty module, and give them budgets.

The statements run inside the tenant, as the relay role or as the owner of the tables: the application role has no right
to them. The relay role reads nothing that tenants hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.ids import TenantId
from loyalty.rules.trusted_document import DocumentRule
from tenancy.clusters import ask_clusters
from tenancy.database import HOME, Database, Transaction
from tenancy.platform_tables import platform_tenants
from tenancy.table import among, among_these, tenant_parameter
from tenancy.tables import ACTIVE, ARRIVING, CLOSED, ELSEWHERE, SUSPENDED, tenant_directory, tenants


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
    currency: str
    time_zone: str
    locale: str
    external_id: str | None = None
    """The tenant's id in the platform's own system."""
    cluster: str = HOME
    """The cluster where the tenant lives."""


class KnownTenant(NamedTuple):
    """A tenant that an earlier call created for an id of the platform, and the fingerprint of that call."""

    tenant: ListedTenant
    fingerprint: str


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
    features=bindparam("features"),
    document_rule=DocumentRule.ANY.name,
    documents_version=0,
)
_LISTED = select(
    *(tenants.c[name] for name in ListedTenant._fields if name not in ("external_id", "cluster")),
    platform_tenants.c.external_id,
).select_from(tenants.outerjoin(platform_tenants, platform_tenants.c.tenant_id == tenants.c.tenant_id))
_LISTED = _LISTED.where(~among_these(tenants.c.state, ELSEWHERE))
_KNOWN = _LISTED.add_columns(platform_tenants.c.fingerprint).where(
    among(platform_tenants.c.external_id, "external_ids")
)
_ONE = _LISTED.where(tenants.c.tenant_id == tenant_parameter())
_LOCK = _ONE.with_for_update(of=tenants)
_CHANGE = update(tenants).where(tenants.c.tenant_id == tenant_parameter(), tenants.c.state != CLOSED)
_SET_STATE = _CHANGE.values(state=bindparam("new_state"))
_OPEN = (
    update(tenants)
    .where(tenants.c.tenant_id == tenant_parameter(), tenants.c.state == ARRIVING)
    .values(state=SUSPENDED)
    .execution_options(preserve_rowcount=True)
)
_ENTITLE = _CHANGE.values(loyalty_entitled=bindparam("entitled"))
_LIMIT = _CHANGE.values(budget_points=bindparam("points"), budget_per_second=bindparam("per_second"))


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


_PLACE = insert(tenant_directory).values(tenant_id=tenant_parameter(), cluster=bindparam("cluster"))
_COUNT = select(func.count()).select_from(tenants).where(~among_these(tenants.c.state, ELSEWHERE))


async def find_least_cluster(database: Database) -> str:
    """Return the name of the cluster with the fewest tenants. With one cluster no statement runs.

    Runs as the relay's role.
    """
    if len(database.clusters) == 1:
        return HOME
    counts = await _count_everywhere(database, _COUNT, {})
    return min(counts, key=counts.__getitem__)


async def place_tenant(tx: Transaction, cluster: str) -> None:
    """Write into the directory of tenants that the transaction's tenant lives in another cluster.

    Runs as the relay's role.
    """
    await tx.run(_PLACE, cluster=cluster)


async def insert_tenant(tx: Transaction, tenant: NewTenant, features: Sequence[str], now: datetime) -> None:
    """Write the tenant's own row, with the features that are on. The transaction must have entered the tenant."""
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
        features=list(features),
    )


async def set_tenant_state(tx: Transaction, state: str) -> None:
    """Set a tenant ACTIVE, SUSPENDED or CLOSED. A closed tenant stays closed."""
    await tx.run(_SET_STATE, new_state=state)


async def open_copy(tx: Transaction) -> bool:
    """Set an ARRIVING tenant to SUSPENDED: it lives here now, and can be resumed. False if it is not ARRIVING.

    Runs as the owner.
    """
    return bool(await tx.run(_OPEN))


async def set_entitlement(tx: Transaction, *, entitled: bool) -> None:
    """Grant the loyalty module, or take it back. A closed tenant is not changed."""
    await tx.run(_ENTITLE, entitled=entitled)


async def set_budget(tx: Transaction, points: int | None, per_second: int | None) -> None:
    """Give a tenant its own budget; None for both numbers means the budget of the settings.

    A closed tenant is not changed.
    """
    await tx.run(_LIMIT, points=points, per_second=per_second)


async def read_listed_tenant(tx: Transaction) -> ListedTenant | None:
    """Return the transaction's tenant in the form of the list of all tenants."""
    row = await tx.row(_ONE)
    return None if row is None else ListedTenant(*row)


async def lock_listed_tenant(tx: Transaction) -> ListedTenant | None:
    """Return the same as `read_listed_tenant`, and lock the row for a change."""
    row = await tx.row(_LOCK)
    return None if row is None else ListedTenant(*row)


class TenantFilter(NamedTuple):
    """Limits the tenants of a list; None is no limit."""

    states: Sequence[str] | None = None
    ids: Sequence[UUID] | None = None
    external_ids: Sequence[str] | None = None


async def read_tenants(
    database: Database, wanted: TenantFilter, limit: int, after: UUID | None = None
) -> list[ListedTenant]:
    """Return tenants of all clusters by their ids, which is the order of their creation; runs as the relay's role."""
    statement = _add_conditions(_LISTED, wanted).order_by(tenants.c.tenant_id).limit(limit)
    if after is not None:
        statement = statement.where(tenants.c.tenant_id > after)
    found = await _find_tenants(database, statement, _list_parameters(wanted))
    return sorted(found, key=lambda one: one.tenant_id)[:limit]


async def read_known_tenants(database: Database, external_ids: Sequence[str]) -> dict[str, KnownTenant]:
    """Return tenants by their ids of the platform's own system; runs as the relay's role."""
    found = await _read_everywhere(database, _KNOWN, {"external_ids": list(external_ids)})
    return {
        row.external_id: KnownTenant(ListedTenant(*row[:-1])._replace(cluster=name), row.fingerprint)
        for name, row in found
    }


async def count_tenants(database: Database, wanted: TenantFilter, ceiling: int) -> int:
    """Count the tenants of a list in all clusters. Each cluster counts up to a ceiling."""
    counted = _add_conditions(_LISTED, wanted).limit(ceiling).subquery("counted")
    statement = select(func.count()).select_from(counted)
    counts = await _count_everywhere(database, statement, _list_parameters(wanted))
    return min(sum(counts.values()), ceiling)


def _add_conditions(statement: Select[Any], wanted: TenantFilter) -> Select[Any]:
    """Return a statement with the conditions of a filter."""
    if wanted.states is not None:
        statement = statement.where(among(tenants.c.state, "states"))
    if wanted.ids is not None:
        statement = statement.where(among(tenants.c.tenant_id, "ids"))
    if wanted.external_ids is not None:
        statement = statement.where(among(platform_tenants.c.external_id, "external_ids"))
    return statement


def _list_parameters(wanted: TenantFilter) -> dict[str, Any]:
    """Return the parameters for the conditions of a filter."""
    return {name: list(values) for name, values in wanted._asdict().items() if values is not None}


async def list_tenants(relay: Database) -> list[ListedTenant]:
    """Return all tenants of all clusters by age; runs as the relay role, the only one that sees all tenants."""
    return sorted(await _find_tenants(relay, _LISTED, {}), key=lambda one: (one.created_at, one.tenant_id))


async def _find_tenants(
    database: Database, statement: Select[Any], parameters: Mapping[str, Any]
) -> Iterable[ListedTenant]:
    """Return the tenants that a statement finds in all clusters. A tenant that moves meanwhile is returned once."""
    found = await _read_everywhere(database, statement, parameters)
    return {row.tenant_id: ListedTenant(*row)._replace(cluster=name) for name, row in found}.values()


async def _read_everywhere(
    database: Database, statement: Select[Any], parameters: Mapping[str, Any]
) -> Sequence[tuple[str, Any]]:
    """Return the rows that a statement finds in all clusters, each with the name of its cluster."""

    async def read(connection: AsyncConnection) -> Sequence[Any]:
        rows: Sequence[Any] = (await connection.execute(statement, parameters)).all()
        return rows

    return [(name, row) for name, rows in (await ask_clusters(database, read)).items() for row in rows]


async def _count_everywhere(
    database: Database, statement: Select[Any], parameters: Mapping[str, Any]
) -> Mapping[str, int]:
    """Return the number that a statement counts in each cluster, by the cluster's name."""

    async def count(connection: AsyncConnection) -> int:
        return int((await connection.execute(statement, parameters)).scalar_one())

    return await ask_clusters(database, count)
