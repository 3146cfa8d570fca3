"""GraphQL over WebSocket: hostile messages end in a close code, never in 1006; every operation has its own context."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from api.connections import CLOSE_EXPIRED, CLOSE_RESTART
from api.protocols import CLOSE_UNANSWERED
from api.sockets import (
    CLOSE_INIT_TIMEOUT,
    CLOSE_READER_TOO_SLOW,
    CLOSE_TRY_AGAIN,
    MAX_MESSAGE_LENGTH,
    MAX_OPERATIONS,
)
from schema.delivery import EVENT_ATTEMPTS
from schema.masking import RETRY_AFTER_SECONDS, FeedEnded, ReaderTooSlow
from tests.api.conftest import RunningServer, close_of, receive, send, subscribe
from tests.api.small import SECRET, DatabaseAway
from tests.fixtures.live import until


async def all_messages(socket: ClientConnection, operation_id: str) -> list[Any]:
    """Return the payloads of one operation up to its end."""
    payloads: list[Any] = []
    while True:
        message = await receive(socket)
        if message.get("id") != operation_id:
            continue
        if message["type"] == "complete":
            return payloads
        payloads.append(message["payload"])
        if message["type"] == "error":
            return payloads


async def test_streams_a_subscription_to_its_end(server: RunningServer) -> None:
    async with server.socket() as socket:
        await subscribe(socket, "1", "subscription { count(to: 3) }")
        assert await all_messages(socket, "1") == [{"data": {"count": n}} for n in range(3)]


async def test_runs_queries(server: RunningServer) -> None:
    async with server.socket() as socket:
        await subscribe(socket, "1", "query ($t: String!) { whoami echo(text: $t) }", t="hello")
        assert await all_messages(socket, "1") == [{"data": {"whoami": "ada", "echo": "hello"}}]


async def test_refuses_mutations(server: RunningServer) -> None:
    async with server.socket() as socket:
        await subscribe(socket, "1", "mutation { touch }")
        message = await receive(socket)
        assert message["type"] == "error"
        [error] = message["payload"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "mutations" in error["message"]
        await subscribe(socket, "1", "{ whoami }")
        assert await all_messages(socket, "1") == [{"data": {"whoami": "ada"}}]
    assert server.stage.touched == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "BAD_USER_INPUT"),
        ("{ nope }", "BAD_USER_INPUT"),
        ("fragment A on Query { whoami }", "BAD_USER_INPUT"),
        ("query A { whoami } query B { whoami }", "BAD_USER_INPUT"),
        ("subscription { count(to: true) }", "BAD_USER_INPUT"),
        ("subscription ($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ("subscription { count(to: 1) denied }", "BAD_USER_INPUT"),
        ("{ a { " * 500, "BAD_USER_INPUT"),
        ("{ " + "whoami " * 3_000 + "}", "QUERY_TOO_COMPLEX"),
    ],
)
async def test_a_bad_operation_does_not_harm_the_others(server: RunningServer, query: str, code: str) -> None:
    async with server.socket() as socket:
        await subscribe(socket, "good", "subscription { count(to: 20, seconds: 0.01) }")
        await subscribe(socket, "bad", query)
        errors: list[Any] = []
        numbers = 0
        while True:
            message = await receive(socket)
            if message["id"] == "bad":
                assert message["type"] == "error"
                errors = message["payload"]
            elif message["type"] == "complete":
                break
            else:
                numbers += 1
        assert numbers == 20
        assert errors[0]["extensions"]["code"] == code
        assert errors[0]["extensions"]["requestId"]


@pytest.mark.parametrize(
    ("query", "code", "before"),
    [
        ("subscription { denied }", "FORBIDDEN", 0),
        ("subscription { breaks(after: 0) }", "INTERNAL", 0),
        ("subscription { breaks(after: 2) }", "INTERNAL", 2),
    ],
)
async def test_errors_of_a_subscription_are_masked(server: RunningServer, query: str, code: str, before: int) -> None:
    async with server.socket() as socket:
        await subscribe(socket, "1", query)
        payloads = await all_messages(socket, "1")
        assert len(payloads) == before + 1
        errors = payloads[-1] if isinstance(payloads[-1], list) else payloads[-1]["errors"]
        assert [error["extensions"]["code"] for error in errors] == [code]
        assert SECRET not in str(payloads)


async def test_each_operation_has_its_own_context_and_loaders(server: RunningServer) -> None:
    async with server.socket() as socket:
        for operation_id in ("1", "2", "3"):
            await subscribe(socket, operation_id, "{ a: square(of: 2) b: square(of: 2) }")
            assert await all_messages(socket, operation_id) == [{"data": {"a": 4, "b": 4}}]
    assert server.stage.batches == [[2], [2], [2]], "a loader that outlives its operation would answer from memory"
    assert len({request.request_id for request in server.stage.requests}) == 3
    assert {request.transport.value for request in server.stage.requests} == {"WEBSOCKET"}


async def test_answers_pings_and_ignores_pongs(server: RunningServer) -> None:
    async with server.socket(None) as socket:
        await send(socket, {"type": "pong"})
        await send(socket, {"type": "ping", "payload": {"a": 1}})
        assert await receive(socket) == {"type": "pong"}


async def test_completing_ends_the_generator(server: RunningServer) -> None:
    async with server.socket() as socket:
        await subscribe(socket, "1", "subscription { count(to: 1000, seconds: 0.05) }")
        await receive(socket)
        await send(socket, {"id": "1", "type": "complete"})
        await send(socket, {"id": "unknown", "type": "complete"})
        await until(lambda: server.stage.finished_generators == 1)
        await subscribe(socket, "1", "{ whoami }")
        assert {"data": {"whoami": "ada"}} in await all_messages(socket, "1")


async def test_going_away_ends_the_generators(server: RunningServer) -> None:
    async with server.socket() as socket:
        for number in range(5):
            await subscribe(socket, str(number), "subscription { count(to: 1000, seconds: 0.05) }")
            await receive(socket)
        socket.transport.abort()
    await until(lambda: server.stage.finished_generators == 5)
    await until(lambda: len(server.app.state.connections) == 0)


# ── Introduction ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("payload", [{"authorization": "Bearer ada"}, {"Authorization": "Bearer ada"}])
async def test_the_payload_introduces_the_actor(server: RunningServer, payload: dict[str, str]) -> None:
    async with server.socket(None) as socket:
        await send(socket, {"type": "connection_init", "payload": payload})
        assert await receive(socket) == {"type": "connection_ack"}


async def test_without_a_payload_the_header_of_the_handshake_counts(server: RunningServer) -> None:
    async with server.socket(None, additional_headers={"authorization": "Bearer ada"}) as socket:
        await send(socket, {"type": "connection_init"})
        assert await receive(socket) == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "payload",
    [None, {}, {"authorization": None}, {"authorization": ""}, {"authorization": "Bearer wrong"}, {"authorization": 5},
     {"authorization": ["Bearer ada"]}, {"authorization": {"a": "b"}}, {"authorization": "x" * 10_000},
     {"token": "ada"}],
)  # fmt: skip
async def test_a_bad_introduction_closes_with_4403(server: RunningServer, payload: object) -> None:
    async with server.socket(None) as socket:
        await send(socket, {"type": "connection_init", "payload": payload})
        code, reason = await close_of(socket)
    assert code == 4403
    assert reason == "Forbidden: the credential is missing or not valid"
    assert server.stage.requests == []


@pytest.mark.parametrize("subject", ["away", "broken"])
async def test_a_failure_while_authenticating_closes_with_1013(server: RunningServer, subject: str) -> None:
    async with server.socket(None) as socket:
        await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {subject}"}})
        code, reason = await close_of(socket)
    assert code == 1013
    assert SECRET not in str(reason)


async def test_who_does_not_introduce_themselves_in_time_is_closed_with_4408(server: RunningServer) -> None:
    async with server.socket(None) as silent:
        assert (await close_of(silent))[0] == 4408


async def test_our_own_time_is_not_held_against_the_client(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sent its credential in time waits for the answer, and then gets a close code to come back with."""
    monkeypatch.setattr("api.sockets.CONNECTION_INIT_SECONDS", 0.3)
    async with server.socket(None) as slow:
        await send(slow, {"type": "connection_init", "payload": {"authorization": "Bearer slow"}})
        assert await receive(slow) == {"type": "connection_ack"}
    monkeypatch.setattr("api.sockets.AUTHENTICATION_SECONDS", 0.1)
    async with server.socket(None) as hanging:
        await send(hanging, {"type": "connection_init", "payload": {"authorization": "Bearer hangs"}})
        assert (await close_of(hanging))[0] == CLOSE_TRY_AGAIN


