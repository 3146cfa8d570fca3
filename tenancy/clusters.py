"""Several PostgreSQL clusters behind one process: a tenant's statements go to the cluster where the tenant lives.

The directory of tenants is in the home cluster, and a process remembers the places found in it. A remembered place may
be old: each cluster refuses a tenant that does not live there (`elsewhere.py`), and then the directory is asked again.
A read is repeated in the right cluster at once. A transaction is not repeated, because only its opener knows all its
statements: it ends with TenantElsewhere, and the next transaction goes to the right cluster.
"""

import asyncio
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Executable, bindparam, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.ids import TenantId
from tenancy.database import HOME, Database, SnapshotId, Transaction
from tenancy.elsewhere import TenantElsewhere
from tenancy.multiplexer import Lane
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter
from tenancy.tables import tenant_directory, token_directory
from tenancy.traffic import Door

MAX_REMEMBERED_PLACES = 100_000
"""The number of tenants whose cluster one process remembers."""

_PLACE = select(tenant_directory.c.cluster).where(tenant_directory.c.tenant_id == tenant_parameter())
_PLACES = select(tenant_directory.c.tenant_id, tenant_directory.c.cluster).where(
    among(tenant_directory.c.tenant_id, "tenants")
)
_CLAIM = (
    postgresql.insert(token_directory)
    .values(tenant_id=tenant_parameter(), sha256=bindparam("sha256"), token_id=bindparam("id"))
    .on_conflict_do_nothing()
)

T = TypeVar("T")
Way = tuple[TenantId, uuid.UUID]
"""A tenant, and the id of the credential or provider in it."""


class UnknownCluster(Exception):
    """The directory names a cluster that the settings of this process do not know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The cluster {name!r} is not in TREUE_CLUSTERS.")


class Clusters(Database):
    """The clusters of one process under one role: the home cluster, and the others by their names.

    Statements about no tenant, such as those on credentials of the platform, run in the home cluster.
    """

    def __init__(self, home: Database, others: Mapping[str, Database]) -> None:
        # It has no connection of its own: each call goes to one of the clusters.
        self.url = home.url
        self.engine = home.engine
        self._home = home
        self._clusters = {HOME: home, **others}
        self._places: OrderedDict[TenantId, str] = OrderedDict()
        self._ways = OrderedDict()

    @property
    def clusters(self) -> Mapping[str, Database]:
        """The clusters by their names, the home cluster first."""
        return self._clusters

    async def place_of(self, tenant_id: TenantId) -> str:
        """Return the name of the cluster where a tenant lives.

        The answer of the directory is remembered until a cluster refuses.
        """
        known = self._places.get(tenant_id)
        if known is not None:
            self._places.move_to_end(tenant_id)
            return known
        row = await self._home.reading(tenant_id, wherever=True).row(_PLACE)
        return self._remember(tenant_id, HOME if row is None else row.cluster)

    @asynccontextmanager
    async def tenant_transaction(
        self, tenant_id: TenantId, *, snapshot: SnapshotId | bool = False, wherever: bool = False
    ) -> AsyncIterator[Transaction]:
        """Open a transaction where the tenant lives; with ``wherever`` in the home cluster. See `Database`."""
        cluster = self._home if wherever else self._find_cluster(await self.place_of(tenant_id))
        try:
            async with cluster.tenant_transaction(tenant_id, snapshot=snapshot, wherever=wherever) as tx:
                yield tx
        except TenantElsewhere:
            self._places.pop(tenant_id, None)
            raise

    def reading(self, tenant_id: TenantId, lane: Lane = Lane.FAST, *, wherever: bool = False) -> Reads:
        """Return the door for reading where the tenant lives; with ``wherever`` in the home cluster. See `Database`."""
        if wherever:
            return self._home.reading(tenant_id, lane, wherever=True)
        return _PlacedReader(self, tenant_id, lane)

    async def read_in_place(self, tenant_id: TenantId, read: Callable[[Database], Awaitable[T]]) -> T:
        """Read in the cluster where the tenant lives. If the tenant has moved, read once more in its new cluster."""
        place = await self.place_of(tenant_id)
        try:
            return await read(self._find_cluster(place))
        except TenantElsewhere:
            self._places.pop(tenant_id, None)
            now = await self.place_of(tenant_id)
            if now == place:
                raise
            return await read(self._find_cluster(now))

    async def tenant_of_token(self, sha256: str) -> tuple[TenantId, uuid.UUID] | None:
        """Return the tenant and the token id of a token's hash.

        If they are not remembered, all clusters are asked at once. The first cluster that knows the hash decides, so a
        cluster that is away delays no tokens of another. Its error is raised if no other cluster knows the hash.
        """
        known = self._recall_way(sha256)
        if known is not None:
            return known
        asked = [asyncio.ensure_future(cluster.tenant_of_token(sha256)) for cluster in self._clusters.values()]
        try:
            way = await _await_first_way(asked)
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return None if way is None else self._remember_way(sha256, way)

    def forget_token(self, sha256: str) -> None:
        """Forget the tenant of a token's hash in every cluster, so that the next request asks again."""
        super().forget_token(sha256)
        for cluster in self._clusters.values():
            cluster.forget_token(sha256)

    async def claim(self, tenant_id: TenantId, sha256: str, wanted: uuid.UUID) -> uuid.UUID | None:
        """Let a name of the directory lead to a tenant in all clusters; the home cluster decides who has the name.

        Returns the id for the name: the id of the tenant's earlier claim if there is one. Returns None if the name
        belongs to another tenant. For a tenant of the home cluster, writing the row is the claim, as with one cluster.
        """
        if await self.place_of(tenant_id) == HOME:
            return wanted
        async with self._home.tenant_transaction(tenant_id, wherever=True) as tx:
            await tx.run(_CLAIM, sha256=sha256, id=wanted)
        found = await self._home.tenant_of_token(sha256)
        return found[1] if found is not None and found[0] == tenant_id else None

    async def ask_of_followed(
        self, tenant_ids: Sequence[TenantId], statement: Executable, **parameters: Any
    ) -> Sequence[Any]:
        """Run a statement about the logs of many tenants, each in its cluster. The directory is asked every time.

        A cluster that a tenant has left does not refuse this statement, so a remembered place must not be trusted here.
        """
        rows = await self._home.ask_of_followed(tenant_ids, _PLACES, tenants=list(tenant_ids))
        found = {TenantId(row.tenant_id): row.cluster for row in rows}
        by_place: defaultdict[str, list[TenantId]] = defaultdict(list)
        for tenant_id in tenant_ids:
            by_place[self._remember(tenant_id, found.get(tenant_id, HOME))].append(tenant_id)
        answers = await asyncio.gather(
            *(
                self._find_cluster(place).ask_of_followed(asked, statement, **{**parameters, "tenants": asked})
                for place, asked in by_place.items()
            )
        )
        return [row for rows in answers for row in rows]

    def doors(self) -> dict[str, Door]:
        """Return the doors of the home cluster. Ask each of `clusters` for its own doors."""
        return self._home.doors()

    async def close(self) -> None:
        """Close all connections to all clusters."""
        for cluster in self._clusters.values():
            await cluster.close()

    def _find_cluster(self, name: str) -> Database:
        """Return the cluster with a name. Raises UnknownCluster."""
        if name not in self._clusters:
            raise UnknownCluster(name)
        return self._clusters[name]

    def _remember(self, tenant_id: TenantId, place: str) -> str:
        """Remember in which cluster a tenant lives, and return the cluster's name.

        If too many are remembered, the tenant that was not used for longest is forgotten.
        """
        self._places[tenant_id] = place
        self._places.move_to_end(tenant_id)
        if len(self._places) > MAX_REMEMBERED_PLACES:
            self._places.popitem(last=False)
        return place


