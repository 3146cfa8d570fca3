"""Create tenants, suspend, resume and close them, grant them the loyalty module, and give them budgets.

Runs as the relay role, or as the owner of the tables, inside the tenant: the application role cannot do it. The relay
role reads nothing that tenants hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, bindparam, func, insert, select, update

from loyalty.rules.ids import TenantId
from loyalty.rules.trusted_document import DocumentRule
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
    """What the platform's own system calls it."""
    cluster: str = HOME
    """Where it lives."""


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
    """The name of the cluster with the fewest tenants; nothing is asked where there is only one.

    Runs as the relay's role.
    """
    clusters = database.clusters
    if len(clusters) == 1:
        return HOME
    counts: dict[str, int] = {}
    for name, cluster in clusters.items():
        async with cluster.plain_transaction() as connection:
            counts[name] = int((await connection.execute(_COUNT)).scalar_one())
    return min(counts, key=counts.__getitem__)


async def place_tenant(tx: Transaction, cluster: str) -> None:
    """Let the tenant of a transaction in the home cluster live in another cluster; runs as the relay's role."""
    await tx.run(_PLACE, cluster=cluster)


async def insert_tenant(tx: Transaction, tenant: NewTenant, features: Sequence[str], now: datetime) -> None:
    """Write the tenant's own row, with the features that are on; the transaction must have entered it."""
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
    """Let a tenant be ACTIVE, SUSPENDED or CLOSED; one that is closed stays so."""
    await tx.run(_SET_STATE, new_state=state)


async def open_copy(tx: Transaction) -> bool:
    """Let a tenant be used, suspended, that has arrived in this cluster; False where it has not. As the owner."""
    return bool(await tx.run(_OPEN))


async def set_entitlement(tx: Transaction, *, entitled: bool) -> None:
    """Grant the loyalty module, or take it back; nothing happens to a tenant that is closed."""
    await tx.run(_ENTITLE, entitled=entitled)


async def set_budget(tx: Transaction, points: int | None, per_second: int | None) -> None:
    """Give a tenant a budget of its own, or with None for both that of the settings; a closed one stays as it is."""
    await tx.run(_LIMIT, points=points, per_second=per_second)


async def read_listed_tenant(tx: Transaction) -> ListedTenant | None:
    """The tenant of the transaction, as the list of all tenants shows it."""
    row = await tx.row(_ONE)
    return None if row is None else ListedTenant(*row)


async def lock_listed_tenant(tx: Transaction) -> ListedTenant | None:
    """The same, locked for a change."""
    row = await tx.row(_LOCK)
    return None if row is None else ListedTenant(*row)


class TenantFilter(NamedTuple):
    """Which tenants a list shows; None is no limit."""

    states: Sequence[str] | None = None
    ids: Sequence[UUID] | None = None
    external_ids: Sequence[str] | None = None


async def read_tenants(
    database: Database, wanted: TenantFilter, limit: int, after: UUID | None = None
) -> list[ListedTenant]:
    """Tenants of all clusters in the order of their ids, which is that of their creation; as the relay's role."""
    statement = _narrow(_LISTED, wanted).order_by(tenants.c.tenant_id).limit(limit)
    if after is not None:
        statement = statement.where(tenants.c.tenant_id > after)
    found = await _read_everywhere(database, statement, _parameters(wanted))
    return sorted(found, key=lambda one: one.tenant_id)[:limit]


async def read_known_tenants(database: Database, external_ids: Sequence[str]) -> dict[str, KnownTenant]:
    """The tenants that stand for ids of the platform's own system, by these ids; runs as the relay's role."""
    known: dict[str, KnownTenant] = {}
    for name, cluster in database.clusters.items():
        async with cluster.plain_transaction() as connection:
            for row in await connection.execute(_KNOWN, {"external_ids": list(external_ids)}):
                tenant = ListedTenant(*row[:-1])._replace(cluster=name)
                known[row.external_id] = KnownTenant(tenant, row.fingerprint)
    return known


async def count_tenants(database: Database, wanted: TenantFilter, ceiling: int) -> int:
    """How many tenants a list has in all clusters, each counted up to a ceiling."""
    counted = _narrow(_LISTED, wanted).limit(ceiling).subquery("counted")
    statement = select(func.count()).select_from(counted)
    total = 0
    for cluster in database.clusters.values():
        async with cluster.plain_transaction() as connection:
            total += int((await connection.execute(statement, _parameters(wanted))).scalar_one())
    return min(total, ceiling)


def _narrow(statement: Select[Any], wanted: TenantFilter) -> Select[Any]:
    if wanted.states is not None:
        statement = statement.where(among(tenants.c.state, "states"))
    if wanted.ids is not None:
        statement = statement.where(among(tenants.c.tenant_id, "ids"))
    if wanted.external_ids is not None:
        statement = statement.where(among(platform_tenants.c.external_id, "external_ids"))
    return statement


def _parameters(wanted: TenantFilter) -> dict[str, Any]:
    return {name: list(values) for name, values in wanted._asdict().items() if values is not None}


async def list_tenants(relay: Database) -> list[ListedTenant]:
    """All tenants of all clusters by age; runs as the relay role, the only one that sees across tenants."""
    return sorted(await _read_everywhere(relay, _LISTED, {}), key=lambda one: (one.created_at, one.tenant_id))


async def _read_everywhere(
    database: Database, statement: Select[Any], parameters: Mapping[str, Any]
) -> Iterable[ListedTenant]:
    """The tenants of a statement in each cluster. One that moves meanwhile is there once."""
    found: dict[TenantId, ListedTenant] = {}
    for name, cluster in database.clusters.items():
        async with cluster.plain_transaction() as connection:
            for row in await connection.execute(statement, parameters):
                found[TenantId(row.tenant_id)] = ListedTenant(*row)._replace(cluster=name)
    return found.values()