async def test_sockets_are_authenticated_a_few_at_a_time_and_all_in_the_end(server: RunningServer) -> None:
    """A crowd that comes back after a restart must not take all connections to the database at once."""

    async def introduce() -> Any:
        async with server.socket(None) as socket:
            await send(socket, {"type": "connection_init", "payload": {"authorization": "Bearer slow"}})
            return (await receive(socket))["type"]

    slots = server.app.state.view.introductions
    server.app.state.view.introductions = asyncio.Semaphore(3)
    try:
        types = await asyncio.gather(*(introduce() for _ in range(9)))
    finally:
        server.app.state.view.introductions = slots
    assert set(types) == {"connection_ack"}
    assert server.stage.most_authenticating == 3


async def test_subscribing_without_an_introduction_closes_with_4401(server: RunningServer) -> None:
    async with server.socket(None) as socket:
        await subscribe(socket, "1", "{ whoami }")
        assert await close_of(socket) == (4401, "Unauthorized")


async def test_a_second_introduction_closes_with_4429(server: RunningServer) -> None:
    async with server.socket() as socket:
        await send(socket, {"type": "connection_init", "payload": {"authorization": "Bearer ada"}})
        assert await close_of(socket) == (4429, "Too many initialisation requests")


# ── Hostile messages ──────────────────────────────────────────────────────────────────────────────────────────────────