async def ask_clusters(database: Database, ask: Callable[[AsyncConnection], Awaitable[T]]) -> dict[str, T]:
    """Ask each cluster in turn, in a transaction about no tenant. Return the answers by the names of the clusters."""
    answers: dict[str, T] = {}
    for name, cluster in database.clusters.items():
        async with cluster.plain_transaction() as connection:
            answers[name] = await ask(connection)
    return answers


async def _await_first_way(asked: Sequence[asyncio.Future[Way | None]]) -> Way | None:
    """Return the first way that a cluster finds. If no cluster finds one, raise the error of a cluster that failed."""
    failed: Exception | None = None
    for answer in asyncio.as_completed(asked):
        try:
            way = await answer
        except Exception as error:  # noqa: BLE001 - raised below, where no other cluster knows the token
            failed = error
        else:
            if way is not None:
                return way
    if failed is not None:
        raise failed
    return None


class _PlacedReader:
    """The door for reading where the tenant lives."""

    __slots__ = ("_clusters", "_lane", "tenant_id")

    def __init__(self, clusters: Clusters, tenant_id: TenantId, lane: Lane) -> None:
        self._clusters = clusters
        self._lane = lane
        self.tenant_id = tenant_id

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        """Run a statement and return all its rows."""
        return await self._clusters.read_in_place(
            self.tenant_id, lambda cluster: cluster.reading(self.tenant_id, self._lane).rows(statement, **parameters)
        )

    async def row(self, statement: Executable, **parameters: Any) -> Any | None:
        """Run a statement and return its only row, or None."""
        return await self._clusters.read_in_place(
            self.tenant_id, lambda cluster: cluster.reading(self.tenant_id, self._lane).row(statement, **parameters)
        )
