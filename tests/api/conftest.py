"""A real server on loopback, in a thread of its own, with the small schema of these tests."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
import pytest
import uvloop
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from api.app import create_app
from api.operation import OperationRequest
from api.server import Server, make_server
from loyalty.rules.ids import TenantId
from permissions.actor import Actor
from schema.executable import ExecutableSchema
from tests.api.small import SCHEMA, Context, Stage
from tests.fixtures.live import GENEROUS_SECONDS

CONSOLE = "https://console.example"
"""Whose pages may call for every tenant."""

PROTOCOL = Subprotocol("graphql-transport-ws")


class Theatre:
    """The doors of a server that stays, onto a stage that each test sets again."""

    def __init__(self) -> None:
        self.stage = Stage()

    async def authenticate(self, authorization: str | None, peer: str | None = None) -> Actor:
        return await self.stage.authenticate(authorization, peer)

    async def find_fallen(self, tenant_id: TenantId, actors: Sequence[Actor]) -> set[Actor]:
        return await self.stage.find_fallen(tenant_id, actors)

    async def ready(self) -> None:
        await self.stage.ready()

    def make_context(self, request: OperationRequest) -> Context:
        return self.stage.make_context(request)


class RunningServer:
    """A server in a thread."""

    def __init__(self, app: Starlette, theatre: Theatre) -> None:
        self.app = app
        self.theatre = theatre
        self._started = threading.Event()
        self.server: Server = make_server(app, "127.0.0.1", 0, on_started=self._started.set)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self.loop = runner.get_loop()
            runner.run(self.server.serve())

    def cpu_seconds(self) -> float:
        """Return the processor time that the server's thread has used."""
        assert self._thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    @property
    def stage(self) -> Stage:
        return self.theatre.stage

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(GENEROUS_SECONDS), "the server did not start"
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket_url = f"ws://127.0.0.1:{self.port}/graphql"

    def ask_to_stop(self) -> None:
        self.server.should_exit = True

    def stop(self) -> None:
        self.ask_to_stop()
        self._thread.join(GENEROUS_SECONDS)
        assert not self._thread.is_alive(), "the server did not stop"

    def client(self, subject: str | None = "ada", **headers: str) -> httpx2.AsyncClient:
        credential = {} if subject is None else {"authorization": f"Bearer {subject}"}
        return httpx2.AsyncClient(base_url=self.url, headers=credential | headers, timeout=GENEROUS_SECONDS)

    @asynccontextmanager
    async def socket(self, subject: str | None = "ada", **options: Any) -> AsyncIterator[ClientConnection]:
        """Yield an open socket; introduced as `subject` unless that is None."""
        async with connect(self.socket_url, subprotocols=[PROTOCOL], **options) as socket:
            if subject is not None:
                payload = {"authorization": f"Bearer {subject}"}
                await send(socket, {"type": "connection_init", "payload": payload})
                assert await receive(socket) == {"type": "connection_ack"}
            yield socket


async def send(socket: ClientConnection, message: object) -> None:
    await socket.send(orjson.dumps(message).decode())


async def receive(socket: ClientConnection) -> Any:
    return orjson.loads(await asyncio.wait_for(socket.recv(), GENEROUS_SECONDS))


async def subscribe(socket: ClientConnection, operation_id: str, query: str, **variables: object) -> None:
    payload = {"query": query, "variables": variables}
    await send(socket, {"id": operation_id, "type": "subscribe", "payload": payload})


async def close_of(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Return the code and reason with which the server closes; messages before it are thrown away."""
    await asyncio.wait_for(_read_to_the_end(socket), GENEROUS_SECONDS)
    return socket.close_code, socket.close_reason


async def _read_to_the_end(socket: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()


def start_server(schema: ExecutableSchema = SCHEMA, **options: Any) -> RunningServer:
    theatre = Theatre()
    app = create_app(schema, theatre.authenticate, theatre.make_context, theatre.find_fallen, theatre.ready, **options)
    server = RunningServer(app, theatre)
    server.start()
    return server


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RunningServer]:
    """Provide one server for all tests of the edge."""
    server = start_server(allowed_origins=[CONSOLE])
    yield server
    server.stop()


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    """Provide the server with a new stage; what earlier tests left behind ends on theirs."""
    shared_server.theatre.stage = Stage()
    return shared_server


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    """Provide a caller with a credential."""
    async with server.client() as client:
        yield client
