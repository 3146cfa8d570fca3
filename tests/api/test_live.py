import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from api.live import LISTENER_NAME, POLL_SECONDS, EventHub
from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.world import World
from loyalty.storage.events import CHANNEL, EventRow
from runtime.roles import DatabaseUrls
from schema.masking import ReaderTooSlow
from tenancy.database import Database
from tests.fixtures.live import GENEROUS_SECONDS, buy, end_sessions, happen, numbers_of, relaying, until
from tests.fixtures.statements import StatementLog, Statements
from tests.fixtures.tenants import Salon
from worker.relay import relay_batch

Events = AsyncGenerator[EventRow, None]


@contextlib.asynccontextmanager
async def running(hub: EventHub) -> AsyncIterator[EventHub]:
    """Yield a hub that listens, and leaves no task behind."""
    before = asyncio.all_tasks()
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()
        assert asyncio.all_tasks() - {asyncio.current_task()} <= before


async def take(events: Events, count: int) -> list[EventRow]:
    """Return the next events."""
    async with asyncio.timeout(GENEROUS_SECONDS):
        return [await anext(events) for _ in range(count)]


@contextlib.asynccontextmanager
async def taking(
    hub: EventHub, salon: Salon, count: int, after: int | None = None
) -> AsyncIterator[asyncio.Task[list[EventRow]]]:
    """Yield a follower that is live when the block begins, and takes so many events beside it."""
    followers = hub.count_followers(salon.tenant_id)
    async with contextlib.aclosing(hub.follow(salon.tenant_id, after)) as events:
        task = asyncio.create_task(take(events, count))
        await until(lambda: hub.count_followers(salon.tenant_id) > followers)
        yield task
        await task


@pytest.fixture
async def customer(world: World, salon: Salon) -> CustomerId:
    """Provide a customer whose events the tests write."""
    (customer_id,) = await buy(world, salon, 1)
    return customer_id


@pytest.fixture
async def hub(world: World) -> AsyncIterator[EventHub]:
    """Provide a running hub."""
    async with running(EventHub(world)) as hub:
        yield hub


async def relay_all(relay: Database) -> None:
    while await relay_batch(relay):
        pass


async def test_a_new_follower_gets_what_happens_from_now_on(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database, hub: EventHub
) -> None:
    async with relaying(relay_database):
        await happen(world, salon, customer, [1, 2])
        async with contextlib.aclosing(hub.follow(salon.tenant_id, 0)) as events:
            await take(events, 2)
        async with taking(hub, salon, 3) as taken:
            await happen(world, salon, customer, [3])
            await happen(world, salon, customer, [4, 5])
        assert numbers_of(await taken) == [3, 4, 5]
        assert [event.position for event in await taken] == [3, 4, 5]


async def test_resumes_without_gap_or_duplicate_while_events_keep_coming(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database, hub: EventHub
) -> None:
    await happen(world, salon, customer, range(1, 1_201))
    await relay_all(relay_database)

    async def go_on() -> None:
        for number in range(1_201, 1_301):
            await happen(world, salon, customer, [number])

    async with relaying(relay_database):
        writer = asyncio.create_task(go_on())
        followers = [hub.follow(salon.tenant_id, after) for after in (0, 1, 700, 1_200)]
        taken = await asyncio.gather(
            *(take(events, 1_300 - after) for events, after in zip(followers, (0, 1, 700, 1_200), strict=True))
        )
        await writer
        for events in followers:
            await events.aclose()
    for log, after in zip(taken, (0, 1, 700, 1_200), strict=True):
        assert [event.position for event in log] == list(range(after + 1, 1_301))
        assert numbers_of(log) == list(range(after + 1, 1_301))


