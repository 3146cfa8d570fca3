"""Browser pages of other origins: a tenant says which may call, and a change counts at once, on every server."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import orjson
import pytest

from tests.acceptance.business import Business
from tests.acceptance.chromium import PageServer, find_chromium, shown_page
from tests.acceptance.client import GENEROUS_SECONDS, NO_TLS, POINTS_CHANGED, Caller, record
from tests.acceptance.conftest import OpenBusiness
from tests.acceptance.sockets import open_socket, read_to_the_end, receive, send
from tests.acceptance.test_credential_ends import CLOSED_WITHIN_SECONDS, WHO, app_of, is_closed_with
from tests.fixtures.left_out import leave_out

ORIGIN = "https://salon.example"
OTHER = "https://other.example"
ALLOW = "access-control-allow-origin"
TENANT = "{ viewer { tenant { allowedOrigins } } }"


@pytest.fixture
async def page_server() -> AsyncIterator[PageServer]:
    """Provide an origin of its own, with the page."""
    with PageServer() as server:
        yield server


async def call(caller: Caller, origin: str, accept: str = "application/json") -> httpx2.Response:
    """Call the API as a page of an origin does."""
    headers = {**caller.headers, "origin": origin, "accept": accept}
    async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS) as http:
        return await http.post(caller.server.url, json={"query": WHO}, headers=headers)


async def allow(salon: Business, *origins: str) -> list[str]:
    payload = await salon.manager.do("allowedOriginsSet", "tenant { allowedOrigins }", origins=origins)
    kept: list[str] = payload["tenant"]["allowedOrigins"]
    return kept


@pytest.mark.parametrize("kind", ["owner", "integration", "customer"])
async def test_no_page_calls_until_its_tenant_allows_it(salon: Business, kind: str) -> None:
    """Whatever the credential is; and what one tenant allows says nothing of another."""
    await record(salon.integration, "order-1")
    caller = await salon.customer() if kind == "customer" else getattr(salon, kind)
    for server in salon.installation.servers:
        refused = await call(caller.at(server), ORIGIN)
        assert (refused.status_code, ALLOW in refused.headers) == (403, False)
    assert await allow(salon, "https://SALON.example:443") == [ORIGIN]
    for server in salon.installation.servers:
        for accept in ("application/json", "text/event-stream"):
            allowed = await call(caller.at(server), ORIGIN, accept)
            assert (allowed.status_code, allowed.headers[ALLOW]) == (200, ORIGIN)
            assert '"viewer"' in allowed.text
            assert (await call(caller.at(server), OTHER, accept)).status_code == 403
    await allow(salon)
    for server in salon.installation.servers:
        assert (await call(caller.at(server), ORIGIN)).status_code == 403


async def test_an_origin_that_one_tenant_allows_is_refused_by_another(
    salon: Business, businesses: OpenBusiness
) -> None:
    studio = await businesses()
    await allow(salon, ORIGIN)
    await allow(studio, OTHER)
    assert [(await call(salon.owner, origin)).status_code for origin in (ORIGIN, OTHER)] == [200, 403]
    assert [(await call(studio.owner, origin)).status_code for origin in (ORIGIN, OTHER)] == [403, 200]


async def test_wrong_origins_are_named_and_the_list_stays(salon: Business) -> None:
    await allow(salon, ORIGIN)
    wrong = [OTHER, "*", "https://salon.example/app", "ftp://salon.example", "https://salon.example:0"]
    async with salon.unchanged():
        refused = await salon.manager.refusals("allowedOriginsSet", origins=wrong)
    assert [(error["code"], error["path"]) for error in refused] == [
        ("INVALID_INPUT", ["origins", str(index)]) for index in (1, 2, 3, 4)
    ]
    assert (await salon.staff.ask(TENANT))["viewer"]["tenant"]["allowedOrigins"] == [ORIGIN]


async def test_a_customer_does_not_read_the_list(salon: Business) -> None:
    await record(salon.integration, "order-1")
    await allow(salon, ORIGIN)
    anna = await salon.customer()
    assert (await anna.ask(TENANT))["viewer"]["tenant"]["allowedOrigins"] is None


async def test_sockets_of_a_page_close_when_its_origin_is_taken_out(salon: Business) -> None:
    await record(salon.integration, "order-1")
    await allow(salon, ORIGIN)
    anna = await app_of(salon.owner)
    async with open_socket(anna, ORIGIN) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await send(socket, id="1", type="subscribe", payload={"query": POINTS_CHANGED})

        async def take_out() -> None:
            await allow(salon, OTHER)
            await read_to_the_end(socket)

        # The socket of an app, which is no page, stays until its own credential ends.
        code, seconds = await is_closed_with(anna, lambda: _end_after(salon, take_out))
        assert socket.close_code == 4403
        assert "origin" in str(socket.close_reason)
        assert (code, seconds < CLOSED_WITHIN_SECONDS) == (4403, True)
    async with open_socket(anna, ORIGIN) as socket:
        await read_to_the_end(socket)
        assert socket.close_code == 4403


async def _end_after(salon: Business, first: Any) -> None:
    await first()
    await salon.owner.do("signedTokensRevoke", "revokedAt", of={"customer": {"externalId": "anna"}})


# ── In a browser ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_calls_from_headless_chromium(salon: Business, page_server: PageServer) -> None:
    """HTTP, event streams and sockets from another origin; taken out, refused at once."""
    program = find_chromium()
    if program is None:
        leave_out("a page of another origin calls from a browser", "Chromium (`apt-get install chromium`)")
    told = {"endpoint": salon.manager.server.url, "token": str(salon.manager.token), "stay": "yes"}
    await allow(salon, page_server.origin)
    async with shown_page(program, page_server, told) as page:
        seen = await page.steps_to("socket")
        assert (seen["call"]["status"], seen["call"]["requestId"]) == (200, "from-a-page")
        assert orjson.loads(seen["call"]["body"])["data"] == {"viewer": {"kind": "STAFF"}}
        assert "event: next" in seen["stream"]["body"]
        assert seen["wrong credential"]["status"] == 401
        assert "UNAUTHENTICATED" in seen["wrong credential"]["body"]
        assert seen["strange header"] == {"blocked": "TypeError"}
        assert seen["socket"]["data"] == {"viewer": {"kind": "STAFF"}}
        await allow(salon, OTHER)
        seen = await page.steps_to("end")
        assert seen["closed"] == {"code": 4403}
        assert seen["call again"] == {"blocked": "TypeError"}


async def test_a_page_that_is_not_allowed_reads_nothing_in_headless_chromium(
    salon: Business, page_server: PageServer
) -> None:
    program = find_chromium()
    if program is None:
        leave_out("a page that is not allowed reads nothing in a browser", "Chromium (`apt-get install chromium`)")
    await allow(salon, OTHER)
    told = {"endpoint": salon.manager.server.url, "token": str(salon.manager.token)}
    async with shown_page(program, page_server, told) as page:
        seen = await page.steps_to("end")
    assert seen["call"] == seen["stream"] == {"blocked": "TypeError"}
    assert seen["socket"] == {"code": 4403}
