"""A bare WebSocket of the API: what a test sends over it and receives, message by message."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from tests.acceptance.client import GENEROUS_SECONDS, Caller

PROTOCOL = Subprotocol("graphql-transport-ws")


@contextlib.asynccontextmanager
async def open_socket(caller: Caller, origin: str | None = None) -> AsyncIterator[ClientConnection]:
    """Open a socket and present the caller's token. With an origin it is opened as a page of that origin does."""
    named = None if origin is None else Origin(origin)
    async with connect(caller.server.socket_url, subprotocols=[PROTOCOL], origin=named) as socket:
        await send(socket, type="connection_init", payload=caller.headers)
        yield socket


async def send(socket: ClientConnection, **message: Any) -> None:
    """Send one message."""
    await socket.send(orjson.dumps(message).decode())


async def receive(socket: ClientConnection) -> Any:
    """Return the next message."""
    async with asyncio.timeout(GENEROUS_SECONDS):
        return orjson.loads(await socket.recv())


async def read_to_the_end(socket: ClientConnection) -> None:
    """Read until the server closes the socket."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await receive(socket)