async def test_who_resumes_for_one_customer_reads_no_other_customers_events(
    world: World, salon: Salon, relay_database: Database, hub: EventHub, statements: StatementLog
) -> None:
    """The log of everybody is longer than several reads; what comes after it arrives as well."""
    anna, ben = await buy(world, salon, 2)
    await happen(world, salon, anna, [1])
    await happen(world, salon, ben, range(2, 1_402))
    await happen(world, salon, anna, [1_402])
    await relay_all(relay_database)
    async with contextlib.aclosing(hub.follow(salon.tenant_id, 0, anna)) as events:
        with statements() as sent:
            assert numbers_of(await take(events, 2)) == [1, 1_402]
        assert sum("events.customer_id" in statement for statement in sent) == 1
        live = asyncio.create_task(take(events, 1))
        await until(lambda: hub.count_followers(salon.tenant_id) > 0)
        await happen(world, salon, anna, [1_403])
        await relay_all(relay_database)
        assert numbers_of(await live) == [1_403]


async def test_two_server_processes_both_deliver(
    world: World,
    salon: Salon,
    customer: CustomerId,
    relay_database: Database,
    database_urls: DatabaseUrls,
    hub: EventHub,
) -> None:
    database = Database(database_urls.app, pool_size=2)
    async with relaying(relay_database), running(EventHub(World(database))) as other_hub:
        async with taking(hub, salon, 2) as one, taking(other_hub, salon, 2) as other:
            await happen(world, salon, customer, [1, 2])
        assert await one == await other
    await database.close()


async def test_events_stay_with_their_tenant(
    world: World, salon: Salon, other_salon: Salon, customer: CustomerId, relay_database: Database, hub: EventHub
) -> None:
    (stranger,) = await buy(world, other_salon, 1)
    async with relaying(relay_database), taking(hub, salon, 2) as ours, taking(hub, other_salon, 2) as theirs:
        await happen(world, other_salon, stranger, [7])
        await happen(world, salon, customer, [1, 2])
        await happen(world, other_salon, stranger, [8])
    assert numbers_of(await ours) == [1, 2]
    assert numbers_of(await theirs) == [7, 8]


async def test_events_arrive_without_any_hint(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database
) -> None:
    deaf = EventHub(world)
    async with taking(deaf, salon, 1) as taken:
        await happen(world, salon, customer, [1])
        await relay_all(relay_database)
    assert numbers_of(await taken) == [1]
    await deaf.stop()


async def test_listens_again_after_its_connection_is_lost(
    world: World,
    salon: Salon,
    customer: CustomerId,
    relay_database: Database,
    database_urls: DatabaseUrls,
    hub: EventHub,
) -> None:
    before: set[int] = set()

    async def listens_anew() -> bool:
        return bool(await listeners(world.database) - before)

    await until(listens_anew)
    before |= await listeners(world.database)
    with capture_logs() as lines:
        async with relaying(relay_database), taking(hub, salon, 2) as taken:
            await happen(world, salon, customer, [1])
            assert await end_sessions(database_urls.app, LISTENER_NAME)
            await until(listens_anew)
            await happen(world, salon, customer, [2])
        await until(lambda: len(lines) > 1)
    assert numbers_of(await taken) == [1, 2]
    assert [line["event"] for line in lines] == ["interrupted", "works again"]


async def listeners(database: Database) -> set[int]:
    """Return the sessions that listen for hints."""
    statement = text(
        "SELECT pid FROM pg_stat_activity WHERE application_name = :name AND query LIKE 'LISTEN%' "
        "AND datname = current_database()"
    )
    async with database.engine.connect() as connection:
        return set((await connection.execute(statement, {"name": LISTENER_NAME})).scalars())


async def test_a_slow_follower_is_told_so_while_the_others_go_on(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database
) -> None:
    async with relaying(relay_database), running(EventHub(world, max_backlog=10, patience_seconds=1.0)) as hub:
        async with contextlib.aclosing(hub.follow(salon.tenant_id, 0)) as slow, taking(hub, salon, 100) as taken:
            await happen(world, salon, customer, [1])
            (first,) = await take(slow, 1)
            for number in range(2, 101):
                await happen(world, salon, customer, [number])
            await taken
            with pytest.raises(ReaderTooSlow):
                await take(slow, 100)
        assert numbers_of(await taken) == list(range(1, 101))
        async with contextlib.aclosing(hub.follow(salon.tenant_id, first.position)) as resumed:
            assert numbers_of(await take(resumed, 99)) == list(range(2, 101))


