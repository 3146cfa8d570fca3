"""Several clusters behind one process: which of them a tenant's statements go to, and what an old place refuses.

A cluster is a database of its own here: two databases of one server know nothing of each other, as two servers do.
"""

import hashlib
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import uuid4

import pytest
from sqlalchemy import text

from loyalty.log.reading import last_positions
from loyalty.rules.absent import ABSENT
from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import TenantId
from loyalty.rules.platform import OPERATOR
from loyalty.services.api_token import ApiTokenRequest, create_api_token
from loyalty.services.authentication import actor_of_token
from loyalty.services.client_secret import open_client_secret
from loyalty.services.oidc_issuer import OidcIssuerRequest, RoleValue, find_oidc_issuer, set_oidc_issuer
from loyalty.services.platform import count_tenants_of_platform, list_tenants_of_platform
from loyalty.services.platform_log import count_actions, list_actions
from loyalty.services.tenant import TenantRequest, create_tenants, provision_tenant, suspend_tenant
from loyalty.services.world import World
from loyalty.storage.oidc_issuers import hash_of_pair
from permissions.catalog import Permission
from permissions.roles import TeamRole
from runtime.roles import DatabaseUrls
from tenancy.clusters import Clusters, UnknownCluster
from tenancy.database import HOME, Database
from tenancy.elsewhere import TenantElsewhere
from tenancy.outage import is_away, is_passing
from tenancy.provisioning import TenantFilter, list_tenants
from tenancy.tables import ARRIVING, MOVED
from tests.fixtures.database import DatabaseServer
from tests.fixtures.live import happen
from tests.fixtures.statements import note_requests
from tests.fixtures.tenants import CODE_KEYS, Salon, salon_of
from tests.loyalty.services.builders import known_customer, position_all_events
from worker.relay import relay_batch
from worker.sweeping import SweepNews, sweep_round

EAST = "east"
READ = text("SELECT name FROM tenants WHERE tenant_id = :current_tenant")


class Installation(NamedTuple):
    """Two clusters, as servers reach them, and as the platform does."""

    urls: dict[str, DatabaseUrls]
    world: World
    platform: World

    @property
    def clusters(self) -> Clusters:
        """The servers' view."""
        assert isinstance(self.world.database, Clusters)
        return self.world.database

    async def settle(self, cluster: str) -> Salon:
        """Create a salon in a cluster."""
        tenant = await provision_tenant(
            self.platform, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE", cluster=cluster
        )
        return salon_of(tenant)

    async def set_state(self, cluster: str, tenant_id: TenantId, state: str) -> None:
        """Give the tenant's row in a cluster another state, as a move does."""
        owner = Database(self.urls[cluster].owner, pool_size=1)
        async with owner.tenant_transaction(tenant_id) as tx:
            await tx.run(text(f"UPDATE tenants SET state = '{state}' WHERE tenant_id = :current_tenant"))
        await owner.close()


def open_clusters(urls: dict[str, DatabaseUrls], role: str, read_connections: int = 3) -> Clusters:
    """Return the clusters as a role sees them."""
    clusters = {
        name: Database(getattr(one, role), pool_size=4, read_connections=read_connections, fenced=True)
        for name, one in urls.items()
    }
    return Clusters(clusters.pop(HOME), clusters)


@pytest.fixture(params=[3, 0], ids=["multiplexer", "pool"])
async def installation(
    request: pytest.FixtureRequest, database_server: DatabaseServer, template_database: str
) -> AsyncIterator[Installation]:
    """Provide two clusters without tenants."""
    with database_server.lend(template_database) as home, database_server.lend(template_database) as east:
        urls = {HOME: home, EAST: east}
        app, relay = open_clusters(urls, "app", request.param), open_clusters(urls, "relay")
        yield Installation(urls, World(app, codes=CODE_KEYS), World(relay))
        await app.close()
        await relay.close()


async def read_name(database: Database, tenant_id: TenantId) -> str | None:
    """Return the name of a tenant, read inside of it."""
    row = await database.reading(tenant_id).row(READ)
    return None if row is None else str(row.name)


async def test_a_tenants_statements_go_to_its_cluster(installation: Installation) -> None:
    here, there = await installation.settle(HOME), await installation.settle(EAST)
    for salon, cluster in ((here, HOME), (there, EAST)):
        await known_customer(installation.world, salon)
        assert await installation.clusters.place_of(salon.tenant_id) == cluster
        for name, database in installation.clusters.clusters.items():
            assert (await read_name(database, salon.tenant_id) == "Salon") is (name == cluster)