INIT = '{"type":"connection_init","payload":%s}'
SUBSCRIBE = '{"id":"1","type":"subscribe","payload":%s}'
DEEP = 20_000

HOSTILE_MESSAGES: dict[str, str | bytes] = {
    "nothing": "",
    "no JSON": "hello",
    "half JSON": '{"type":',
    "NaN": "NaN",
    "a number": "5",
    "null": "null",
    "true": "true",
    "a text": '"ping"',
    "a list": "[]",
    "a list of messages": '[{"type":"ping"}]',
    "an empty object": "{}",
    "binary": b'{"type":"ping"}',
    "binary rubbish": bytes(range(256)),
    "a number as type": '{"type":5}',
    "null as type": '{"type":null}',
    "a list as type": '{"type":["ping"]}',
    "an object as type": '{"type":{"ping":1}}',
    "an unknown type": '{"type":"hello"}',
    "a message of the server": '{"type":"connection_ack"}',
    "next": '{"type":"next","id":"1","payload":{}}',
    "a long unknown type": '{"type":"%s"}' % ("x" * 5_000),
    "a unicode type": '{"type":"\\u65e5\\u672c"}',
    "legacy start": '{"type":"start","id":"1","payload":{"query":"{ whoami }"}}',
    "legacy terminate": '{"type":"connection_terminate"}',
    "a number as ping payload": '{"type":"ping","payload":5}',
    "a list as init payload": INIT % "[]",
    "a text as init payload": INIT % '"ada"',
    "a number as init payload": INIT % "5",
    "subscribe without id": '{"type":"subscribe","payload":{"query":"{ whoami }"}}',
    "a number as id": '{"id":1,"type":"subscribe","payload":{"query":"{ whoami }"}}',
    "null as id": '{"id":null,"type":"subscribe","payload":{"query":"{ whoami }"}}',
    "a list as id": '{"id":[],"type":"subscribe","payload":{"query":"{ whoami }"}}',
    "an empty id": '{"id":"","type":"subscribe","payload":{"query":"{ whoami }"}}',
    "a long id": '{"id":"%s","type":"subscribe","payload":{"query":"{ whoami }"}}' % ("i" * 5_000),
    "complete without id": '{"type":"complete"}',
    "an object as id of complete": '{"type":"complete","id":{}}',
    "subscribe without payload": '{"id":"1","type":"subscribe"}',
    "null as payload": SUBSCRIBE % "null",
    "a list as payload": SUBSCRIBE % "[]",
    "a text as payload": SUBSCRIBE % '"{ whoami }"',
    "no query": SUBSCRIBE % "{}",
    "null as query": SUBSCRIBE % '{"query":null}',
    "a number as query": SUBSCRIBE % '{"query":5}',
    "a list as variables": SUBSCRIBE % '{"query":"{ whoami }","variables":[]}',
    "a number as operation name": SUBSCRIBE % '{"query":"{ whoami }","operationName":5}',
    "a text as extensions": SUBSCRIBE % '{"query":"{ whoami }","extensions":"x"}',
    "nested brackets": "[" * DEEP + "]" * DEEP,
    "nested payload": SUBSCRIBE % ('{"a":' * DEEP + "1" + "}" * DEEP),
    "5,000 digits": SUBSCRIBE % ('{"query":"{ whoami }","variables":' + "9" * 5_000 + "}"),
}