async def test_a_burst_that_is_larger_than_the_backlog_throws_nobody_out_who_reads(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database
) -> None:
    async with running(EventHub(world, max_backlog=10)) as hub:
        async with taking(hub, salon, 1_200) as one, taking(hub, salon, 1_200) as other:
            await happen(world, salon, customer, range(1_200))
            await relay_all(relay_database)
        assert numbers_of(await one) == numbers_of(await other) == list(range(1_200))


async def test_reads_new_events_once_for_all_followers_and_holds_no_transaction(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database, hub: EventHub, statements: StatementLog
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        taken = [await stack.enter_async_context(taking(hub, salon, 5)) for _ in range(50)]
        await happen(world, salon, customer, range(5))
        with statements() as sent:
            await relay_all(relay_database)
            for task in taken:
                assert numbers_of(await task) == [0, 1, 2, 3, 4]
        assert len([statement for statement in sent if "events.position >" in statement]) < len(taken) / 2
        await until(lambda: world.database.transactions.lent == 0)


async def test_a_hint_for_a_tenant_without_followers_costs_nothing(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database, hub: EventHub, statements: StatementLog
) -> None:
    async with taking(hub, salon, 1):
        await happen(world, salon, customer, [1])
        await relay_all(relay_database)
    assert hub.count_followers(salon.tenant_id) == 0
    await happen(world, salon, customer, [2])
    with statements() as sent:
        await relay_all(relay_database)
        await asyncio.sleep(0.1)
    assert sent == []


@pytest.mark.parametrize("after", [1, 2**62, 2**80, -1])
async def test_refuses_a_position_that_the_log_has_not_reached(
    after: int, world: World, salon: Salon, other_salon: Salon, relay_database: Database, hub: EventHub
) -> None:
    (stranger,) = await buy(world, other_salon, 1)
    await happen(world, other_salon, stranger, [1])
    await relay_all(relay_database)
    with pytest.raises(InvalidInput) as caught:
        await anext(hub.follow(salon.tenant_id, after))
    assert caught.value.path == ("after",)
    assert hub.count_followers(salon.tenant_id) == 0


async def test_closing_the_generator_unsubscribes(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database, hub: EventHub
) -> None:
    before = asyncio.all_tasks()
    async with relaying(relay_database), contextlib.aclosing(hub.follow(salon.tenant_id, 0)) as events:
        await happen(world, salon, customer, [1])
        await take(events, 1)
        assert hub.count_followers(salon.tenant_id) == 1
    assert hub.count_followers(salon.tenant_id) == 0
    await until(lambda: asyncio.all_tasks() <= before)


async def test_a_follower_that_is_cancelled_while_it_waits_unsubscribes(salon: Salon, hub: EventHub) -> None:
    waiting = asyncio.ensure_future(anext(hub.follow(salon.tenant_id, None)))
    await until(lambda: hub.count_followers(salon.tenant_id) == 1)
    waiting.cancel()
    await until(lambda: hub.count_followers(salon.tenant_id) == 0)


async def test_stopping_ends_every_follower(world: World, salon: Salon) -> None:
    hub = EventHub(world)
    async with running(hub):
        waiting = [asyncio.ensure_future(anext(hub.follow(salon.tenant_id, None), None)) for _ in range(3)]
        await until(lambda: hub.count_followers(salon.tenant_id) == 3)
        await hub.stop()
        assert await asyncio.gather(*waiting) == [None] * 3
    assert [event async for event in hub.follow(salon.tenant_id, None)] == []


async def test_a_hint_that_is_not_ours_is_passed_over(
    world: World, salon: Salon, customer: CustomerId, relay_database: Database, hub: EventHub
) -> None:
    async with relaying(relay_database), taking(hub, salon, 1) as taken:
        for payload in ("", "nonsense", "[[1]]", f'[["{salon.tenant_id}", 99]]'):
            async with relay_database.engine.begin() as connection:
                await connection.execute(
                    text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload}
                )
        await happen(world, salon, customer, [1])
    assert numbers_of(await taken) == [1]


