"""Pages of other origins: what a preflight answers, which answers a page may read, and whose calls are refused."""

import httpx2
import orjson
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from api.pages import ANSWER_HEADERS, PREFLIGHT_SECONDS, REQUEST_HEADERS
from tests.api.conftest import CONSOLE, PROTOCOL, RunningServer, close_of, receive, send, subscribe

ORIGIN = "https://salon.example"
EVIL = "https://evil.example"
ALLOW = "access-control-allow-origin"

SENT_BY_CLIENTS = {
    "Apollo Client": "authorization, content-type, accept, apollo-require-preflight, "
    "apollographql-client-name, apollographql-client-version",
    "urql": "authorization, content-type, accept",
    "Relay and graphql-request": "authorization, content-type, accept, accept-language",
    "graphql-sse": "authorization, content-type, accept, last-event-id, cache-control",
    "Sentry": "authorization, content-type, sentry-trace, baggage",
    "OpenTelemetry": "authorization, content-type, traceparent, tracestate, baggage",
    "ours": "authorization, content-type, idempotency-key, x-request-id",
}


async def preflight(client: httpx2.AsyncClient, origin: str, headers: str = "authorization") -> httpx2.Response:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": headers}
    return await client.options("/graphql", headers={"origin": origin, **asked})


async def whoami(client: httpx2.AsyncClient, **headers: str) -> httpx2.Response:
    return await client.post("/graphql", json={"query": "{ whoami }"}, headers=headers)


@pytest.mark.parametrize("client_name", SENT_BY_CLIENTS)
async def test_a_preflight_allows_what_clients_send(server: RunningServer, client_name: str) -> None:
    """No tenant is known yet, so any origin gets the answer; nothing of it is cached for another one."""
    async with server.client(None) as client:
        answer = await preflight(client, ORIGIN, SENT_BY_CLIENTS[client_name])
    assert answer.status_code == 204
    assert answer.headers[ALLOW] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert answer.headers["access-control-max-age"] == str(PREFLIGHT_SECONDS)
    allowed = set(answer.headers["access-control-allow-headers"].split(", "))
    assert {name.strip() for name in SENT_BY_CLIENTS[client_name].split(",")} <= allowed
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_preflight_for_a_strange_header_says_in_the_log_what_is_wrong(server: RunningServer) -> None:
    with capture_logs() as logs:
        async with server.client(None) as client:
            answer = await preflight(client, ORIGIN, "Authorization, X-Tenant")
    assert "x-tenant" not in answer.headers["access-control-allow-headers"]
    (said,) = [entry for entry in logs if "headers" in entry]
    assert (said["log_level"], said["headers"], said["origin"]) == ("info", ["x-tenant"], ORIGIN)


@pytest.mark.parametrize("origin", ["null", "file://", "http://localhost:*", "https://salon.example/app", "x" * 5_000])
async def test_an_origin_that_no_tenant_can_allow_is_refused_before_and_after(
    server: RunningServer, origin: str
) -> None:
    server.stage.allowed_origins = {ORIGIN, "http://localhost:*", origin}
    async with server.client() as client:
        for answer in (await preflight(client, origin), await whoami(client, origin=origin)):
            assert answer.status_code == 403
            assert ALLOW not in answer.headers
            (error,) = answer.json()["errors"]
            assert error["extensions"]["reason"] == "ORIGIN_NOT_ALLOWED"
            assert len(error["message"]) < 300


async def test_options_without_a_page_is_no_preflight(client: httpx2.AsyncClient) -> None:
    assert (await client.options("/graphql")).status_code == 405
    assert (await client.options("/graphql", headers={"origin": ORIGIN})).status_code == 405


async def test_a_page_reads_answers_where_its_tenant_allows_it(server: RunningServer) -> None:
    server.stage.allowed_origins = {ORIGIN}
    async with server.client() as client:
        answer = await whoami(client, origin=ORIGIN)
        foreign = await whoami(client, origin=EVIL)
        system = await whoami(client)
    assert answer.json() == system.json() == {"data": {"whoami": "ada"}}
    assert answer.headers[ALLOW] == ORIGIN
    assert set(answer.headers["access-control-expose-headers"].split(", ")) == set(ANSWER_HEADERS)
    assert [part.strip() for part in answer.headers["vary"].split(",")] == ["Accept", "Origin"]
    assert ALLOW not in system.headers
    assert (foreign.status_code, ALLOW in foreign.headers) == (403, False)
    (error,) = foreign.json()["errors"]
    assert (error["extensions"]["code"], error["extensions"]["reason"]) == ("FORBIDDEN", "ORIGIN_NOT_ALLOWED")
    assert EVIL in error["message"]
    assert "allowedOriginsSet" in error["message"]


