"""Open connections end within seconds when their credential does; one question per actor and round."""

import asyncio
import datetime as dt
import gc
import uuid
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest

from api.connections import (
    ACTORS_AT_ONCE,
    CLOSE_EXPIRED,
    CLOSE_RESTART,
    CROWD,
    QUESTIONS_AT_ONCE,
    REASON_EXPIRED,
    ROUND_SECONDS,
    WATCH_SECONDS,
    FindFallen,
    OpenConnections,
)
from loyalty.rules.ids import TenantId
from permissions.actor import Actor
from tests.api.conftest import RunningServer, close_of, receive, subscribe
from tests.api.small import actor
from tests.fixtures.live import until

LIMIT_SECONDS = 5.0


class Listener:
    """A connection that remembers how it was closed."""

    def __init__(self, who: Actor | None, *, hangs: bool = False) -> None:
        self.actor = who
        self.hangs = hangs
        self.closed: list[tuple[int, str]] = []

    async def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))
        if self.hangs:
            await asyncio.sleep(60)


class Directory:
    """Who still stands, and who was asked about: a list of names for each question."""

    def __init__(self, *gone: str) -> None:
        self.gone = set(gone)
        self.asked: list[list[str]] = []
        self.away = False
        self.slow_tenants: set[TenantId] = set()
        self.answering = asyncio.Event()

    async def __call__(self, tenant_id: TenantId, actors: Sequence[Actor]) -> set[Actor]:
        self.asked.append(sorted(who.subject for who in actors))
        if self.away:
            raise ConnectionError
        if tenant_id in self.slow_tenants:
            await self.answering.wait()
        return {who for who in actors if who.subject in self.gone}


def actor_of(tenant_id: TenantId, subject: str) -> Actor:
    return replace(actor(subject), tenant_id=tenant_id)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_asks_once_for_all_actors_and_closes_all_connections_of_a_revoked_one() -> None:
    directory = Directory("bob")
    connections = OpenConnections(directory)
    bobs = [Listener(actor("bob")) for _ in range(3)]
    adas = [Listener(actor("ada")) for _ in range(3)]
    for listener in bobs + adas:
        connections.add(listener)
    await connections.check()
    await settle()
    assert directory.asked == [["ada", "bob"]]
    assert [listener.closed for listener in bobs] == [[(CLOSE_EXPIRED, REASON_EXPIRED)]] * 3
    assert [listener.closed for listener in adas] == [[]] * 3


async def test_an_expired_credential_needs_no_question() -> None:
    directory = Directory()
    connections = OpenConnections(directory)
    now = dt.datetime.now(dt.UTC)
    expired, alive = Listener(actor("bob", now)), Listener(actor("ada", now + dt.timedelta(minutes=1)))
    connections.add(expired)
    connections.add(alive)
    await connections.check()
    await settle()
    assert directory.asked == [["ada"]]
    assert expired.closed
    assert not alive.closed


async def test_a_database_that_is_away_ends_nobodys_connection() -> None:
    directory = Directory("bob")
    directory.away = True
    connections = OpenConnections(directory)
    listener = Listener(actor("bob"))
    connections.add(listener)
    await connections.check()
    await settle()
    assert not listener.closed
    directory.away = False
    await connections.check()
    await settle()
    assert listener.closed


async def test_a_slow_answer_does_not_hold_up_the_others_and_counts_when_it_comes() -> None:
    slow_tenant, other_tenant = TenantId(uuid.uuid4()), TenantId(uuid.uuid4())
    directory = Directory("bob")
    directory.slow_tenants = {slow_tenant}
    connections = OpenConnections(directory, round_seconds=0.05)
    slow, gone = Listener(actor_of(slow_tenant, "bob")), Listener(actor_of(other_tenant, "bob"))
    connections.add(slow)
    connections.add(gone)
    for _ in range(2):
        await connections.check()
    await settle()
    assert not slow.closed
    assert gone.closed
    assert len(directory.asked) == 3, "who has not been answered is not asked again meanwhile"
    directory.answering.set()
    await settle()
    assert slow.closed


