"""A tenant moves from one cluster to another: every row goes along, and a move that stops anywhere can be ended."""

from collections.abc import AsyncIterator, Mapping
from typing import LiteralString, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from loyalty.log.reading import last_positions
from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.ids import TenantId
from loyalty.services.platform import list_tenants_of_platform
from loyalty.services.platform_log import list_actions
from loyalty.services.tenant import provision_tenant, resume_tenant, suspend_tenant
from loyalty.services.tenant_move import (
    ClusterUrls,
    Move,
    MoveFailed,
    MoveStep,
    delete_old_copy,
    give_move_up,
    move_tenant,
)
from loyalty.services.world import World
from loyalty.storage.events import read_events
from runtime.roles import DatabaseUrls
from tenancy.clusters import Clusters
from tenancy.database import HOME
from tenancy.elsewhere import MOVE_LOCKS, TenantElsewhere
from tenancy.moving import (
    Connection,
    TenantBusy,
    TenantOpen,
    connect_owner,
    copy_tenant,
    delete_copy,
    enter_tenant,
    find_differing_tables,
    list_copied_tables,
    read_state,
    stop_writing,
)
from tenancy.provisioning import TenantFilter
from tenancy.tables import ARRIVING, MOVED, SUSPENDED
from tests.fixtures.database import DatabaseServer
from tests.fixtures.invariants import check_ledger
from tests.fixtures.tenants import Salon, salon_of
from tests.loyalty.services.builders import give, known_customer
from tests.tenancy.catalogue import tables
from tests.tenancy.neighbours import Neighbour
from tests.tenancy.test_clusters import EAST, open_clusters

DIRECTORIES = ["tenant_directory", "token_directory"]
"""The first stays in the home cluster, the second is in every cluster that a tenant has lived in."""


async def has_rows(connection: Connection, table: str) -> bool:
    """Tell whether a tenant that was entered has rows in a table."""
    found = await connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table)))
    return await found.fetchone() is not None


class Stopped(Exception):
    """The process that moves a tenant is gone."""


async def stop_move(clusters: Mapping[str, ClusterUrls], move: Move, stopped_at: MoveStep) -> None:
    """Begin a move whose process is gone before a step."""

    def stop(step: MoveStep) -> None:
        if step is stopped_at:
            raise Stopped

    with pytest.raises(Stopped):
        await move_tenant(clusters, move, stop)


class Site(NamedTuple):
    """Two clusters: as a move reaches them, as servers do, and as the platform does."""

    urls: Mapping[str, ClusterUrls]
    app: Clusters
    relay: Clusters

    @property
    def platform(self) -> World:
        """The platform's view."""
        return World(self.relay)

    async def settle(self) -> Salon:
        """Create a salon in the home cluster, with a customer whose events no relay has seen."""
        tenant = await provision_tenant(
            self.platform, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE", cluster=HOME
        )
        salon = salon_of(tenant)
        world = World(self.app)
        await known_customer(world, salon)
        await give(world, salon, 5, "first")
        await give(world, salon, 7, "second")
        return salon

    async def states(self, tenant_id: TenantId) -> list[str | None]:
        """Return the state of the tenant's row in each cluster."""
        found: list[str | None] = []
        for urls in self.urls.values():
            async with connect_owner(urls.owner) as owner:
                found.append(await read_state(owner, tenant_id))
        return found

    async def tell_events(self, tenant_id: TenantId) -> list[tuple[int | None, str]]:
        """Return the positions and ids of the tenant's events, wherever it lives."""
        rows = await read_events(self.app.reading(tenant_id), after=0, limit=100)
        return [(row.position, str(row.id)) for row in rows]

    async def check(self, tenant_id: TenantId) -> None:
        """Check that the ledger adds up where the tenant lives. A read finds that place out."""
        await self.tell_events(tenant_id)
        await check_ledger(self.app, tenant_id)

    async def count_open(self, tenant_id: TenantId) -> int:
        """Return in how many clusters the tenant may be used."""
        return sum(state not in (None, ARRIVING, MOVED) for state in await self.states(tenant_id))