@pytest.mark.parametrize("introduced", [True, False], ids=["introduced", "unknown"])
@pytest.mark.parametrize("name", list(HOSTILE_MESSAGES))
async def test_hostile_messages_close_with_4400(server: RunningServer, name: str, introduced: bool) -> None:  # noqa: FBT001
    async with server.socket("ada" if introduced else None) as socket:
        await socket.send(HOSTILE_MESSAGES[name])
        code, reason = await close_of(socket)
    operation = name in {"no query", "null as query", "a number as query", "a list as variables",
                         "a number as operation name", "a text as extensions"}  # fmt: skip
    assert code == (4401 if operation and not introduced else 4400)
    assert reason
    assert len(reason.encode()) <= 123


@pytest.mark.parametrize("length", [MAX_MESSAGE_LENGTH + 1, 1_000_000, 3_000_000])
async def test_huge_messages_close_with_1009(server: RunningServer, length: int) -> None:
    async with server.socket() as socket:
        with contextlib.suppress(ConnectionClosed):
            await socket.send("x" * length)
        code, _reason = await close_of(socket)
    assert code == 1009


async def test_a_huge_message_in_pieces_closes_with_1009(server: RunningServer) -> None:
    async with server.socket() as socket:
        with contextlib.suppress(ConnectionClosed):
            await socket.send("x" * 10_000 for _ in range(1_000))
        code, _reason = await close_of(socket)
    assert code == 1009


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame(Opcode.TEXT, b"\xff\xfe"), 1007),
        (Frame(Opcode.TEXT, b"{}", rsv1=True), 1002),
        (Frame(Opcode.CONT, b"{}"), 1002),
        (Frame(Opcode.CLOSE, b"\x00"), 1002),
        (Frame(Opcode.CLOSE, b"\x03\xed"), 1002),
        (Frame(Opcode.PING, b"x" * 126), 1002),
    ],
    ids=["invalid UTF-8", "reserved bit", "continues nothing", "short close", "reserved close code", "long ping"],
)
async def test_broken_frames_close_with_the_code_of_the_protocol(
    server: RunningServer, frame: Frame, expected: int
) -> None:
    async with server.socket() as socket:
        socket.transport.write(serialised(frame))
        code, _reason = await close_of(socket)
    assert code == expected


def serialised(frame: Frame) -> bytes:
    """Return the bytes of a frame, also of one that the client library would refuse to send."""
    head = bytes([0x80 | (0x40 if frame.rsv1 else 0) | frame.opcode.value])
    size = len(frame.data)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126, size >> 8, size & 0xFF])
    return head + length + b"\x00\x00\x00\x00" + bytes(frame.data)


async def test_a_running_id_closes_with_4409(server: RunningServer) -> None:
    async with server.socket() as socket:
        for _ in range(2):
            await subscribe(socket, "1\u65e5" + "x" * 100, "subscription { count(to: 100, seconds: 0.05) }")
        assert await close_of(socket) == (4409, "An operation with this id is running")


