"""The probes, the printed schema and the request ids."""

import re
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from schema.executable import print_sdl
from tests.api.conftest import RunningServer, receive, subscribe
from tests.api.small import SCHEMA, SECRET
from tests.fixtures.live import until


async def test_is_alive_also_when_it_cannot_serve(server: RunningServer) -> None:
    server.stage.ready_error = ConnectionError(SECRET)
    async with server.client(None) as client:
        alive = await client.get("/healthz")
        ready = await client.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable"})


async def test_is_ready_when_it_can_serve(server: RunningServer) -> None:
    async with server.client(None) as client:
        ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
    assert ready.headers["cache-control"] == "no-store"


async def test_the_log_tells_when_it_is_not_ready_any_more_and_when_it_is_again(server: RunningServer) -> None:
    """Probes come every few seconds: a line for each would hide what is new."""
    with capture_logs() as lines:
        async with server.client(None) as client:
            for error in (None, ConnectionError(SECRET), ConnectionError(SECRET), None, None):
                server.stage.ready_error = error
                await client.get("/readyz")
    told = [line for line in lines if line["event"] != "request"]
    assert [(line["event"], line["log_level"], line.get("reason")) for line in told] == [
        ("not ready", "warning", "ConnectionError"),
        ("ready again", "info", None),
    ]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/schema.graphql"])
async def test_probes_are_read_only(server: RunningServer, path: str) -> None:
    async with server.client(None) as client:
        response = await client.post(path)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_serves_the_printed_schema_with_an_etag(server: RunningServer) -> None:
    async with server.client(None) as client:
        first = await client.get("/schema.graphql")
        assert first.status_code == 200
        assert first.text == print_sdl(SCHEMA)
        assert first.headers["content-type"].startswith("text/plain")
        etag = first.headers["etag"]
        for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = await client.get("/schema.graphql", headers={"if-none-match": sent})
            assert (again.status_code, again.content) == (304, b"")
        changed = await client.get("/schema.graphql", headers={"if-none-match": '"other"'})
        assert changed.status_code == 200


@pytest.mark.parametrize("sent", ["abc", "0190a000-0000-7000-8000-000000000001", "a.b_c-D", "x" * 64])
async def test_a_sane_request_id_is_kept(client: httpx2.AsyncClient, sent: str) -> None:
    response = await client.post("/graphql", json={"query": "{ broken }"}, headers={"x-request-id": sent})
    assert response.headers["x-request-id"] == sent
    assert response.json()["errors"][0]["extensions"]["requestId"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "-a", "ü", '{"a":1}', "a\tb", "<script>"])
async def test_any_other_request_id_is_replaced(client: httpx2.AsyncClient, sent: str) -> None:
    response = await client.post(
        "/graphql", json={"query": "{ broken }"}, headers=[(b"x-request-id", sent.encode("utf-8"))]
    )
    made = response.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert response.json()["errors"][0]["extensions"]["requestId"] == made


async def lines_of(server: RunningServer, request: dict[str, Any], **headers: str) -> list[Any]:
    with capture_logs() as lines:
        async with server.client("ada-s3cret", **headers) as client:
            await client.post("/graphql?token=s3cret", json=request)
        await until(lambda: any(line["event"] == "request" for line in lines))
    return list(lines)


async def test_the_access_log_names_the_operation_but_no_secret(server: RunningServer) -> None:
    request = {
        "query": "query Lookup($t: String!) { echo(text: $t) }",
        "variables": {"t": "s3cret"},
        "operationName": "Lookup",
    }
    [line] = await lines_of(server, request)
    assert line["operation"] == "Lookup"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/graphql", 200)
    assert line["tenant"] == "0190a000-0000-7000-8000-000000000001"
    assert line["actor_kind"] == "STAFF"
    assert line["duration_ms"] >= 0
    assert "s3cret" not in str(line)
    assert "echo" not in str(line)


@pytest.mark.parametrize("name", ["x" * 200, "a b", 'a","level":"error', "ü", "a\nb"])
async def test_an_operation_name_that_is_no_plain_word_is_not_logged(server: RunningServer, name: str) -> None:
    [line] = await lines_of(server, {"query": "query Fine { whoami }", "operationName": name})
    assert "operation" not in line


async def test_a_bug_is_logged_under_its_request_id(server: RunningServer) -> None:
    lines = await lines_of(server, {"query": "query Private { broken }"}, **{"x-request-id": "find-me"})
    [bug] = [line for line in lines if line["log_level"] == "error"]
    assert bug["request_id"] == "find-me"
    assert "Private" not in str(bug)


async def test_probes_do_not_fill_the_log(server: RunningServer) -> None:
    with capture_logs() as lines:
        async with server.client(None) as client:
            await client.get("/healthz")
            await client.get("/readyz")
            await client.get("/schema.graphql")
        await until(lambda: bool(lines))
    assert [line["path"] for line in lines] == ["/schema.graphql"]


async def test_a_socket_is_one_line_with_its_close_code(server: RunningServer) -> None:
    with capture_logs() as lines:
        async with server.socket() as socket:
            await subscribe(socket, "1", "{ whoami }")
            await receive(socket)
            await socket.send("rubbish")
            await socket.wait_closed()
        await until(lambda: bool(lines))
    [line] = lines
    assert (line["event"], line["status"], line["close_code"]) == ("socket", 101, 4400)
    assert line["actor_kind"] == "STAFF"