@pytest.fixture
async def site(database_server: DatabaseServer, template_database: str) -> AsyncIterator[Site]:
    """Provide two clusters without tenants."""
    with database_server.lend(template_database) as home, database_server.lend(template_database) as east:
        urls = {HOME: home, EAST: east}
        app, relay = open_clusters(urls, "app"), open_clusters(urls, "relay")
        yield Site({name: ClusterUrls(*one) for name, one in urls.items()}, app, relay)
        await app.close()
        await relay.close()


def test_every_table_of_tenants_is_copied(database_urls: DatabaseUrls) -> None:
    """What the migrated database has counts here, and not what the code declares."""
    with psycopg.connect(database_urls.owner) as connection:
        assert sorted([table.name for table in list_copied_tables()] + DIRECTORIES) == tables(connection)
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND is_generated = 'NEVER' AND table_name = ANY (%s)",
            [[table.name for table in list_copied_tables()]],
        )
        assert sorted(columns) == sorted((table.name, name) for table in list_copied_tables() for name in table.columns)


async def test_a_copy_has_every_row_of_the_tenant_and_no_other(
    database_server: DatabaseServer, template_database: str, database_urls: DatabaseUrls, ours: Neighbour
) -> None:
    tenant_id = ours.salon.tenant_id
    with database_server.lend(template_database) as urls:
        async with connect_owner(database_urls.owner) as source, connect_owner(urls.owner) as target:
            with pytest.raises(TenantOpen):
                await copy_tenant(target, source, tenant_id)
            copied = await copy_tenant(source, target, tenant_id)
            assert await find_differing_tables(source, target, tenant_id) == []
            assert await read_state(target, tenant_id) == ARRIVING
            assert await copy_tenant(source, target, tenant_id) == copied
            async with enter_tenant(target, tenant_id):
                filled = [table.name for table in list_copied_tables() if await has_rows(target, table.name)]
                await target.execute("UPDATE tenants SET name = 'Another'")
            assert filled == [table.name for table in list_copied_tables()]
            assert await find_differing_tables(source, target, tenant_id) == ["tenants"]
            assert await delete_copy(target, tenant_id, MOVED) is None
            assert await delete_copy(target, tenant_id, ARRIVING) == copied - 1
            assert await read_state(target, tenant_id) == MOVED


async def test_a_moved_tenant_has_the_same_events_and_lives_in_one_cluster(site: Site) -> None:
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)
    steps: list[MoveStep] = []
    await move_tenant(site.urls, Move(salon.tenant_id, EAST), steps.append)
    assert steps == list(MoveStep)
    assert await site.states(salon.tenant_id) == [MOVED, SUSPENDED]
    events = await site.tell_events(salon.tenant_id)
    assert [position for position, _id in events] == list(range(1, len(events) + 1))
    await resume_tenant(site.platform, salon.tenant_id)
    await give(World(site.app), salon, 3, "third")
    await site.check(salon.tenant_id)
    (listed,) = await list_tenants_of_platform(site.platform, TenantFilter(ids=[salon.tenant_id]), 10)
    assert (listed.cluster, listed.state) == (EAST, "ACTIVE")
    assert (await last_positions(site.app, [salon.tenant_id]))[salon.tenant_id] == len(events)
    moved = [one for one in await list_actions(site.platform, 10) if one.action == "TENANT_MOVED"]
    assert [one.changes for one in moved] == [[["cluster", None, EAST]]]


