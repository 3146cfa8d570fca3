"""Open connections end within seconds when their credential does; one question per actor and round."""

import asyncio
import datetime as dt
import time

import pytest

from api.connections import CLOSE_EXPIRED, CLOSE_RESTART, REASON_EXPIRED, OpenConnections
from permissions.actor import Actor
from tests.api.conftest import RunningServer, close_of, receive, subscribe
from tests.api.small import actor

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
    """Who still stands, and who was asked about."""

    def __init__(self, *gone: str) -> None:
        self.gone = set(gone)
        self.asked: list[str] = []

    async def __call__(self, who: Actor) -> bool:
        self.asked.append(who.subject)
        if who.subject == "unknown":
            raise ConnectionError
        if who.subject == "slow":
            await asyncio.sleep(60)
        return who.subject not in self.gone


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_asks_once_per_actor_and_closes_all_connections_of_a_revoked_one() -> None:
    directory = Directory("bob")
    connections = OpenConnections(directory)
    bobs = [Listener(actor("bob")) for _ in range(3)]
    adas = [Listener(actor("ada")) for _ in range(3)]
    for listener in bobs + adas:
        connections.add(listener)
    await connections.check()
    await settle()
    assert sorted(directory.asked) == ["ada", "bob"]
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
    assert directory.asked == ["ada"]
    assert expired.closed
    assert not alive.closed


async def test_a_database_that_is_away_ends_nobodys_connection() -> None:
    connections = OpenConnections(Directory())
    listener = Listener(actor("unknown"))
    connections.add(listener)
    await connections.check()
    await settle()
    assert not listener.closed


async def test_a_slow_answer_does_not_hold_up_the_others() -> None:
    connections = OpenConnections(Directory("bob"), round_seconds=0.05)
    slow, gone = Listener(actor("slow")), Listener(actor("bob"))
    connections.add(slow)
    connections.add(gone)
    await connections.check()
    await settle()
    assert not slow.closed
    assert gone.closed


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


async def test_a_revoked_credential_closes_its_sockets_within_five_seconds(server: RunningServer) -> None:
    async with server.socket("eve") as eve, server.socket("ada") as ada:
        await subscribe(eve, "1", "subscription { count(to: 1000, seconds: 0.05) }")
        await receive(eve)
        server.stage.revoked.add("eve")
        started = time.monotonic()
        assert await close_of(eve) == (4403, REASON_EXPIRED)
        assert time.monotonic() - started < LIMIT_SECONDS
        await subscribe(ada, "1", "{ whoami }")
        assert (await receive(ada))["payload"] == {"data": {"whoami": "ada"}}


async def test_an_expired_credential_closes_its_socket_within_five_seconds(server: RunningServer) -> None:
    async with server.socket("bob@1") as socket:
        started = time.monotonic()
        assert await close_of(socket) == (4403, REASON_EXPIRED)
        assert time.monotonic() - started < 1 + LIMIT_SECONDS
