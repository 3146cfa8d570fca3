"""A database that falls silent: it closes nothing and answers nothing. Every request gets an answer all the same."""

import asyncio
import gc
import random
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from websockets.asyncio.client import connect

from api.issuer import Issuer
from api.server import make_server
from api.service import build_service
from permissions.roles import Role
from runtime.roles import DatabaseUrls
from schema.masking import RETRY_AFTER_SECONDS
from tenancy.database import Database
from tests.acceptance.client import GENEROUS_SECONDS
from tests.api.conftest import PROTOCOL, receive, send, subscribe
from tests.faults.proxy import FaultProxy
from tests.fixtures.tenants import Salon

POOL_SIZE = 4
REQUESTS = 10
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function StreamWriter:pytest.PytestUnraisableExceptionWarning"
)
"""A connection that is opened while the proxy is silent may be given up half open; its collection is no fault here."""

ANSWER_SECONDS = 2.0
CUSTOMERS = "{ customers(first: 5) { nodes { externalId tier { name } } } }"


class Server(NamedTuple):
    """A server of this process, behind a proxy that can fall silent."""

    url: str
    token: str
    proxy: FaultProxy

    async def ask(self, query: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.token}", "accept": "application/graphql-response+json"}
        async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS) as client:
            return await client.post(self.url, json={"query": query}, headers=headers)

    async def ask_until_answered(self, query: str) -> httpx2.Response:
        """Ask again and again until there is an answer, as clients should. A slow machine may need several attempts."""
        async with asyncio.timeout(GENEROUS_SECONDS):
            while (response := await self.ask(query)).status_code == 503:  # noqa: ASYNC110 - as clients do
                await asyncio.sleep(RETRY_AFTER_SECONDS)
        return response


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.generate(tmp_path / "key.pem")


@pytest.fixture
async def proxy(database_urls: DatabaseUrls) -> AsyncIterator[FaultProxy]:
    proxy = FaultProxy(database_urls.app, random.Random(1))  # noqa: S311 - chances, not secrets
    yield proxy
    proxy.talk_again()
    await proxy.close()
    gc.collect()


@pytest.fixture
async def server(proxy: FaultProxy, database_urls: DatabaseUrls, salon: Salon, issuer: Issuer) -> AsyncIterator[Server]:
    """Provide everything as in production, but for a deadline that a test can wait for."""
    door = await proxy.door("server", database_urls)
    token = issuer.issue(
        subject="staff:owner", tenant_id=salon.tenant_id, role=Role.OWNER, name="Owner", lifetime=timedelta(hours=1)
    )
    database = Database(door.app, pool_size=POOL_SIZE, pool_wait_seconds=ANSWER_SECONDS, answer_seconds=ANSWER_SECONDS)
    started = threading.Event()
    server = make_server(build_service(database, issuer), "127.0.0.1", 0, on_started=started.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    assert await asyncio.to_thread(started.wait, GENEROUS_SECONDS)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Server(f"http://127.0.0.1:{port}/graphql", token.text, proxy)
    proxy.talk_again()
    server.should_exit = True
    await asyncio.to_thread(thread.join, GENEROUS_SECONDS)


def extensions_of(response: httpx2.Response) -> list[dict[str, Any]]:
    return [error["extensions"] for error in response.json().get("errors", [])]


async def test_every_request_is_answered_and_the_server_works_again_afterwards(server: Server) -> None:
    before = await asyncio.gather(*(server.ask_until_answered(CUSTOMERS) for _ in range(REQUESTS)))
    assert {response.status_code for response in before} == {200}
    server.proxy.fall_silent()
    silent = await asyncio.gather(*(server.ask(CUSTOMERS) for _ in range(REQUESTS)))
    for response in silent:
        assert (response.status_code, response.headers["retry-after"]) == (503, str(RETRY_AFTER_SECONDS))
        (extensions,) = extensions_of(response)
        assert (extensions["code"], extensions["retryAfterSeconds"]) == ("UNAVAILABLE", RETRY_AFTER_SECONDS)
    server.proxy.talk_again()
    after = await asyncio.gather(*(server.ask_until_answered(CUSTOMERS) for _ in range(REQUESTS)))
    assert {response.status_code for response in after} == {200}
    assert [extensions_of(response) for response in after] == [[]] * REQUESTS


async def test_a_subscriber_that_comes_during_the_silence_learns_that_it_may_come_back(server: Server) -> None:
    """The socket was introduced before: what is not answered is the first question of the subscription."""
    async with connect(server.url.replace("http", "ws"), subprotocols=[PROTOCOL]) as socket:
        await send(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {server.token}"}})
        assert (await receive(socket))["type"] == "connection_ack"
        server.proxy.fall_silent()
        await subscribe(socket, "1", "subscription { pointsChanged { cursor } }")
        refused = await receive(socket)
        assert refused["type"] == "error"
        (error,) = refused["payload"]
        assert error["extensions"]["code"] == "UNAVAILABLE"
        assert error["extensions"]["retryAfterSeconds"] == RETRY_AFTER_SECONDS
        server.proxy.talk_again()
        await subscribe(socket, "2", "{ eventCursor }")
        assert (await receive(socket))["payload"]["data"]["eventCursor"]