async def test_tenants_of_before_live_in_the_home_cluster(installation: Installation) -> None:
    alone = Database(installation.urls[HOME].relay, pool_size=1)
    tenant = await provision_tenant(
        World(alone), name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE"
    )
    await alone.close()
    assert await installation.clusters.place_of(tenant.tenant_id) == HOME
    assert await read_name(installation.clusters, tenant.tenant_id) == "Salon"


async def test_who_is_unknown_is_in_no_cluster(installation: Installation) -> None:
    assert await read_name(installation.clusters, TenantId(uuid4())) is None


@pytest.mark.parametrize("state", [MOVED, ARRIVING])
async def test_a_cluster_that_is_not_the_tenants_reads_and_writes_nothing(
    installation: Installation, state: str
) -> None:
    salon = await installation.settle(EAST)
    customer_id = await known_customer(installation.world, salon)
    await installation.set_state(EAST, salon.tenant_id, state)
    with pytest.raises(TenantElsewhere) as refused:
        await read_name(installation.clusters, salon.tenant_id)
    assert is_passing(refused.value)
    assert not is_away(refused.value)
    with pytest.raises(TenantElsewhere):
        await happen(installation.world, salon, customer_id, [1])
    with pytest.raises(TenantElsewhere):
        async with installation.clusters.tenant_transaction(salon.tenant_id, snapshot=True) as tx:
            await tx.rows(READ)
    await installation.set_state(EAST, salon.tenant_id, "ACTIVE")
    assert await read_name(installation.clusters, salon.tenant_id) == "Salon"


async def test_a_transaction_waits_for_no_move_and_a_move_for_every_transaction(installation: Installation) -> None:
    salon = await installation.settle(EAST)
    owner = Database(installation.urls[EAST].owner, pool_size=1)
    lock = text("SELECT pg_try_advisory_xact_lock(1414677842, hashtext(CAST(:tenant AS text))) AS alone")
    async with installation.clusters.tenant_transaction(salon.tenant_id) as tx:
        await tx.rows(READ)
        async with owner.plain_transaction() as connection:
            assert not (await connection.execute(lock, {"tenant": str(salon.tenant_id)})).scalar_one()
    async with owner.plain_transaction() as connection:
        assert (await connection.execute(lock, {"tenant": str(salon.tenant_id)})).scalar_one()
        with pytest.raises(TenantElsewhere):
            async with installation.clusters.tenant_transaction(salon.tenant_id) as tx:
                await tx.rows(READ)
        assert await read_name(installation.clusters, salon.tenant_id) == "Salon"
    await owner.close()


async def test_an_old_place_is_forgotten_and_a_read_goes_on_in_the_new_one(installation: Installation) -> None:
    salon = await installation.settle(EAST)
    other = open_clusters(installation.urls, "app")
    assert await read_name(other, salon.tenant_id) == "Salon"
    # The rows of the home cluster are another tenant's of the same id, so that it shows where a read went.
    owner = Database(installation.urls[HOME].owner, pool_size=1)
    async with owner.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(text("DELETE FROM tenant_directory WHERE tenant_id = :current_tenant"))
        await tx.run(
            text(
                "INSERT INTO tenants (tenant_id, name, currency, time_zone, locale, state, created_at, sandbox, "
                "clock_advance_seconds, allowed_origins, loyalty_entitled, features, document_rule, documents_version) "
                "VALUES (:current_tenant, 'Moved', 'EUR', 'UTC', 'en', 'ACTIVE', now(), false, 0, '[]', true, '[]', "
                "'ANY', 0)"
            )
        )
    await owner.close()
    assert await read_name(other, salon.tenant_id) == "Salon"
    await installation.set_state(EAST, salon.tenant_id, MOVED)
    assert await read_name(other, salon.tenant_id) == "Moved"
    assert await other.place_of(salon.tenant_id) == HOME
    await other.close()


