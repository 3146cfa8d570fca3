"""A client who was in time is served, even when the process was late: it looks again before it cuts somebody off.

The event loop of the server is stopped for a while. What the client sends meanwhile lies unread when its timer fires.
"""

import asyncio
import time
from collections.abc import Iterator

import pytest

from api.deadlines import deadline
from tests.api.conftest import RunningServer, receive, send, start_server, subscribe
from tests.fixtures.live import GENEROUS_SECONDS

SHORT_SECONDS = 0.3
PAUSE_SECONDS = 1.0
"""So long the server does nothing at all; longer than each deadline."""

BODY = b'{"query":"{ whoami }"}'
HEAD = (
    b"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ada\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n" % len(BODY)
)


@pytest.fixture(autouse=True)
def long_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server wait long before its second look, because a slow machine needs time to send the rest."""
    monkeypatch.setattr("api.deadlines.LOOK_AGAIN_SECONDS", GENEROUS_SECONDS)
    monkeypatch.setattr("api.protocols.LOOK_AGAIN_SECONDS", GENEROUS_SECONDS)


def pause(server: RunningServer) -> None:
    """Let the server do nothing for a while, from now on."""
    server.loop.call_soon_threadsafe(time.sleep, PAUSE_SECONDS)


@pytest.mark.parametrize("sent", [0, 30, len(HEAD), len(HEAD) + 5], ids=["nothing", "head", "whole head", "body"])
async def test_a_request_that_arrives_while_the_server_is_late_is_answered(
    sent: int,
    server: RunningServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.protocols.HEAD_SECONDS", SHORT_SECONDS)
    monkeypatch.setattr("api.graphql.BODY_SECONDS", SHORT_SECONDS)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    request = HEAD + BODY
    writer.write(request[:sent])
    await asyncio.sleep(SHORT_SECONDS / 3)
    pause(server)
    await asyncio.sleep(PAUSE_SECONDS / 3)
    writer.write(request[sent:])
    answer = await asyncio.wait_for(reader.read(65_536), GENEROUS_SECONDS)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"ada"' in answer
    writer.transport.abort()


async def test_an_introduction_that_arrives_while_the_server_is_late_counts(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.sockets.CONNECTION_INIT_SECONDS", SHORT_SECONDS)
    async with server.socket(None) as socket:
        pause(server)
        await asyncio.sleep(PAUSE_SECONDS / 3)
        await send(socket, {"type": "connection_init", "payload": {"authorization": "Bearer ada"}})
        assert await receive(socket) == {"type": "connection_ack"}


@pytest.fixture
def hasty_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """Provide a server that pings often, and soon closes connections that are idle."""
    monkeypatch.setattr("api.server.WS_PING_SECONDS", SHORT_SECONDS)
    monkeypatch.setattr("api.server.KEEP_ALIVE_SECONDS", 1)
    server = start_server()
    yield server
    server.stop()


async def test_an_answer_to_a_ping_that_arrives_while_the_server_is_late_counts(hasty_server: RunningServer) -> None:
    async with hasty_server.socket() as socket:
        for number in range(4):
            await asyncio.sleep(SHORT_SECONDS)
            hasty_server.loop.call_soon_threadsafe(time.sleep, 3 * SHORT_SECONDS)
            await subscribe(socket, str(number), "{ whoami }")
            assert (await receive(socket))["payload"] == {"data": {"whoami": "ada"}}
            assert (await receive(socket))["type"] == "complete"


async def test_the_next_request_of_an_idle_connection_arrives_while_the_server_is_late(
    hasty_server: RunningServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty_server.port)
    for _ in range(2):
        writer.write(HEAD + BODY)
        assert (await asyncio.wait_for(reader.read(65_536), GENEROUS_SECONDS)).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.5)
        pause(hasty_server)
        await asyncio.sleep(PAUSE_SECONDS / 3)
    writer.transport.abort()


async def test_who_sends_nothing_more_is_late_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.deadlines.LOOK_AGAIN_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        async with deadline(0.01):
            await asyncio.sleep(60)


async def test_a_socket_waits_while_others_have_all_connections_to_the_database(server: RunningServer) -> None:
    server.stage.busy_times = 3
    async with server.socket("busy") as socket:
        await subscribe(socket, "1", "{ whoami }")
        assert (await receive(socket))["payload"] == {"data": {"whoami": "busy"}}
    assert server.stage.busy_times == 0