async def test_one_operation_too_many_is_refused_and_the_others_go_on(server: RunningServer) -> None:
    async with server.socket() as socket:
        for number in range(MAX_OPERATIONS):
            await subscribe(socket, str(number), "subscription { count(to: 2, seconds: 30) }")
        for _ in range(MAX_OPERATIONS):
            assert (await receive(socket))["type"] == "next"
        await subscribe(socket, "more", "{ whoami }")
        refused = await receive(socket)
        assert (refused["id"], refused["type"]) == ("more", "error")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert str(MAX_OPERATIONS) in refused["payload"][0]["message"]
        assert refused["payload"][0]["extensions"]["requestId"]
        assert server.stage.finished_generators == 0
        await send(socket, {"id": "7", "type": "complete"})
        await until(lambda: server.stage.finished_generators == 1)
        await subscribe(socket, "more", "{ whoami }")
        assert await all_messages(socket, "more") == [{"data": {"whoami": "ada"}}]
    await until(lambda: server.stage.finished_generators == MAX_OPERATIONS)


async def test_hostile_sockets_leave_the_server_well(server: RunningServer) -> None:
    async def attack(message: str | bytes) -> int | None:
        async with server.socket() as socket:
            await socket.send(message)
            return (await close_of(socket))[0]

    codes = await asyncio.gather(*(attack(message) for message in HOSTILE_MESSAGES.values()))
    assert set(codes) == {4400}
    async with server.socket() as socket:
        await subscribe(socket, "1", "{ whoami }")
        assert await all_messages(socket, "1") == [{"data": {"whoami": "ada"}}]


@pytest.mark.parametrize("protocols", [["graphql-ws"], ["graphql-sse"], ["nonsense"], None])
async def test_other_subprotocols_close_with_4406(server: RunningServer, protocols: list[str] | None) -> None:
    """The legacy protocol `graphql-ws` is not spoken."""
    wanted = None if protocols is None else [Subprotocol(protocol) for protocol in protocols]
    async with connect(server.socket_url, subprotocols=wanted) as socket:
        assert socket.subprotocol is None
        assert (await close_of(socket))[0] == 4406


# ── Slow readers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("query", ["subscription { lags }", "subscription { dropped }"])
async def test_a_subscription_can_drop_a_slow_reader(server: RunningServer, query: str) -> None:
    async with server.socket() as socket:
        await subscribe(socket, "1", query)
        assert (await receive(socket))["type"] == "next"
        code, reason = await close_of(socket)
    assert code == 4290
    assert "`after`" in str(reason)


async def test_a_reader_that_stopped_reading_is_dropped(server: RunningServer) -> None:
    """The close frame waits behind what was not read; a reader that comes back in time sees it."""
    async with server.socket(max_queue=1, max_size=None) as socket:
        await subscribe(socket, "1", "subscription { flood(seconds: 0.5) }")
        await asyncio.sleep(1.5)
        assert await close_of(socket) == (4290, ReaderTooSlow.message)


