"""Events that cannot be read at first: none is passed over, none comes twice, and a reader can resume."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any, Literal, NamedTuple

import psycopg
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from api.live import EventHub
from api.service import UNAVAILABLE
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.world import World
from loyalty.storage.tables import jobs
from permissions.actor import Actor
from runtime.roles import DatabaseUrls
from schema import delivery
from schema.context import Context, Services
from schema.delivery import StreamFailure
from schema.executable import ExecutableSchema
from schema.fan_out import EVENTS_AT_ONCE
from schema.root import treue_schema
from tenancy import multiplexer
from tenancy.database import Database
from tests.fixtures.live import GENEROUS_SECONDS, buy, end_sessions, is_waiting_for_a_lock, relaying, until
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import one_point_per_euro
from tests.schema.test_statements import no_signer

READERS = "treue-event-readers"
CHANGES = """
subscription($after: Cursor) {
  pointsChanged(after: $after) { cursor entry { points customer { externalId } } points { available } }
}
"""
CUSTOMERS = 3


class Subscriber(NamedTuple):
    """Subscribes over a database of its own, with one connection."""

    treue: ExecutableSchema
    services: Services
    database: Database
    actor: Actor

    @asynccontextmanager
    async def follow(self, document: str = CHANGES, **variables: Any) -> AsyncIterator[AsyncGenerator[Any, None]]:
        context = Context(self.services, self.actor, "request")
        results: Any = await self.treue.stream(document, variable_values=variables, context_value=context)
        async with aclosing(results):
            yield results

    def cursor(self, position: int) -> str:
        return Context(self.services, self.actor, "request").event_cursor(position)


@pytest.fixture
async def subscriber(
    world: World,
    salon: Salon,
    database_urls: DatabaseUrls,
    relay_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Subscriber]:
    """Provide a subscriber to a salon in which three customers have bought something.

    The log is read over connections of its own.
    """
    hub = EventHub(world)
    monkeypatch.setattr(multiplexer, "MAX_IN_FLIGHT", 1)
    database = Database(database_urls.app, pool_size=1, read_connections=1, pool_wait_seconds=1, name=READERS)
    services = Services(World(database), hub, no_signer, lambda _kind: ("", ""), b"key", lambda _text: None)
    async with relaying(relay_database):
        await create_earning_rule(world, salon.manager, one_point_per_euro())
        await buy(world, salon, CUSTOMERS)
        yield Subscriber(treue_schema(UNAVAILABLE), services, database, salon.manager)
    await hub.stop()
    await database.close()


async def take(results: AsyncGenerator[Any, None], count: int) -> list[Any]:
    async with asyncio.timeout(GENEROUS_SECONDS):
        return [await anext(results) for _ in range(count)]


def assert_all_came_once(subscriber: Subscriber, results: list[Any], first: int = 1) -> None:
    """Check that each event from a position on came once, with its cursor at both places."""
    assert [result.errors for result in results] == [None] * len(results)
    cursors = [subscriber.cursor(position) for position in range(first, first + len(results))]
    assert [result.extensions["cursor"] for result in results] == cursors
    assert [result.data["pointsChanged"]["cursor"] for result in results] == cursors


@asynccontextmanager
async def no_room_to_read(subscriber: Subscriber, database_urls: DatabaseUrls, salon: Salon) -> AsyncIterator[None]:
    """Let the only reading connection wait for a lock during the block, so that it serves nobody else."""
    async with await psycopg.AsyncConnection.connect(database_urls.owner) as owner:
        await owner.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(subscriber.database.reading(salon.tenant_id).rows(select(jobs.c.id)))
        await until(lambda: is_waiting_for_a_lock(database_urls.app, READERS))
        yield
        await owner.rollback()
        await waiting


async def test_a_full_pool_costs_no_event(subscriber: Subscriber, salon: Salon, database_urls: DatabaseUrls) -> None:
    with capture_logs() as lines:
        async with subscriber.follow(after=subscriber.cursor(0)) as results:
            async with no_room_to_read(subscriber, database_urls, salon):
                taking = asyncio.create_task(take(results, CUSTOMERS))
                await until(lambda: len(lines) >= 1)
            assert_all_came_once(subscriber, await taking)
    assert {(line["log_level"], line["event"]) for line in lines} == {("warning", delivery.TRIED_AGAIN)}


async def test_a_connection_that_breaks_in_mid_event_costs_no_event(
    subscriber: Subscriber, database_urls: DatabaseUrls
) -> None:
    """Entries cannot be read while the table is locked; meanwhile the database ends the reader's session."""
    async with (
        subscriber.follow(after=subscriber.cursor(0)) as results,
        await psycopg.AsyncConnection.connect(database_urls.owner) as owner,
    ):
        assert_all_came_once(subscriber, await take(results, 1))
        await owner.execute("LOCK TABLE entries IN ACCESS EXCLUSIVE MODE")
        taking = asyncio.create_task(take(results, 2))
        await until(lambda: is_waiting_for_a_lock(database_urls.app, READERS))
        assert await end_sessions(database_urls.app, READERS)
        await owner.rollback()
        assert_all_came_once(subscriber, await taking, first=2)


