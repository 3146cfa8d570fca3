"""One server and one worker on two PostgreSQL servers: both serve, and one that is away harms its own tenants alone."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import NamedTuple

import orjson
import pytest

from loyalty.rules.ids import TenantId
from loyalty.services.tenant_move import MoveStep
from runtime.postgres import EmbeddedPostgres
from runtime.roles import DatabaseUrls
from tenancy.clusters import Clusters
from tenancy.database import HOME, Database
from tests.acceptance.business import Business, open_business
from tests.acceptance.client import GENEROUS_SECONDS, ONE_PER_EURO, create_rule, newest_cursor
from tests.acceptance.test_outages import hear, read_on, report, report_until_heard
from tests.fixtures.database import DatabaseServer, server_of_its_own
from tests.fixtures.server import Installation, installation_on

EAST = "east"
REST_SECONDS = 0.2
"""Between two purchases of a client that goes on and on."""


class Site(NamedTuple):
    """An installation on two PostgreSQL servers, of which the test may restart the second."""

    installation: Installation
    urls: dict[str, DatabaseUrls]
    east: EmbeddedPostgres


def tell_clusters(east: DatabaseUrls) -> str:
    """Return the value of TREUE_CLUSTERS."""
    return orjson.dumps({EAST: {"app_url": east.app, "relay_url": east.relay, "owner_url": east.owner}}).decode()


@pytest.fixture(scope="module")
def two_servers(
    database_server: DatabaseServer, template_database: str
) -> Iterator[tuple[dict[str, DatabaseUrls], EmbeddedPostgres]]:
    """Provide a database on the server of the tests, and one on a server of its own."""
    with database_server.lend(template_database) as home, server_of_its_own("treue_east") as (postgres, east):
        yield {HOME: home, EAST: east}, postgres


@pytest.fixture(scope="module")
async def site(two_servers: tuple[dict[str, DatabaseUrls], EmbeddedPostgres]) -> AsyncIterator[Site]:
    """Provide a server and a worker that know both."""
    urls, postgres = two_servers
    with installation_on(urls[HOME], {"TREUE_CLUSTERS": tell_clusters(urls[EAST])}) as installation:
        server = installation.serve()
        installation.work()
        await server.ready()
        yield Site(installation, urls, postgres)


@pytest.fixture
async def shops(site: Site) -> AsyncIterator[dict[str, Business]]:
    """Provide a business in each cluster; both give a point per euro."""
    owners = {name: Database(urls.owner, pool_size=1, fenced=True) for name, urls in site.urls.items()}
    owner = Clusters(owners.pop(HOME), owners)
    apps = {name: Database(urls.app, pool_size=1, fenced=True) for name, urls in site.urls.items()}
    app = Clusters(apps.pop(HOME), apps)
    opened: dict[str, Business] = {}
    for cluster in (HOME, EAST):
        opened[cluster] = await open_business(site.installation, owner, app, cluster=cluster)
        await create_rule(opened[cluster].manager, "A point per euro", ONE_PER_EURO)
    await owner.close()
    yield opened
    for business in opened.values():
        await business.check_ledger()
    await app.close()


async def run_treue(site: Site, *words: str) -> str:
    """Run a command on the installation, which must not fail; what it said."""
    process = await start_treue(site, *words)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def start_treue(site: Site, *words: str) -> asyncio.subprocess.Process:
    """Start a command on the installation."""
    environment = site.installation.environment_with(None)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", *words, env=environment, stdout=PIPE, stderr=STDOUT
    )


async def kill_move_at(step: MoveStep, site: Site, tenant_id: TenantId) -> None:
    """Begin a move to the other cluster, or go on with it, and kill the process when it says that it does a step."""
    process = await start_treue(site, "tenant", "move", str(tenant_id), EAST)
    assert process.stdout is not None
    async for line in process.stdout:
        if line.decode().startswith(step.value):
            process.kill()
    assert await process.wait() in (0, -signal.SIGKILL)


async def test_each_business_is_served_and_told_of_its_own_events(shops: dict[str, Business]) -> None:
    for number, shop in enumerate(shops.values()):
        after = await newest_cursor(shop.owner)
        async with aclosing(read_on(shop.staff, after)) as events:
            await report(shop, 1, 3 + number)
            await hear(events, 1, 3 + number)


async def test_a_cluster_that_is_away_harms_its_own_tenants_alone(shops: dict[str, Business], site: Site) -> None:
    (server,) = site.installation.servers
    near, far = shops[HOME], shops[EAST]
    after = await newest_cursor(far.owner), await newest_cursor(near.owner)
    async with aclosing(read_on(far.staff, after[0])) as distant, aclosing(read_on(near.staff, after[1])) as close:
        await report(far, 1, 2)
        await hear(distant, 1, 2)
        site.east.stop()
        answer = await far.staff.answer("{ viewer { kind } }")
        assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        await report(near, 1, 5)
        await hear(close, 1, 5)
        await server.ready()
        site.east.start()
        await report(far, 3, 6)
        await hear(distant, 3, 6)


async def report_until(stop: asyncio.Event, shop: Business) -> int:
    """Report one purchase after the other, each until it was taken; returns how many there were.

    A purchase has no time limit here: it waits for as long as the move takes.
    """
    number = 0
    while not stop.is_set():
        number += 1
        await report_until_heard(shop.integration, number, seconds=None)
        await asyncio.sleep(REST_SECONDS)
    return number


async def test_a_tenant_moves_while_its_clients_go_on_and_the_move_is_killed_at_each_step(
    shops: dict[str, Business], site: Site
) -> None:
    shop = shops[HOME]
    tenant_id = str(shop.tenant_id)
    after = await newest_cursor(shop.owner)
    stop = asyncio.Event()
    reporting = asyncio.create_task(report_until(stop, shop))
    async with aclosing(read_on(shop.staff, after)) as events:
        await hear(events, 1, 3)
        await run_treue(site, "tenant", "suspend", tenant_id)
        for step in MoveStep:
            await kill_move_at(step, site, shop.tenant_id)
        await run_treue(site, "tenant", "move", tenant_id, EAST)
        await run_treue(site, "tenant", "resume", tenant_id)
        stop.set()
        async with asyncio.timeout(GENEROUS_SECONDS):
            reported = await reporting
        await report(shop, reported + 1, reported + 2)
        await hear(events, 4, reported + 2)
    async with aclosing(read_on(shop.staff, after)) as again:
        await hear(again, 1, reported + 2)
    assert "adds up" in await run_treue(site, "verify", "--tenant", tenant_id)
    assert "are deleted in home" in await run_treue(site, "tenant", "forget", tenant_id, HOME)