async def test_a_reader_that_never_reads_again_is_forgotten(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.protocols.UNREAD_SECONDS", 3_600.0)  # so it is not what ends the connection here
    async with server.socket(max_queue=1, max_size=None) as socket:
        await subscribe(socket, "1", "subscription { flood(seconds: 0.2) }")
        await until(lambda: len(server.app.state.connections) == 0)
        socket.transport.abort()


# ── Events: none is lost ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_that_cannot_be_read_at_first_is_tried_again(server: RunningServer) -> None:
    server.stage.hindrances = [DatabaseAway(SECRET), DatabaseAway(SECRET)]
    async with server.socket() as socket:
        await subscribe(socket, "1", "subscription { happenings(to: 3) { number text } }")
        assert await all_messages(socket, "1") == [event(number) for number in (1, 2, 3)]


async def test_an_event_that_stays_unread_ends_the_operation_and_says_from_where_to_resume(
    server: RunningServer,
) -> None:
    async with server.socket() as socket:
        await subscribe(socket, "1", "subscription { happenings(to: 2) { number text } }")
        assert await receive(socket) == {"id": "1", "type": "next", "payload": event(1)}
        assert await all_messages(socket, "1") == [event(2)]
        server.stage.hindrances = [DatabaseAway(SECRET)] * EVENT_ATTEMPTS
        await subscribe(socket, "2", 'subscription { happenings(to: 4, after: "2") { number text } }')
        [[error]] = await all_messages(socket, "2")
        assert error["extensions"]["code"] == "UNAVAILABLE"
        assert error["extensions"]["reason"] == "RESUME"
        assert error["extensions"]["after"] == "2"
        assert error["extensions"]["retryAfterSeconds"] == RETRY_AFTER_SECONDS
        assert error["extensions"]["requestId"]
        assert SECRET not in str(error)
        query = "subscription ($after: String) { happenings(to: 4, after: $after) { number text } }"
        await subscribe(socket, "3", query, after=error["extensions"]["after"])
        assert await all_messages(socket, "3") == [event(3), event(4)]


async def test_an_event_that_cannot_be_read_ever_is_told_with_its_cursor_and_the_next_one_follows(
    server: RunningServer,
) -> None:
    """A bug in one event must not hold up all that come after it; the reader knows which one it was."""
    server.stage.hindrances = [RuntimeError(SECRET)]
    async with server.socket() as socket:
        await subscribe(socket, "1", "subscription { happenings(to: 2) { number text } }")
        broken, sound = await all_messages(socket, "1")
    assert broken["data"] is None
    assert broken["extensions"] == {"cursor": "1"}
    assert [error["extensions"]["code"] for error in broken["errors"]] == ["INTERNAL"]
    assert sound == event(2)


@pytest.mark.parametrize(
    ("failure", "extensions"),
    [
        (DatabaseAway(SECRET), {"code": "UNAVAILABLE", "reason": "RESUME", "after": "2"}),
        (FeedEnded(), {"code": "UNAVAILABLE", "reason": "RESUME", "after": "2"}),
        (RuntimeError(SECRET), {"code": "INTERNAL"}),
    ],
    ids=["the database is away", "the process stops", "a bug"],
)
async def test_a_source_that_fails_ends_the_operation_with_an_error(
    server: RunningServer, failure: Exception, extensions: dict[str, str]
) -> None:
    """`complete` would tell a client that nothing more can come, so that it would not resume."""
    server.stage.source_error = failure
    async with server.socket() as socket:
        await subscribe(socket, "1", "subscription { happenings(to: 2) { number text } }")
        first, second, [error] = await all_messages(socket, "1")
    assert [first, second] == [event(1), event(2)]
    assert {key: error["extensions"].get(key) for key in extensions} == extensions


def event(number: int) -> dict[str, Any]:
    """Return an event of `happenings` as it is sent."""
    data = {"happenings": {"number": number, "text": f"event {number}"}}
    return {"data": data, "extensions": {"cursor": str(number)}}


async def test_no_close_code_of_ours_for_what_passes_makes_graphql_ws_give_up() -> None:
    """https://github.com/enisdenjo/graphql-ws: the codes after which its client does not come back."""
    retried = {1000, 1001, 1005, 1006, 1012, 1013, 1014}
    gives_up = {4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500} | (set(range(1000, 2000)) - retried)
    passing = {
        CLOSE_RESTART,
        CLOSE_EXPIRED,
        CLOSE_TRY_AGAIN,
        CLOSE_READER_TOO_SLOW,
        CLOSE_INIT_TIMEOUT,
        CLOSE_UNANSWERED,
    }
    assert not passing & gives_up


async def test_a_client_that_does_not_answer_pings_is_closed_with_1013(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.server.config, "ws_ping_interval", 0.05)
    monkeypatch.setattr(server.server.config, "ws_ping_timeout", 0.05)
    async with server.socket() as socket:
        monkeypatch.setattr(socket.protocol, "recv_frame", unanswering(socket.protocol.recv_frame))
        assert (await close_of(socket))[0] == CLOSE_UNANSWERED


def unanswering(recv_frame: Callable[[Frame], None]) -> Callable[[Frame], None]:
    """Return a client that takes every frame but pings."""

    def take(frame: Frame) -> None:
        if frame.opcode is not Opcode.PING:
            recv_frame(frame)

    return take
