"""Server-sent events: subscriptions over plain HTTP, with the same credentials and the same ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
import pytest

from schema.delivery import EVENT_ATTEMPTS
from schema.masking import RETRY_AFTER_SECONDS
from schema.scalars import MAX_CURSOR_LENGTH
from tests.api.conftest import RunningServer
from tests.api.small import SECRET, DatabaseAway
from tests.fixtures.live import GENEROUS_SECONDS, until

EVENTS = {"accept": "text/event-stream"}


@asynccontextmanager
async def stream(server: RunningServer, query: str, subject: str | None = "ada") -> AsyncIterator[httpx2.Response]:
    async with (
        server.client(subject) as client,
        client.stream("POST", "/graphql", json={"query": query}, headers=EVENTS) as response,
    ):
        yield response


async def events(response: httpx2.Response) -> list[tuple[str, Any]]:
    found = []
    text = "".join([part async for part in response.aiter_text()])
    for block in text.split("\r\n\r\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\r\n") if ": " in line)
        if "event" in lines:
            found.append((lines["event"], orjson.loads(lines["data"]) if lines["data"] else None))
    return found


async def read(server: RunningServer, query: str) -> list[tuple[str, Any]]:
    async with stream(server, query) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"].startswith("no-cache")
        return await events(response)


async def test_streams_a_subscription_to_its_end(server: RunningServer) -> None:
    found = await read(server, "subscription { count(to: 2) }")
    assert found == [("next", {"data": {"count": 0}}), ("next", {"data": {"count": 1}}), ("complete", None)]
    assert server.stage.requests[0].transport.value == "SSE"


async def test_runs_queries_but_no_mutations(server: RunningServer) -> None:
    assert await read(server, "{ whoami }") == [("next", {"data": {"whoami": "ada"}}), ("complete", None)]
    (_, answer), end = await read(server, "mutation { touch }")
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert end == ("complete", None)
    assert server.stage.touched == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { denied }", "FORBIDDEN"),
        ("subscription { breaks(after: 1) }", "INTERNAL"),
        ("subscription { lags }", "UNAVAILABLE"),
        ("subscription { nope }", "BAD_USER_INPUT"),
        ("{", "BAD_USER_INPUT"),
    ],
)
async def test_errors_are_masked(server: RunningServer, query: str, code: str) -> None:
    found = await read(server, query)
    assert found[-2][1]["errors"][0]["extensions"]["code"] == code
    assert found[-1] == ("complete", None)
    assert SECRET not in str(found)


@pytest.mark.parametrize("subject", [None, "wrong"])
async def test_needs_a_credential(server: RunningServer, subject: str | None) -> None:
    async with stream(server, "subscription { count(to: 1) }", subject) as response:
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/json"


async def test_going_away_ends_the_generator(server: RunningServer) -> None:
    async with stream(server, "subscription { count(to: 1000, seconds: 0.05) }") as response:
        async for _part in response.aiter_text():
            break
    await until(lambda: server.stage.finished_generators == 1)
    await until(lambda: len(server.app.state.connections) == 0)


async def test_a_subscription_can_drop_a_slow_reader(server: RunningServer) -> None:
    found = await read(server, "subscription { dropped }")
    assert found[0] == ("next", {"data": {"dropped": 1}})
    assert found[1][1]["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert "`after`" in found[1][1]["errors"][0]["message"]
    assert found[2] == ("complete", None)


async def test_a_reader_that_never_reads_again_is_forgotten(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.protocols.UNREAD_SECONDS", 3_600.0)  # so it is not what ends the connection here
    body = b'{"query":"subscription { flood(seconds: 0.2) }"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ada\r\naccept: text/event-stream\r\n"
        b"content-type: application/json\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    assert await reader.read(100)
    await until(lambda: len(server.app.state.connections) == 0)
    writer.transport.abort()


async def test_an_expired_credential_ends_the_stream(server: RunningServer) -> None:
    async with stream(server, "subscription { count(to: 1000, seconds: 0.2) }", "bob@1") as response:
        found = await asyncio.wait_for(events(response), GENEROUS_SECONDS)
    assert found[-2][1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert found[-1] == ("complete", None)


HAPPENINGS = "subscription { happenings(to: %d) { number } }"


async def ids_and_numbers(server: RunningServer, query: str, **headers: str) -> list[tuple[str, int]]:
    """Return the `id` of each event of a stream, and the number of what happened."""
    async with (
        server.client() as client,
        client.stream("POST", "/graphql", json={"query": query}, headers=EVENTS | headers) as response,
    ):
        text = "".join([part async for part in response.aiter_text()])
    found = []
    for block in text.split("\r\n\r\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\r\n") if ": " in line)
        if "id" in lines:
            payload = orjson.loads(lines["data"])
            assert payload["extensions"]["cursor"] == lines["id"]
            found.append((lines["id"], payload["data"]["happenings"]["number"]))
    return found


async def test_each_event_has_its_cursor_as_id(server: RunningServer) -> None:
    assert await ids_and_numbers(server, HAPPENINGS % 2) == [("1", 1), ("2", 2)]


async def test_last_event_id_resumes_although_the_same_body_is_sent_again(server: RunningServer) -> None:
    query = 'subscription { happenings(to: 4, after: "1") { number } }'
    headers = {"Last-Event-ID": "3"}
    assert await ids_and_numbers(server, query, **headers) == [("4", 4)]
    assert await ids_and_numbers(server, query, **{"Last-Event-ID": ""}) == [("2", 2), ("3", 3), ("4", 4)]


async def test_a_last_event_id_that_is_no_cursor_is_refused_by_its_name(server: RunningServer) -> None:
    async with server.client() as client:
        headers = EVENTS | {"Last-Event-ID": "x" * (MAX_CURSOR_LENGTH + 1)}
        response = await client.post("/graphql", json={"query": HAPPENINGS % 1}, headers=headers)
    assert response.status_code == 400
    assert "Last-Event-ID" in response.json()["errors"][0]["message"]


async def test_an_event_that_stays_unread_ends_the_stream_and_says_from_where_to_resume(server: RunningServer) -> None:
    server.stage.hindrances = [DatabaseAway(SECRET)] * EVENT_ATTEMPTS
    failed, end = await read(server, 'subscription { happenings(to: 4, after: "2") { text } }')
    extensions = failed[1]["errors"][0]["extensions"]
    assert (extensions["code"], extensions["reason"], extensions["after"]) == ("UNAVAILABLE", "RESUME", "2")
    assert extensions["retryAfterSeconds"] == RETRY_AFTER_SECONDS
    assert end == ("complete", None)