async def test_an_unreadable_event_ends_the_subscription_before_a_later_event(
    subscriber: Subscriber, salon: Salon, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "EVENT_ATTEMPTS", 2)
    async with subscriber.follow(after=subscriber.cursor(0)) as results:
        assert_all_came_once(subscriber, await take(results, 1))
        async with no_room_to_read(subscriber, database_urls, salon):
            (failed,) = await take(results, 1)
        assert isinstance(failed, StreamFailure)
        assert await anext(results, None) is None
    (error,) = failed.errors or []
    extensions = error.extensions or {}
    assert (extensions["code"], extensions["reason"]) == ("UNAVAILABLE", "RESUME")
    assert extensions["after"] == subscriber.cursor(1)
    async with subscriber.follow(after=extensions["after"]) as results:
        assert_all_came_once(subscriber, await take(results, CUSTOMERS - 1), first=2)


async def test_a_subscription_that_begins_while_the_pool_is_full_says_that_it_may_be_tried_again(
    subscriber: Subscriber, salon: Salon, database_urls: DatabaseUrls
) -> None:
    query = 'subscription { pointsChanged(customer: {externalId: "customer-0"}) { cursor } }'
    context = Context(subscriber.services, subscriber.actor, "request")
    async with no_room_to_read(subscriber, database_urls, salon):
        results: Any = await subscriber.treue.stream(query, context_value=context)
        (failed,) = await take(results, 1)
    assert isinstance(failed, StreamFailure)
    extensions = (failed.errors or [])[0].extensions or {}
    assert (extensions["code"], extensions["reason"]) == ("UNAVAILABLE", "RESUME")
    assert "after" not in extensions


async def test_a_process_that_stops_tells_its_subscribers_to_resume(subscriber: Subscriber) -> None:
    """The end of a stream means that nothing more can come; a restart is no such end."""
    async with subscriber.follow(after=subscriber.cursor(0)) as results:
        assert_all_came_once(subscriber, await take(results, CUSTOMERS))
        waiting = asyncio.create_task(take(results, 1))
        hub = subscriber.services.feed
        assert isinstance(hub, EventHub)
        await until(lambda: hub.count_followers(subscriber.actor.tenant_id) == 1)
        await hub.stop()
        (failed,) = await waiting
    extensions = (failed.errors or [])[0].extensions or {}
    assert (extensions["code"], extensions["reason"]) == ("UNAVAILABLE", "RESUME")
    assert extensions["after"] == subscriber.cursor(CUSTOMERS)


class CountedSlots(asyncio.Semaphore):
    """Remembers how many were taken at the same time."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.taken = 0
        self.most_taken = 0

    async def acquire(self) -> Literal[True]:
        await super().acquire()
        self.taken += 1
        self.most_taken = max(self.most_taken, self.taken)
        return True

    def release(self) -> None:
        self.taken -= 1
        super().release()


async def test_readers_leave_connections_to_requests(subscriber: Subscriber) -> None:
    """However many subscriptions have an event to read, only so many do at the same time; each still gets all."""
    slots = subscriber.services.fan_out.slots = CountedSlots(EVENTS_AT_ONCE)
    documents = [CHANGES.replace("subscription", f"subscription S{number}") for number in range(4 * EVENTS_AT_ONCE)]
    streams = [subscriber.follow(document, after=subscriber.cursor(0)) for document in documents]
    async with AsyncExitStack() as stack:
        followed = [await stack.enter_async_context(stream) for stream in streams]
        for results in await asyncio.gather(*(take(each, CUSTOMERS) for each in followed)):
            assert_all_came_once(subscriber, results)
        assert (slots.taken, slots.most_taken) == (0, EVENTS_AT_ONCE)


async def test_a_reader_that_goes_away_in_mid_event_gives_its_slot_back(
    subscriber: Subscriber, salon: Salon, database_urls: DatabaseUrls
) -> None:
    slots = subscriber.services.fan_out.slots = CountedSlots(1)
    async with (
        subscriber.follow(after=subscriber.cursor(0)) as results,
        no_room_to_read(subscriber, database_urls, salon),
    ):
        taking = asyncio.create_task(take(results, 1))
        await until(lambda: slots.taken == 1)
        taking.cancel()
        with suppress(asyncio.CancelledError):
            await taking
    assert slots.taken == 0
    async with subscriber.follow(after=subscriber.cursor(0)) as results:
        assert_all_came_once(subscriber, await take(results, CUSTOMERS))
