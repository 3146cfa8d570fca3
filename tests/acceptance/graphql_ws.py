"""A subscriber that works as graphql-ws (npm) does with the code of the guide: it gives up after the same codes."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.acceptance.client import Caller, Json
from tests.acceptance.sockets import PROTOCOL, send

RETRIED_CODES = {None, 1000, 1001, 1005, 1006, 1012, 1013, 1014}
FATAL_CODES = {4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500}
PAUSE_SECONDS = 0.05


class GaveUp(Exception):
    """The client does not connect again, so it loses events."""


async def follow(caller: Caller, document: str, after: str) -> AsyncGenerator[Json, None]:
    """Yield each result of a subscription. After every break it subscribes again with the last cursor."""
    for attempt in itertools.count():
        if attempt:
            await asyncio.sleep(PAUSE_SECONDS)
        with contextlib.suppress(OSError, InvalidHandshake, ConnectionClosed, EOFError):
            async with connect(caller.server.socket_url, subprotocols=[PROTOCOL]) as socket:
                try:
                    await _introduce(socket, caller)
                    await send(socket, type="subscribe", id="1", payload=_payload(document, after))
                    async with contextlib.aclosing(_results(socket)) as results:
                        async for result in results:
                            after = result["extensions"]["cursor"]
                            yield result
                except ConnectionClosed:
                    _refuse_fatal(socket.close_code, socket.close_reason)


async def _introduce(socket: ClientConnection, caller: Caller) -> None:
    await send(socket, type="connection_init", payload={"authorization": f"Bearer {caller.token}"})
    assert orjson.loads(await socket.recv())["type"] == "connection_ack"


def _payload(document: str, after: str) -> Json:
    return {"query": document, "variables": {"after": after}}


async def _results(socket: ClientConnection) -> AsyncGenerator[Json, None]:
    """Yield results until an error that passes.

    An end without an error would leave the client without events, so it fails.
    """
    async for text in socket:
        message = orjson.loads(text)
        if message["type"] == "complete":
            raise GaveUp("the server has said that nothing more comes")
        if message["type"] == "error":
            codes = {error["extensions"]["code"] for error in message["payload"]}
            if codes != {"UNAVAILABLE"}:
                raise GaveUp(message)
            return
        if message["type"] == "next":
            yield message["payload"]
    _refuse_fatal(socket.close_code, socket.close_reason)


def _refuse_fatal(code: int | None, reason: str | None) -> None:
    if code in FATAL_CODES or (code is not None and code < 2000 and code not in RETRIED_CODES):
        raise GaveUp(code, reason)
