"""The proxy breaks connections where it says: otherwise what is proved with it would prove nothing."""

import asyncio
import random
from collections.abc import AsyncIterator

import psycopg
import pytest

from runtime.roles import DatabaseUrls
from tests.faults.proxy import FaultProxy, Faults, Place

WRITE = "INSERT INTO notes (text) VALUES (%s)"


@pytest.fixture
async def proxy(empty_database_urls: DatabaseUrls) -> AsyncIterator[FaultProxy]:
    async with await psycopg.AsyncConnection.connect(empty_database_urls.owner) as owner:
        await owner.execute("CREATE TABLE notes (text text)")
        await owner.execute("GRANT ALL ON notes TO treue_app")
    proxy = FaultProxy(empty_database_urls.app, random.Random(1))  # noqa: S311 - chances, not secrets
    yield proxy
    await proxy.close()


async def notes(urls: DatabaseUrls) -> list[str]:
    """Return what is really stored."""
    async with await psycopg.AsyncConnection.connect(urls.app) as connection:
        return [row[0] for row in await (await connection.execute("SELECT text FROM notes")).fetchall()]


async def is_written(door: DatabaseUrls, text: str) -> bool:
    """Tell whether the client hears that its note is stored."""
    try:
        async with await psycopg.AsyncConnection.connect(door.app) as connection:
            await connection.execute(WRITE, [text])
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize(
    ("place", "stored"), [(Place.BEFORE_COMMIT, []), (Place.IN_STATEMENT, []), (Place.AFTER_COMMIT, ["kept"])]
)
async def test_a_connection_breaks_at_its_place(
    proxy: FaultProxy, empty_database_urls: DatabaseUrls, place: Place, stored: list[str]
) -> None:
    """The client never hears how it ended; whether it is stored depends on the place alone."""
    proxy.faults = Faults({place: 1.0})
    door = await proxy.door("test", empty_database_urls)
    assert not await is_written(door, "kept")
    assert proxy.injected == {place: 1}
    assert await notes(empty_database_urls) == stored


async def test_faults_leave_reads_alone(proxy: FaultProxy, empty_database_urls: DatabaseUrls) -> None:
    proxy.faults = Faults(dict.fromkeys(Place, 1.0))
    door = await proxy.door("test", empty_database_urls)
    assert await notes(door) == []
    assert not proxy.injected


async def test_prepared_statements_are_known_by_their_names(
    proxy: FaultProxy, empty_database_urls: DatabaseUrls
) -> None:
    """The driver prepares what it has sent a few times; from then on its text does not travel any more."""
    door = await proxy.door("test", empty_database_urls)
    connection = await psycopg.AsyncConnection.connect(door.app)
    for number in range(10):
        await connection.execute(WRITE, [f"note {number}"])
        await connection.commit()
    proxy.faults = Faults({Place.BEFORE_COMMIT: 1.0})
    await connection.execute(WRITE, ["lost"])
    with pytest.raises(psycopg.OperationalError):
        await connection.commit()
    await connection.close()
    assert await notes(empty_database_urls) == [f"note {number}" for number in range(10)]


async def test_a_trap_holds_whom_it_waits_for(proxy: FaultProxy, empty_database_urls: DatabaseUrls) -> None:
    """Only at the named door, and only for what it is about; while it holds, nothing is committed."""
    one, two = [await proxy.door(name, empty_database_urls) for name in ("one", "two")]

    async with asyncio.TaskGroup() as tasks:
        trapped = tasks.create_task(is_written(two, "trapped"))
        async with proxy.caught(Place.BEFORE_COMMIT, "two", about="notes"):
            assert await is_written(one, "free")
            assert await notes(empty_database_urls) == ["free"]
    assert not trapped.result()
    assert await notes(empty_database_urls) == ["free"]