async def test_no_tenant_is_passed_over_however_slow_the_answers_are() -> None:
    """Before, the same actors were asked first in every round, and the last ones never."""
    tenants = [TenantId(uuid.uuid4()) for _ in range(5 * QUESTIONS_AT_ONCE)]
    directory = Directory(*(f"{number}" for number in range(len(tenants))))
    connections = OpenConnections(patient(directory), round_seconds=0.01)
    listeners = [Listener(actor_of(tenant_id, f"{number}")) for number, tenant_id in enumerate(tenants)]
    for listener in listeners:
        connections.add(listener)
    while not all(listener.closed for listener in listeners):
        assert len(directory.asked) <= 3 * len(tenants)
        await connections.check()
    asked = [names[0] for names in directory.asked[: len(tenants)]]
    assert sorted(asked) == sorted(f"{number}" for number in range(len(tenants)))


class CountedRounds(OpenConnections):
    """Counts the rounds that are over."""

    rounds = 0

    async def check(self) -> bool:
        whole = await super().check()
        self.rounds += 1
        return whole


async def test_who_was_answered_late_is_asked_about_again_at_once() -> None:
    """Otherwise a busy database adds the rest between two rounds to what a revoked credential lives."""
    tenant_id = TenantId(uuid.uuid4())
    directory = Directory()
    directory.slow_tenants = {tenant_id}
    connections = CountedRounds(directory, watch_seconds=3_600, round_seconds=0.01)
    connections.add(Listener(actor_of(tenant_id, "bob")))
    watching = asyncio.create_task(connections.watch())
    await until(lambda: connections.rounds > 0)
    assert len(directory.asked) == 1
    directory.answering.set()
    await until(lambda: len(directory.asked) == 2)
    watching.cancel()


def patient(directory: Directory) -> FindFallen:
    """Return a check of actors that takes longer than a round."""

    async def find_fallen(tenant_id: TenantId, actors: Sequence[Actor]) -> set[Actor]:
        await asyncio.sleep(0.02)
        return await directory(tenant_id, actors)

    return find_fallen


async def test_many_actors_of_a_tenant_are_asked_about_in_few_questions() -> None:
    directory = Directory(f"{ACTORS_AT_ONCE + 1}")
    connections = OpenConnections(directory)
    listeners = [Listener(actor(f"{number}")) for number in range(2 * ACTORS_AT_ONCE)]
    for listener in listeners:
        connections.add(listener)
    await connections.check()
    await settle()
    assert [len(names) for names in directory.asked] == [ACTORS_AT_ONCE, ACTORS_AT_ONCE]
    assert sum(bool(listener.closed) for listener in listeners) == 1


async def test_who_has_not_introduced_themselves_is_not_asked_about() -> None:
    directory = Directory()
    connections = OpenConnections(directory)
    connections.add(Listener(None))
    await connections.check()
    assert directory.asked == []


async def test_closing_all_waits_for_everybody_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.connections.DRAIN_SECONDS", 0.05)
    connections = OpenConnections(Directory())
    listeners = [Listener(actor("ada")), Listener(None), Listener(actor("bob"), hangs=True)]
    for listener in listeners:
        connections.add(listener)
    await connections.close_all()
    assert connections.draining
    assert [code for listener in listeners for code, _reason in listener.closed] == [CLOSE_RESTART] * 3


def test_a_round_begins_and_ends_within_five_seconds() -> None:
    """So long a revoked credential may still listen; how fast a machine is changes nothing here."""
    assert WATCH_SECONDS + ROUND_SECONDS <= LIMIT_SECONDS


async def test_a_revoked_credential_closes_its_sockets(server: RunningServer) -> None:
    async with server.socket("eve") as eve, server.socket("ada") as ada:
        await subscribe(eve, "1", "subscription { count(to: 1000, seconds: 0.05) }")
        await receive(eve)
        server.stage.revoked.add("eve")
        assert await close_of(eve) == (4403, REASON_EXPIRED)
        await subscribe(ada, "1", "{ whoami }")
        assert (await receive(ada))["payload"] == {"data": {"whoami": "ada"}}


async def test_an_expired_credential_closes_its_socket(server: RunningServer) -> None:
    async with server.socket("bob@1") as socket:
        assert await close_of(socket) == (4403, REASON_EXPIRED)


class Circle:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.own = self


async def test_the_memory_of_a_crowd_is_freed_when_it_has_left() -> None:
    connections = OpenConnections(Directory(), watch_seconds=0.01)
    watching = asyncio.create_task(connections.watch())
    crowd = [Listener(None) for _ in range(CROWD)]
    gc.disable()
    try:
        for listener in crowd:
            connections.add(listener)
        await asyncio.sleep(0.05)
        garbage = weakref.ref(Circle())
        for listener in crowd[1:]:
            connections.remove(listener)
        await until(lambda: garbage() is None)
    finally:
        gc.enable()
        watching.cancel()