MANY_LOGS = 120


@contextlib.asynccontextmanager
async def following_many(hub: EventHub) -> AsyncIterator[None]:
    """Follow many logs in which nothing happens."""
    tenants = [TenantId(uuid7()) for _ in range(MANY_LOGS)]
    waiting = [asyncio.ensure_future(anext(hub.follow(tenant_id, None), None)) for tenant_id in tenants]
    await until(lambda: all(hub.count_followers(tenant_id) == 1 for tenant_id in tenants))
    try:
        yield
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def count_reads(sent: Statements) -> int:
    """Return how often a log was read. The first look at each log is one read, where little has happened in it."""
    return sum("events.position >" in statement for statement in sent)


async def test_all_followed_logs_are_asked_about_in_one_statement_each_second(
    world: World, statements: StatementLog
) -> None:
    """Also where no hint ever comes. Before, 300 logs that were read each second took 22 % of a core."""
    deaf = EventHub(world)
    clock = asyncio.get_running_loop().time
    with statements() as looked:
        async with following_many(deaf):
            await until(lambda: count_reads(looked) == MANY_LOGS)
            begun = clock()
            with statements() as sent:
                await until(lambda: len(sent) >= 3)
            assert {statement.count("event_positions.tenant_id = ANY") for statement in sent} == {1}
            assert clock() - begun > (len(sent) - 1) * POLL_SECONDS * 0.9
    await deaf.stop()


async def test_each_of_many_logs_that_grow_is_read_without_any_hint(
    world: World,
    salon: Salon,
    other_salon: Salon,
    customer: CustomerId,
    relay_database: Database,
    statements: StatementLog,
) -> None:
    """Those that do not grow are not read again."""
    deaf = EventHub(world)
    (stranger,) = await buy(world, other_salon, 1)
    with statements() as sent:
        async with following_many(deaf), taking(deaf, salon, 2) as ours, taking(deaf, other_salon, 1) as theirs:
            await until(lambda: count_reads(sent) == MANY_LOGS + 2)
            await happen(world, salon, customer, [1])
            await happen(world, other_salon, stranger, [3])
            await relay_all(relay_database)
            await until(theirs.done)
            await happen(world, salon, customer, [2])
            await relay_all(relay_database)
            await until(ours.done)
    assert (numbers_of(await ours), numbers_of(await theirs)) == ([1, 2], [3])
    assert count_reads(sent) < MANY_LOGS + 2 + 2 * 3
    await deaf.stop()


async def test_a_crowd_that_begins_to_follow_one_tenant_costs_a_few_statements(
    salon: Salon, hub: EventHub, statements: StatementLog
) -> None:
    crowd = 300
    with statements() as sent:
        waiting = [asyncio.ensure_future(anext(hub.follow(salon.tenant_id, None), None)) for _ in range(crowd)]
        await until(lambda: hub.count_followers(salon.tenant_id) == crowd)
    assert len([statement for statement in sent if "last_position" in statement]) < crowd / 10
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_follower_is_told_while_the_database_is_away(salon: Salon) -> None:
    away = EventHub(World(Database("postgresql://nobody@/nothing?host=%2Fnowhere")))
    answers = await asyncio.gather(
        *(anext(away.follow(salon.tenant_id, None)) for _ in range(3)), return_exceptions=True
    )
    assert [type(answer).__name__ for answer in answers] == ["OperationalError"] * 3
    await away.stop()
