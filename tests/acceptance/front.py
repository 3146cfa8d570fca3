"""A front, such as a proxy, before the service: it serves the page of the console, and passes everything else on."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import Self

import orjson

from tests.acceptance.client import GENEROUS_SECONDS, Json
from tests.fixtures.server import HOST, free_port

CONSOLE = Path(__file__).parents[1] / "clients" / "console.html"
MAX_HEAD_BYTES = 65_536


class Front:
    """An origin with the console at `/console` and the service at every other path. It notes what the page reports."""

    def __init__(self) -> None:
        self.port = free_port()
        self.origin = f"http://{HOST}:{self.port}"
        self.heard: asyncio.Queue[Json] = asyncio.Queue()
        self.upstream_port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=MAX_HEAD_BYTES)
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()

    async def steps_to(self, last: str) -> Json:
        """Return everything that the page reports up to this step, and the report of this step."""
        seen: Json = {}
        while last not in seen:
            async with asyncio.timeout(GENEROUS_SECONDS):
                told = await self.heard.get()
            seen[told["step"]] = told["seen"]
        return seen

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer a request.

        The front shows the page of the console, notes what the page reports, and passes every other request on.
        """
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/console"):
            writer.write(_response(b"200 OK", CONSOLE.read_bytes()))
        elif path == b"/seen":
            self.heard.put_nowait(orjson.loads(await reader.readexactly(_content_length(head))))
            writer.write(_response(b"204 No Content"))
        else:
            await self._pass_on(head, reader, writer)
        await writer.drain()

    async def _pass_on(self, head: bytes, reader: StreamReader, writer: StreamWriter) -> None:
        """Pass one request on to the service. A connection has one request, so that each request is looked at.

        A WebSocket keeps its connection.
        """
        if b"upgrade: websocket" not in head.lower():
            lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
            head = b"\r\n".join([lines[0], b"Connection: close", *lines[1:]])
        upstream, out = await asyncio.open_connection(HOST, self.upstream_port)
        out.write(head)
        both = [asyncio.create_task(_pipe(reader, out)), asyncio.create_task(_pipe(upstream, writer))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        out.close()


async def _pipe(reader: StreamReader, writer: StreamWriter) -> None:
    """Pass bytes on until one side ends."""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(MAX_HEAD_BYTES):
            writer.write(chunk)
            await writer.drain()


def _response(status: bytes, body: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _content_length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next(int(value) for name, _, value in lines if name == b"content-length")