async def test_the_fence_costs_no_round_trip(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    salon = await installation.settle(EAST)
    await read_name(installation.clusters, salon.tenant_id)
    sent: list[str] = []
    with note_requests(monkeypatch, sent):
        await read_name(installation.clusters, salon.tenant_id)
        async with installation.clusters.tenant_transaction(salon.tenant_id) as tx:
            await tx.rows(READ)
            await tx.rows(READ)
    assert len(sent) == 3


async def test_a_token_leads_to_its_tenant_in_any_cluster(installation: Installation) -> None:
    for cluster in (HOME, EAST):
        salon = await installation.settle(cluster)
        sha256 = hashlib.sha256(salon.tenant_id.bytes).hexdigest()
        wanted = ApiTokenRequest("Till", frozenset({Permission.PURCHASES_RECORD}))
        await create_api_token(installation.world, salon.owner, wanted, sha256)
        actor = await actor_of_token(installation.world, sha256)
        assert actor is not None
        assert actor.tenant_id == salon.tenant_id
    assert await actor_of_token(installation.world, "0" * 64) is None


async def test_a_provider_belongs_to_one_tenant_of_all_clusters(installation: Installation) -> None:
    request = OidcIssuerRequest(
        "https://id.example", "treue", "roles", [RoleValue("owner", TeamRole.OWNER), RoleValue("staff", TeamRole.STAFF)]
    )
    for first, second in ((HOME, EAST), (EAST, HOME), (EAST, EAST)):
        has_it, comes_late = await installation.settle(first), await installation.settle(second)
        asked = request._replace(audience=f"treue-{first}-{second}")
        row = await set_oidc_issuer(installation.world, has_it.owner, asked)
        with pytest.raises(InvalidInput):
            await set_oidc_issuer(installation.world, comes_late.owner, asked)
        again = await set_oidc_issuer(installation.world, has_it.owner, asked)
        assert again.id == row.id
        found = await find_oidc_issuer(installation.world, asked.issuer, asked.audience)
        assert found is not None
        assert (found.tenant_id, found.row.id) == (has_it.tenant_id, row.id)


async def test_the_application_of_a_sign_in_belongs_to_one_tenant_of_all_clusters(installation: Installation) -> None:
    roles = [RoleValue("owner", TeamRole.OWNER)]
    for first, second in ((HOME, EAST), (EAST, HOME), (EAST, EAST)):
        has_it, comes_late = await installation.settle(first), await installation.settle(second)
        name = f"{first}-{second}"
        asked = OidcIssuerRequest("https://id.example", f"api-{name}", "roles", roles, f"web-{name}", "a secret")
        row = await set_oidc_issuer(installation.world, has_it.owner, asked)
        assert open_client_secret(installation.world, has_it.tenant_id, row) == "a secret"
        for wrong in (
            asked._replace(audience=f"other-{name}"),
            asked._replace(audience=f"web-{name}", client_id=None, client_secret=ABSENT),
        ):
            with pytest.raises(InvalidInput, match="another tenant"):
                await set_oidc_issuer(installation.world, comes_late.owner, wrong)
        found = await find_oidc_issuer(installation.world, asked.issuer, f"web-{name}")
        assert found is not None
        assert (found.tenant_id, found.row.id) == (has_it.tenant_id, row.id)


async def test_an_application_that_a_refused_call_has_claimed_leads_to_no_other_provider(
    installation: Installation,
) -> None:
    salon = await installation.settle(EAST)
    roles = [RoleValue("owner", TeamRole.OWNER)]
    asked = OidcIssuerRequest("https://id.example", "api", "roles", roles)
    row = await set_oidc_issuer(installation.world, salon.owner, asked)
    pair = hash_of_pair(asked.issuer, "web")
    assert await installation.clusters.claim(salon.tenant_id, pair, row.id) == row.id  # and there the call stopped
    with pytest.raises(InvalidInput, match="another provider of yours"):
        await set_oidc_issuer(installation.world, salon.owner, asked._replace(audience="web"))
    again = await set_oidc_issuer(installation.world, salon.owner, asked._replace(client_id="web", client_secret=None))
    assert (again.id, again.client_id) == (row.id, "web")


async def test_the_platform_sees_the_tenants_of_all_clusters_once(installation: Installation) -> None:
    salons = [await installation.settle(cluster) for cluster in (HOME, EAST, EAST, HOME)]
    ids = [salon.tenant_id for salon in salons]
    platform, everybody = installation.platform, TenantFilter()
    assert [one.tenant_id for one in await list_tenants(platform.database)] == ids
    listed = await list_tenants_of_platform(platform, everybody, 10)
    assert [(one.tenant_id, one.cluster) for one in listed] == list(zip(ids, [HOME, EAST, EAST, HOME], strict=True))
    page = await list_tenants_of_platform(platform, everybody, 2, ids[0])
    assert [one.tenant_id for one in page] == ids[1:3]
    assert await count_tenants_of_platform(platform, everybody) == 4
    await suspend_tenant(platform, ids[1])
    assert [one.state for one in await list_tenants_of_platform(platform, TenantFilter(ids=[ids[1]]), 1)] == [
        "SUSPENDED"
    ]
    actions = await list_actions(platform, 10)
    assert [one.tenant_id for one in actions] == [ids[1], *reversed(ids)]
    assert await count_actions(platform) == 5
    await installation.set_state(EAST, ids[2], MOVED)
    assert await count_tenants_of_platform(platform, everybody) == 3


async def test_a_new_tenant_gets_the_cluster_with_the_fewest_tenants(installation: Installation) -> None:
    requests = [TenantRequest(f"Salon {number}", "EUR", "Europe/Berlin", "de-DE") for number in range(4)]
    for request in requests:
        (made,) = await create_tenants(installation.platform, OPERATOR, [request])
        assert not isinstance(made, Exception)
    listed = await list_tenants(installation.platform.database)
    assert sorted(one.cluster for one in listed) == [EAST, EAST, HOME, HOME]
    with pytest.raises(InvalidInput, match="cluster"):
        await installation.settle("west")


async def test_an_external_id_makes_one_tenant_whichever_cluster(installation: Installation) -> None:
    await installation.settle(HOME)
    request = TenantRequest("Salon", "EUR", "Europe/Berlin", "de-DE", external_id="business-1")
    (made,) = await create_tenants(installation.platform, OPERATOR, [request])
    (again,) = await create_tenants(installation.platform, OPERATOR, [request])
    assert not isinstance(made, Exception)
    assert not isinstance(again, Exception)
    assert made.tenant.cluster == EAST
    assert (again.tenant, again.replayed) == (made.tenant, True)
    found = await list_tenants_of_platform(installation.platform, TenantFilter(external_ids=["business-1"]), 10)
    assert [one.tenant_id for one in found] == [made.tenant.tenant_id]


async def test_a_creation_that_stopped_half_way_is_ended_by_its_retry(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await installation.settle(HOME)
    request = TenantRequest("Salon", "EUR", "Europe/Berlin", "de-DE", external_id="business-1")

    async def stop(*_values: object) -> None:
        raise ConnectionError("the process stops here")

    with monkeypatch.context() as patched:
        patched.setattr("loyalty.services.tenant.insert_tenant", stop)
        with pytest.raises(ConnectionError):
            await create_tenants(installation.platform, OPERATOR, [request])
    assert len(await list_tenants(installation.platform.database)) == 1
    (made,) = await create_tenants(installation.platform, OPERATOR, [request])
    assert not isinstance(made, Exception)
    assert [one.cluster for one in await list_tenants(installation.platform.database)] == [HOME, EAST]
    assert await installation.clusters.place_of(made.tenant.tenant_id) == EAST


async def test_followed_logs_are_asked_where_they_are(installation: Installation) -> None:
    salons = [await installation.settle(cluster) for cluster in (HOME, EAST)]
    for salon in salons:
        await happen(installation.world, salon, await known_customer(installation.world, salon), [1, 2])
    for cluster in installation.platform.database.clusters.values():
        await position_all_events(cluster)
    ids = [salon.tenant_id for salon in salons]
    reached = await last_positions(installation.clusters, ids)
    assert set(reached) == set(ids)
    assert all(reached.values())


async def test_a_worker_leaves_alone_who_is_elsewhere(installation: Installation) -> None:
    salon = await installation.settle(EAST)
    await known_customer(installation.world, salon)
    await installation.set_state(EAST, salon.tenant_id, MOVED)
    cluster = installation.clusters.clusters[EAST]
    relay = installation.platform.database.clusters[EAST]
    assert await sweep_round(World(cluster), relay, SweepNews()) == 0
    await relay_batch(relay)


async def test_a_cluster_that_the_settings_do_not_know_is_named(installation: Installation) -> None:
    salon = await installation.settle(EAST)
    home = Database(installation.urls[HOME].app, pool_size=1, fenced=True)
    less = Clusters(home, {})
    with pytest.raises(UnknownCluster, match="east"):
        await read_name(less, salon.tenant_id)
    await less.close()
