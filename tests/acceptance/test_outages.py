"""Processes that are killed and a database that restarts: afterwards every event has come once, in order.

These tests have a PostgreSQL and processes of their own, one after the other on the same.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import NamedTuple

import pytest
from gql.transport.exceptions import TransportError

from runtime.postgres import EmbeddedPostgres
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.acceptance.business import Business, open_business
from tests.acceptance.client import (
    GENEROUS_SECONDS,
    ONE_PER_EURO,
    POINTS_CHANGED,
    Caller,
    Json,
    StillUnavailableError,
    StreamEnded,
    create_rule,
    newest_cursor,
    record,
)
from tests.fixtures.database import server_of_its_own
from tests.fixtures.server import Installation, installation_on

AWAY = (TransportError, OSError, StreamEnded, StillUnavailableError)
"""What a client meets while the other side is away."""


class Site(NamedTuple):
    """A PostgreSQL with an installation on it."""

    postgres: EmbeddedPostgres
    installation: Installation


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[tuple[EmbeddedPostgres, DatabaseUrls]]:
    """Provide a server that may be restarted, with a migrated database."""
    with server_of_its_own("treue_outages") as own:
        yield own


@pytest.fixture(scope="module")
async def site(own_postgres: tuple[EmbeddedPostgres, DatabaseUrls]) -> AsyncIterator[Site]:
    """Provide one server and one worker, which may be killed."""
    postgres, urls = own_postgres
    with installation_on(urls) as installation:
        server = installation.serve()
        installation.work()
        await server.ready()
        yield Site(postgres, installation)


@pytest.fixture
async def shop(site: Site) -> AsyncIterator[Business]:
    """Provide a business that gives a point per euro."""
    urls = site.installation.urls
    owner, app = Database(urls.owner, pool_size=1), Database(urls.app, pool_size=1)
    business = await open_business(site.installation, owner, app)
    await create_rule(business.manager, "A point per euro", ONE_PER_EURO)
    await owner.close()
    yield business
    await business.check_ledger()
    await app.close()


async def read_on(caller: Caller, cursor: str) -> AsyncGenerator[Json, None]:
    """Read events as a client should: after whatever happens it goes on from the last cursor it has seen."""
    while True:
        try:
            async with caller.follow(POINTS_CHANGED, after=cursor) as stream:
                while True:
                    event = await stream.next()
                    cursor = event["cursor"]
                    yield event
        except AWAY:
            await asyncio.sleep(0.05)


async def report_until_heard(caller: Caller, number: int, seconds: float | None = GENEROUS_SECONDS) -> None:
    """Report a purchase as a booking system should: again and again until somebody has taken it.

    It fails after ``seconds``; None is no limit.
    """
    async with asyncio.timeout(seconds):
        while True:
            try:
                await record(caller, f"order-{number}", f"{number}.00")
            except AWAY:
                await asyncio.sleep(0.05)
            else:
                return


async def hear(events: AsyncGenerator[Json, None], first: int, last: int) -> None:
    """Check that the next events are the purchases from the first to the last number, each once and in order."""
    async with asyncio.timeout(GENEROUS_SECONDS):
        heard = [(await anext(events))["entry"]["points"] for _ in range(first, last + 1)]
    assert heard == list(range(first, last + 1))


async def report(shop: Business, first: int, last: int) -> None:
    """Report purchases one after the other."""
    for number in range(first, last + 1):
        await report_until_heard(shop.integration, number)


async def test_a_killed_server_loses_nobodys_place(shop: Business, site: Site) -> None:
    """F-34: SIGKILL while a subscription is open and a purchase is under way; after the restart nothing is missing."""
    (server,) = site.installation.servers
    after = await newest_cursor(shop.owner)
    async with aclosing(read_on(shop.staff, after)) as events:
        await report(shop, 1, 3)
        await hear(events, 1, 2)
        under_way = asyncio.create_task(report(shop, 4, 8))
        server.kill()
        server.start()
        await under_way
        await hear(events, 3, 8)
    await report(shop, 1, 8)
    async with aclosing(read_on(shop.staff, after)) as again:
        await hear(again, 1, 8)


async def test_a_killed_worker_delays_events_and_loses_none(shop: Business, site: Site) -> None:
    """F-34: what is booked while nobody relays is told when somebody does, once and in order."""
    (worker,) = site.installation.workers
    after = await newest_cursor(shop.owner)
    async with aclosing(read_on(shop.staff, after)) as events:
        await report(shop, 1, 2)
        await hear(events, 1, 1)
        worker.kill()
        await report(shop, 3, 6)
        worker.start()
        await hear(events, 2, 6)
        worker.kill()
        worker.start()
        await report(shop, 7, 8)
        await hear(events, 7, 8)


async def test_a_database_that_restarts_ends_nothing_for_good(shop: Business, site: Site) -> None:
    """F-34: server and worker live through it; the client goes on by itself, without gap or repetition."""
    (server,) = site.installation.servers
    after = await newest_cursor(shop.owner)
    async with aclosing(read_on(shop.staff, after)) as events:
        await report(shop, 1, 3)
        await hear(events, 1, 2)
        under_way = asyncio.create_task(report(shop, 4, 6))
        await asyncio.to_thread(site.postgres.stop)
        answer = await shop.staff.answer("{ viewer { kind } }")
        assert answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        await asyncio.to_thread(site.postgres.start)
        await under_way
        await server.ready()
        await report(shop, 7, 8)
        await hear(events, 3, 8)
    async with aclosing(read_on(shop.staff, after)) as again:
        await hear(again, 1, 8)
