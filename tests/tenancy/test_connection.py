"""Readers that go away in the middle, and a database that does not answer: connections are neither lost nor stuck."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.connection import BoundedConnection, NoAnswer, connector
from tenancy.database import Database
from tenancy.outage import is_away
from tests.fixtures.live import until
from tests.fixtures.tenants import Salon

READERS = "treue-leaving-readers"
POOL_SIZE = 5
ONE = select(text("1"))
SLOW = select(text("pg_sleep(0.01)"))
FAIR_SECONDS = 2.0
"""A deadline that a slow machine keeps wherever nobody sleeps."""

_SESSIONS = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")


@pytest.fixture
async def database(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Provide a pool of its own, which has opened no connection yet."""
    database = Database(database_urls.app, pool_size=POOL_SIZE, name=READERS)
    yield database
    await database.close()


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Switch the collector off during the test: in production no full collection runs for minutes."""
    gc.disable()
    yield
    gc.enable()


async def count_sessions(world: World) -> int:
    async with world.database.engine.connect() as connection:
        return int((await connection.execute(_SESSIONS, {"name": READERS})).scalar_one())


async def read(database: Database, salon: Salon) -> None:
    async with database.tenant_transaction(salon.tenant_id) as tx:
        await tx.rows(SLOW)


@pytest.mark.usefixtures("without_collector")
async def test_readers_that_go_away_leave_no_connection_behind(database: Database, salon: Salon, world: World) -> None:
    """They leave while they wait for a connection, while one is opened for them, and in the middle of a statement."""
    dice = random.Random(7)  # noqa: S311 - moments, not secrets
    for _ in range(12):
        readers = [asyncio.create_task(read(database, salon)) for _ in range(3 * POOL_SIZE)]
        for reader in readers:
            await asyncio.sleep(dice.uniform(0, 0.004))
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        # A statement that was cut off closes its connection; the server needs a moment to see that.
        await until(lambda: is_at_most(world, POOL_SIZE))
    assert database.transactions.lent == 0
    await asyncio.gather(*(read(database, salon) for _ in range(2 * POOL_SIZE)))


async def is_at_most(world: World, count: int) -> bool:
    return await count_sessions(world) <= count


async def test_a_database_that_does_not_answer_in_time_is_away(database_urls: DatabaseUrls, salon: Salon) -> None:
    database = Database(database_urls.app, pool_size=1, answer_seconds=FAIR_SECONDS)
    with pytest.raises(OperationalError) as failed:
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.rows(select(text("pg_sleep(30)")))
    assert isinstance(failed.value.orig, NoAnswer)
    assert is_away(failed.value)
    async with database.tenant_transaction(salon.tenant_id) as tx:
        assert len(await tx.rows(ONE)) == 1
    await database.close()


async def test_the_deadline_is_for_one_exchange_not_for_the_connection(database_urls: DatabaseUrls) -> None:
    connect = connector(answer_seconds=FAIR_SECONDS)
    async with await connect(database_urls.app) as connection:
        assert isinstance(connection, BoundedConnection)
        for _ in range(3):
            await connection.execute(f"SELECT pg_sleep({FAIR_SECONDS / 2})")
        with pytest.raises(NoAnswer):
            await connection.execute("SELECT pg_sleep(30)")
        assert connection.closed


async def test_the_kernel_is_told_to_notice_a_network_that_is_gone(database_urls: DatabaseUrls) -> None:
    """The options have to reach libpq, whatever driver and pool stand in between."""
    database = Database(database_urls.app, pool_size=1)
    async with database.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert isinstance(raw, psycopg.AsyncConnection)
        known = raw.info.get_parameters()
    assert {key: known[key] for key in ("tcp_user_timeout", "keepalives_idle", "connect_timeout")} == {
        "tcp_user_timeout": "15000",
        "keepalives_idle": "10",
        "connect_timeout": "5",
    }
    await database.close()