async def test_a_refused_page_changes_nothing_and_is_logged_with_what_to_set(server: RunningServer) -> None:
    server.stage.allowed_origins = {ORIGIN}
    with capture_logs() as logs:
        async with server.client() as client:
            await client.post("/graphql", json={"query": "mutation { touch }"}, headers={"origin": EVIL})
    assert server.stage.touched == 0
    (said,) = [entry for entry in logs if "remedy" in entry]
    assert (said["log_level"], said["origin"], said["remedy"]) == ("info", EVIL, "allowedOriginsSet")
    assert said["tenant"]


async def test_a_page_reads_why_it_is_not_signed_in(server: RunningServer) -> None:
    """Nothing of a tenant is in what was answered before one was known: 401, 413, 415 and 503 can be read."""
    cases: list[tuple[str | None, int, dict[str, str]]] = [
        ("wrong", 401, {}),
        (None, 401, {}),
        ("away", 503, {}),
        ("ada", 415, {"content-type": "text/plain"}),
        ("ada", 406, {"accept": "image/png"}),
    ]
    async with server.client(None) as client:
        for subject, status, headers in cases:
            credential = {} if subject is None else {"authorization": f"Bearer {subject}"}
            sent = {"content-type": "application/json", "origin": EVIL, **credential, **headers}
            answer = await client.post("/graphql", content=b'{"query": "{ whoami }"}', headers=sent)
            assert (answer.status_code, answer.headers.get(ALLOW)) == (status, EVIL)


@pytest.mark.parametrize("path", ["/schema.graphql", "/readyz", "/nowhere"])
async def test_other_addresses_are_for_no_page(server: RunningServer, path: str) -> None:
    async with server.client() as client:
        assert ALLOW not in (await client.get(path, headers={"origin": ORIGIN})).headers


async def test_pages_of_the_service_and_of_every_tenant_may_call(server: RunningServer) -> None:
    own = f"http://127.0.0.1:{server.port}"
    async with server.client() as client:
        for origin, more in ((own, {}), (CONSOLE, {}), (EVIL, {"sec-fetch-site": "same-origin"})):
            assert (await whoami(client, origin=origin, **more)).status_code == 200
        assert (await whoami(client, origin="http://127.0.0.1:1")).status_code == 403
        two = [("origin", CONSOLE), ("origin", EVIL), ("authorization", "Bearer ada")]
        answer = await client.post("/graphql", json={"query": "{ whoami }"}, headers=two)
        assert answer.status_code == 403


async def test_a_stream_of_events_has_the_headers_of_its_page(server: RunningServer) -> None:
    server.stage.allowed_origins = {ORIGIN}
    body, headers = {"query": "subscription { count(to: 1) }"}, {"accept": "text/event-stream"}
    async with server.client() as client:
        allowed = await client.post("/graphql", json=body, headers=headers | {"origin": ORIGIN})
        refused = await client.post("/graphql", json=body, headers=headers | {"origin": EVIL})
    assert (allowed.status_code, allowed.headers[ALLOW]) == (200, ORIGIN)
    assert '"count":0' in allowed.text
    assert (refused.status_code, ALLOW in refused.headers) == (403, False)


async def test_the_page_of_a_socket_is_judged_when_its_tenant_is_known(server: RunningServer) -> None:
    """A page that introduces nobody is told so first: of an origin nothing can be said without a tenant."""
    server.stage.allowed_origins = {ORIGIN}
    for origin, subject, expected in (
        (ORIGIN, "ada", None),
        (EVIL, "ada", "the tenant does not allow the origin of this page"),
        ("null", "ada", "the tenant does not allow the origin of this page"),
        (EVIL, "wrong", "the credential is missing or not valid"),
        (CONSOLE, "ada", None),
    ):
        async with connect(server.socket_url, subprotocols=[PROTOCOL], origin=origin) as socket:  # type: ignore[arg-type]
            await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {subject}"}})
            if expected is None:
                assert await receive(socket) == {"type": "connection_ack"}
            else:
                assert await close_of(socket) == (4403, f"Forbidden: {expected}")


async def test_open_connections_of_a_page_end_when_its_origin_is_taken_out(server: RunningServer) -> None:
    server.stage.allowed_origins = {ORIGIN}
    endless = "subscription { count(to: 1000000, seconds: 0.05) }"
    headers = {"origin": ORIGIN, "accept": "text/event-stream"}
    async with (
        server.client() as client,
        client.stream("POST", "/graphql", json={"query": endless}, headers=headers) as stream,
        server.socket(origin=ORIGIN) as of_page,
        server.socket() as of_system,
    ):
        await subscribe(of_page, "1", endless)
        server.stage.allowed_origins = set()
        code, reason = await close_of(of_page)
        assert code == 4403
        assert "origin" in str(reason)
        lines = [line async for line in stream.aiter_lines() if line.startswith("data: {")]
        assert "origin" in orjson.loads(lines[-1].removeprefix("data: "))["errors"][0]["message"]
        await send(of_system, {"type": "ping"})
        assert await receive(of_system) == {"type": "pong"}


def test_the_header_list_is_written_as_browsers_compare_it() -> None:
    for names in (REQUEST_HEADERS, ANSWER_HEADERS):
        assert list(names) == sorted({name.lower() for name in names})