@pytest.mark.parametrize("stopped_at", list(MoveStep), ids=[step.name for step in MoveStep])
async def test_a_move_that_stopped_is_ended_by_the_same_call(site: Site, stopped_at: MoveStep) -> None:
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)

    await stop_move(site.urls, Move(salon.tenant_id, EAST), stopped_at)
    assert await site.count_open(salon.tenant_id) <= 1
    await move_tenant(site.urls, Move(salon.tenant_id, EAST))
    await move_tenant(site.urls, Move(salon.tenant_id, EAST))
    assert await site.states(salon.tenant_id) == [MOVED, SUSPENDED]
    events = await site.tell_events(salon.tenant_id)
    assert [position for position, _id in events] == list(range(1, len(events) + 1))
    assert len([one for one in await list_actions(site.platform, 10) if one.action == "TENANT_MOVED"]) == 1


@pytest.mark.parametrize("stopped_at", list(MoveStep), ids=[step.name for step in MoveStep])
async def test_a_move_is_given_up_until_the_directory_names_the_new_cluster(site: Site, stopped_at: MoveStep) -> None:
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)
    move = Move(salon.tenant_id, EAST)
    await stop_move(site.urls, move, stopped_at)
    if stopped_at is MoveStep.OPEN:
        with pytest.raises(InvalidInput, match="has arrived"):
            await give_move_up(site.urls, move)
        return
    await give_move_up(site.urls, move)
    home, east = await site.states(salon.tenant_id)
    assert (home, east in (None, MOVED)) == (SUSPENDED, True)
    await resume_tenant(site.platform, salon.tenant_id)
    await give(World(site.app), salon, 3, "third")
    await suspend_tenant(site.platform, salon.tenant_id)
    await move_tenant(site.urls, move)
    assert await site.states(salon.tenant_id) == [MOVED, SUSPENDED]
    await site.check(salon.tenant_id)


async def test_a_move_that_lost_its_source_does_not_switch_to_a_deleted_copy(site: Site) -> None:
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)
    move = Move(salon.tenant_id, EAST)

    def lose_source(step: MoveStep) -> None:
        if step is MoveStep.SWITCH:
            with psycopg.connect(site.urls[HOME].owner, autocommit=True) as other:
                lost = other.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_database d ON d.oid = database "
                    "WHERE locktype = 'advisory' AND classid = %s AND d.datname = current_database()",
                    [MOVE_LOCKS],
                )
                assert lost.fetchall() == [(True,)]

    with pytest.raises(psycopg.OperationalError):
        await move_tenant(site.urls, move, lose_source)
    await give_move_up(site.urls, move)
    assert await site.states(salon.tenant_id) == [SUSPENDED, MOVED]
    await site.check(salon.tenant_id)


async def test_a_stopped_move_goes_on_to_its_own_cluster_and_not_to_an_older_copy(
    site: Site, database_server: DatabaseServer, template_database: str
) -> None:
    salon = await site.settle()
    with database_server.lend(template_database) as west:
        clusters = {**site.urls, "west": ClusterUrls(*west)}
        await suspend_tenant(site.platform, salon.tenant_id)
        await stop_move(clusters, Move(salon.tenant_id, "west"), MoveStep.PROVE)
        await resume_tenant(site.platform, salon.tenant_id)
        await give(World(site.app), salon, 3, "third")
        await suspend_tenant(site.platform, salon.tenant_id)
        await stop_move(clusters, Move(salon.tenant_id, EAST), MoveStep.SWITCH)
        with pytest.raises(InvalidInput, match="differs"):
            await move_tenant(clusters, Move(salon.tenant_id, "west"))
        await move_tenant(clusters, Move(salon.tenant_id, EAST))
        assert await site.states(salon.tenant_id) == [MOVED, SUSPENDED]
        await site.check(salon.tenant_id)


async def test_a_tenant_moves_back_over_the_copy_that_it_left(site: Site) -> None:
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)
    for cluster in (EAST, HOME, EAST):
        await move_tenant(site.urls, Move(salon.tenant_id, cluster))
    assert await site.states(salon.tenant_id) == [MOVED, SUSPENDED]
    with pytest.raises(InvalidInput, match="lives"):
        await delete_old_copy(site.urls, Move(salon.tenant_id, EAST))
    assert await delete_old_copy(site.urls, Move(salon.tenant_id, HOME)) > 0
    assert await delete_old_copy(site.urls, Move(salon.tenant_id, HOME)) == 0
    assert await site.states(salon.tenant_id) == [MOVED, SUSPENDED]
    await site.check(salon.tenant_id)


