"""Live subscriptions with one question are told an event together: read once, made into one payload, sent in one go."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import orjson
import pytest

from api.live import EventHub
from api.service import UNAVAILABLE
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.ids import CustomerId
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase
from loyalty.services.world import World
from permissions.actor import Actor
from schema.context import Context, Services
from schema.executable import ExecutableSchema
from schema.masking import READER_TOO_SLOW, RESUME
from schema.root import treue_schema
from tenancy.database import Database
from tests.fixtures.live import GENEROUS_SECONDS, buy, relaying, until
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import customer_actor, one_point_per_euro
from tests.schema.test_fan_out import CountingFanOut
from tests.schema.test_statements import no_signer

SUBSCRIBERS = 30
CUSTOMERS = 3
BACKLOG = 6
CHANGES = "subscription($after: Cursor) { pointsChanged(after: $after) { cursor entry { points customer { id } } } }"


class Listener:
    """A subscription whose transport can send at once, as a socket does."""

    def __init__(self, process: "Process", actor: Actor) -> None:
        self.actor = actor
        self.is_slow = False
        self.payloads: list[str] = []
        """What was sent at once."""
        self.results: list[Any] = []
        """What came through the stream."""
        self.when_sent: Callable[[], object] = bool
        """Called after a payload was sent at once."""
        self.task: asyncio.Task[None] | None = None
        self.context = Context(process.services, actor, "request", send_now=self.send_now)
        self._reads = asyncio.Event()
        self._reads.set()

    def send_now(self, payload: str) -> bool:
        """Take a payload, unless this reader is slow."""
        if not self.is_slow:
            self.payloads.append(payload)
            self.when_sent()
        return not self.is_slow

    def fall_behind(self) -> None:
        """Take nothing any more."""
        self.is_slow = True
        self._reads.clear()

    def catch_up(self) -> None:
        """Take everything again."""
        self.is_slow = False
        self._reads.set()

    def begin(self, process: "Process", variables: dict[str, Any]) -> asyncio.Task[None]:
        """Listen in a task."""
        self.task = asyncio.create_task(self.listen(process, variables))
        return self.task

    def leave(self) -> None:
        """Unsubscribe."""
        assert self.task is not None
        self.task.cancel()

    async def listen(self, process: "Process", variables: dict[str, Any]) -> None:
        """Take results until the stream ends."""
        results: Any = await process.treue.stream(CHANGES, variable_values=variables, context_value=self.context)
        async with aclosing(results):
            async for result in results:
                self.results.append(result)
                await self._reads.wait()

    def told(self) -> list[str]:
        """Return the cursors of all events that came, whichever way."""
        sent = [orjson.loads(payload)["extensions"]["cursor"] for payload in self.payloads]
        return sent + [result.extensions["cursor"] for result in self.results if result.data is not None]


class Process:
    """What one server process gives to its subscribers, and how many have arrived."""

    def __init__(self, world: World, hub: EventHub, salon: Salon) -> None:
        self.treue: ExecutableSchema = treue_schema(UNAVAILABLE)
        self.answers = CountingFanOut()
        self.hub = hub
        self.salon = salon
        self.services = Services(
            world, hub, no_signer, lambda _kind: ("", ""), b"key", lambda _text: None, fan_out=self.answers
        )

    @asynccontextmanager
    async def subscribe(self, *actors: Actor, **variables: Any) -> AsyncIterator[list[Listener]]:
        """Live subscriptions of these actors."""
        listeners = [Listener(self, actor) for actor in actors]
        tasks = [one.begin(self, variables) for one in listeners]
        try:
            await until(lambda: all(one.context.delivery.subscriber is not None for one in listeners))
            yield listeners
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def buy_again(world: World, salon: Salon, name: str, buyers: Sequence[int] = range(CUSTOMERS)) -> None:
    """Record a purchase of each of these customers, in their order. Each purchase is named by its number."""
    for number, buyer in enumerate(buyers):
        report = PurchaseReport(PurchaseKind.ORDER, f"{name}-{number}", Money(1000, "EUR"))
        recording = PurchaseRecording(report, PurchaseStatus.COMPLETED, CustomerProfile(f"customer-{buyer}"))
        (result,) = await record_purchases(world, salon.manager, [recording])
        assert isinstance(result, RecordedPurchase)


@pytest.fixture
async def customers(world: World, salon: Salon, relay_database: Database) -> AsyncIterator[list[CustomerId]]:
    """Provide customers who have bought something."""
    async with relaying(relay_database):
        await create_earning_rule(world, salon.manager, one_point_per_euro())
        yield await buy(world, salon, CUSTOMERS)


@pytest.fixture
async def process(world: World, salon: Salon, customers: list[CustomerId]) -> AsyncIterator[Process]:
    hub = EventHub(world, max_backlog=BACKLOG, patience_seconds=0.3)
    process = Process(world, hub, salon)
    await until(lambda: _has_events(world, salon, len(customers)))
    yield process
    await hub.stop()
    assert len(process.services.channels) == 0


async def _has_events(world: World, salon: Salon, count: int) -> bool:
    hub = EventHub(world)
    try:
        return await hub.find_newest(salon.tenant_id) >= count
    finally:
        await hub.stop()


async def test_an_event_is_read_once_and_sent_to_all_without_a_turn_of_their_own(
    process: Process, world: World, salon: Salon
) -> None:
    async with process.subscribe(*[salon.manager] * SUBSCRIBERS) as listeners:
        assert (len(process.services.channels), process.hub.count_followers(salon.tenant_id)) == (1, SUBSCRIBERS)
        assert process.answers.read == 0
        await buy_again(world, salon, "live")
        await until(lambda: len(listeners[-1].payloads) == CUSTOMERS)
        assert process.answers.read == CUSTOMERS
        for one in listeners:
            assert list(map(id, one.payloads)) == list(map(id, listeners[0].payloads))
            assert one.results == []
    assert process.hub.count_followers(salon.tenant_id) == 0


async def test_who_was_behind_goes_on_with_the_others_and_misses_nothing(
    process: Process, world: World, salon: Salon
) -> None:
    """They read what was before, in three places of the log, and meet in one channel."""
    async with process.subscribe(salon.manager), asyncio.TaskGroup() as group:
        starts = [Context(process.services, salon.manager, "").event_cursor(n) for n in range(3)]
        late = [Listener(process, salon.manager) for _ in starts]
        tasks = [
            group.create_task(one.listen(process, {"after": start})) for one, start in zip(late, starts, strict=True)
        ]
        await buy_again(world, salon, "live")
        expected = [Context(process.services, salon.manager, "").event_cursor(n) for n in range(1, 2 * CUSTOMERS + 1)]
        await until(lambda: [len(one.told()) for one in late] == [6, 5, 4])
        assert [sorted(one.told(), key=list(map(str, expected)).index) for one in late] == [
            expected[n:] for n in range(3)
        ]
        assert len(process.services.channels) == 1
        for task in tasks:
            task.cancel()


async def test_each_customer_is_told_of_own_events_alone_and_others_cost_nothing(
    process: Process, world: World, salon: Salon, customers: list[CustomerId]
) -> None:
    actors = [customer_actor(salon.tenant_id, customer_id) for customer_id in customers]
    async with process.subscribe(*actors, *actors) as listeners:
        assert len(process.services.channels) == CUSTOMERS
        await buy_again(world, salon, "anna", [0, 0, 0])
        await until(lambda: all(len(listeners[n].payloads) == 3 for n in (0, CUSTOMERS)))
        assert process.answers.read == 3
        assert [len(one.payloads) for one in listeners] == [3, 0, 0] * 2


async def test_a_slow_reader_takes_its_turn_and_keeps_the_order(process: Process, world: World, salon: Salon) -> None:
    async with process.subscribe(salon.manager, salon.manager) as (quick, slow):
        slow.fall_behind()
        await buy_again(world, salon, "slow")
        await until(lambda: len(quick.payloads) == CUSTOMERS and len(slow.results) == 1)
        assert slow.payloads == []
        slow.catch_up()
        await until(lambda: len(slow.results) == CUSTOMERS)
        await buy_again(world, salon, "quick")
        await until(lambda: len(slow.payloads) == CUSTOMERS)
        assert [result.extensions["cursor"] for result in slow.results] == quick.told()[:CUSTOMERS]
        assert slow.payloads == quick.payloads[CUSTOMERS:]


async def test_a_reader_that_does_not_read_is_cut_off_and_the_others_are_told_all(
    process: Process, world: World, salon: Salon
) -> None:
    many = [number % CUSTOMERS for number in range(3 * BACKLOG)]
    async with process.subscribe(salon.manager, salon.manager) as (quick, slow):
        slow.fall_behind()
        await buy_again(world, salon, "many", many)
        await until(lambda: len(quick.payloads) == len(many))
        assert process.hub.measure().slow_readers == 1
        assert len(slow.results) == 1
        slow.catch_up()
        await until(lambda: process.hub.count_followers(salon.tenant_id) == 1)
        (error,) = slow.results[-1].errors
        after = slow.results[0].extensions["cursor"]
        assert (error.extensions["reason"], error.extensions["after"]) == (READER_TOO_SLOW, after)


async def test_every_subscriber_is_told_where_to_resume_when_the_process_stops(
    process: Process, world: World, salon: Salon
) -> None:
    """The cursor is that of the last event, whichever way it was sent."""
    async with process.subscribe(salon.manager, salon.manager) as listeners:
        await buy_again(world, salon, "live")
        await until(lambda: all(len(one.payloads) == CUSTOMERS for one in listeners))
        await process.hub.stop()
        await until(lambda: all(one.results for one in listeners))
        for one in listeners:
            (error,) = one.results[-1].errors
            assert error.extensions["reason"] == RESUME
            assert error.extensions["after"] == one.told()[-1]


async def test_an_event_that_cannot_be_read_at_first_is_told_to_each_in_order(
    process: Process, world: World, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is sent a later event before it, and nobody is sent it twice."""
    read = process.answers.answer
    failing = [OSError("away")] * 2

    async def fail_at_first(*arguments: Any) -> Any:
        if failing:
            raise failing.pop()
        return await read(*arguments)

    monkeypatch.setattr(process.treue, "unavailable", (OSError,))
    async with process.subscribe(*[salon.manager] * 3) as listeners:
        monkeypatch.setattr(process.answers, "answer", fail_at_first)
        await buy_again(world, salon, "live")
        await until(lambda: all(len(one.told()) == CUSTOMERS for one in listeners))
        expected = [Context(process.services, salon.manager, "").event_cursor(n) for n in (4, 5, 6)]
        for one in listeners:
            in_order = [result.extensions["cursor"] for result in one.results] + [
                orjson.loads(payload)["extensions"]["cursor"] for payload in one.payloads
            ]
            assert in_order == expected
    assert not failing