async def test_what_cannot_be_moved_is_refused_and_stays(site: Site) -> None:
    salon = await site.settle()
    with pytest.raises(InvalidInput, match="SUSPENDED"):
        await move_tenant(site.urls, Move(salon.tenant_id, EAST))
    with pytest.raises(InvalidInput, match="home, east"):
        await move_tenant(site.urls, Move(salon.tenant_id, "west"))
    with pytest.raises(NotFound):
        await move_tenant(site.urls, Move(TenantId(uuid4()), EAST))
    with pytest.raises(NotFound):
        await delete_old_copy(site.urls, Move(salon.tenant_id, EAST))
    assert await site.states(salon.tenant_id) == ["ACTIVE", None]


@pytest.mark.parametrize("cluster", [HOME, EAST])
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE customers ADD COLUMN newer text",
        "ALTER TABLE customers DROP COLUMN locale",
        "CREATE TABLE newer (tenant_id uuid)",
    ],
    ids=["column", "no column", "table"],
)
async def test_tables_of_another_release_are_not_copied(site: Site, cluster: str, change: LiteralString) -> None:
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)
    async with connect_owner(site.urls[cluster].owner) as owner:
        await owner.execute(change)
    with pytest.raises(MoveFailed, match=f"the tables of {cluster} are not those of this release"):
        await move_tenant(site.urls, Move(salon.tenant_id, EAST))
    assert await site.states(salon.tenant_id) == [SUSPENDED, None]


async def test_a_move_waits_for_a_transaction_and_gives_way_to_a_long_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenancy.moving.STOP_WAIT_MS", 50)
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)
    async with site.app.tenant_transaction(salon.tenant_id) as tx:
        await read_events(tx, after=0, limit=1)
        with pytest.raises(TenantBusy):
            await move_tenant(site.urls, Move(salon.tenant_id, EAST))
    assert await site.states(salon.tenant_id) == [SUSPENDED, None]
    async with connect_owner(site.urls[HOME].owner) as owner, stop_writing(owner, salon.tenant_id):
        with pytest.raises(TenantElsewhere):
            await resume_tenant(site.platform, salon.tenant_id)
        with pytest.raises(TenantBusy):
            await move_tenant(site.urls, Move(salon.tenant_id, EAST))
    await move_tenant(site.urls, Move(salon.tenant_id, EAST))


async def test_the_place_that_a_tenant_has_left_refuses_it(site: Site) -> None:
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)
    await move_tenant(site.urls, Move(salon.tenant_id, EAST))
    old = site.app.clusters[HOME]
    with pytest.raises(TenantElsewhere):
        async with old.tenant_transaction(salon.tenant_id) as tx:
            await read_events(tx, after=0, limit=1)
    with pytest.raises(TenantElsewhere):
        await read_events(old.reading(salon.tenant_id), after=0, limit=1)


async def test_a_copy_that_differs_is_not_opened(site: Site) -> None:
    salon = await site.settle()
    await suspend_tenant(site.platform, salon.tenant_id)
    async with connect_owner(site.urls[HOME].owner) as owner, enter_tenant(owner, salon.tenant_id):
        await owner.execute("UPDATE accounts SET available = available + 1")
    with pytest.raises(MoveFailed):
        await move_tenant(site.urls, Move(salon.tenant_id, EAST))
    assert await site.states(salon.tenant_id) == [SUSPENDED, ARRIVING]
    await give_move_up(site.urls, Move(salon.tenant_id, EAST))
    assert await site.states(salon.tenant_id) == [SUSPENDED, MOVED]