async def test_a_channel_ends_with_its_last_subscriber(process: Process, salon: Salon) -> None:
    async with asyncio.timeout(GENEROUS_SECONDS), process.subscribe(salon.manager) as (first,):
        async with process.subscribe(salon.manager):
            assert process.hub.count_followers(salon.tenant_id) == 2
        assert process.hub.count_followers(salon.tenant_id) == 1
        assert first.results == []
    assert (len(process.services.channels), process.hub.measure().tenants) == (0, 0)


async def test_who_unsubscribes_while_an_event_is_told_is_not_kept(
    process: Process, world: World, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first who is told lets all others leave, while the channel is about to tell them."""
    monkeypatch.setattr("schema.channels.SUBSCRIBERS_AT_ONCE", 1)
    async with process.subscribe(*[salon.manager] * 10) as listeners:

        def leave_others(told: Listener) -> None:
            for one in listeners:
                if one is not told:
                    one.leave()

        for one in listeners:
            one.when_sent = partial(leave_others, one)
        await buy_again(world, salon, "live", [0, 1])
        await until(lambda: max(len(one.payloads) for one in listeners) == 2)
        assert sum(len(one.told()) for one in listeners) == 2
        assert process.hub.measure().backlog_events == 0
        assert process.hub.count_followers(salon.tenant_id) == 1


async def test_who_subscribes_after_a_channel_was_cut_off_is_told_by_another(
    process: Process, world: World, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel is cut off when the process reads its events too slowly. Its subscribers may take long to leave."""
    many = [number % CUSTOMERS for number in range(3 * BACKLOG)]
    read, free = process.answers.answer, asyncio.Event()

    async def read_late(*arguments: Any) -> Any:
        await free.wait()
        return await read(*arguments)

    monkeypatch.setattr(process.answers, "answer", read_late)
    async with process.subscribe(salon.manager) as (cut_off,):
        await buy_again(world, salon, "many", many)
        await until(lambda: process.hub.measure().slow_readers == 1)
        await until(lambda: _has_events(world, salon, CUSTOMERS + len(many)))
        async with process.subscribe(salon.manager) as (fresh,):
            free.set()
            await until(lambda: cut_off.task is not None and cut_off.task.done())
            assert cut_off.results[-1].errors[0].extensions["reason"] == READER_TOO_SLOW
            await buy_again(world, salon, "after")
            await until(lambda: len(fresh.payloads) == CUSTOMERS)
            assert fresh.results == []


async def test_who_began_a_channel_and_left_is_not_kept_by_it(process: Process, salon: Salon) -> None:
    began = [Listener(process, salon.manager)]
    task = began[0].begin(process, {})
    await until(lambda: began[0].context.delivery.subscriber is not None)
    async with process.subscribe(salon.manager):
        assert len(process.services.channels) == 1
        kept = weakref.ref(began[0])
        began.pop().leave()
        await asyncio.wait({task})
        del task
        gc.collect()
        assert kept() is None
