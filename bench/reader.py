"""A lean reader of subscriptions over WebSocket (RFC 6455): thousands of them fit into one measuring process."""

import asyncio
import os
import struct
import time
from collections.abc import Callable
from typing import Any

import orjson

HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
SHORT, TWO_BYTES = 126, 126
LONGEST_HEAD = 10
"""Bytes before the payload of a frame whose size takes eight of them."""


class Closed(Exception):
    """The server has closed the socket with this code. None stands for a connection that broke."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Reader:
    """One socket with one subscription."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._closed: asyncio.Task[float] | None = None

    @classmethod
    async def open(cls, host: str, port: int, token: str) -> "Reader":
        """Connect and introduce the client. Raises Closed if the server refuses."""
        reader, writer = await asyncio.open_connection(host, port, limit=2**14)
        socket = cls(reader, writer)
        try:
            await socket._introduce(host, port, token)
        except asyncio.IncompleteReadError:
            socket.abort()
            raise Closed(None) from None
        except BaseException:
            socket.abort()
            raise
        return socket

    async def _introduce(self, host: str, port: int, token: str) -> None:
        """Do the handshake, send the token, and wait for the answer."""
        self._writer.write(HANDSHAKE.format(host=host, port=port).encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Closed(None)
        await self.send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        await self.receive()

    async def send(self, message: Any) -> None:
        """Send a message as a masked text frame; the mask is 0."""
        data = orjson.dumps(message)
        size = len(data)
        head = bytes([0x80 | TEXT, 0x80 | size]) if size < SHORT else struct.pack("!BBH", 0x81, 0x80 | TWO_BYTES, size)
        self._writer.write(head + b"\0\0\0\0" + data)
        await self._writer.drain()

    async def receive(self) -> Any:
        """Return the next message. Pings are answered meanwhile. Raises Closed."""
        while True:
            try:
                opcode, data = await self._frame()
            except (asyncio.IncompleteReadError, OSError):
                raise Closed(None) from None
            if opcode == PING:
                self._writer.write(bytes([0x80 | PONG, 0x80 | len(data)]) + b"\0\0\0\0" + data)
            elif opcode == CLOSE:
                raise Closed(struct.unpack("!H", data[:2])[0] if data else None)
            elif opcode == TEXT:
                return orjson.loads(data)

    async def _frame(self) -> tuple[int, bytes]:
        """Read the next frame. Return its opcode and its payload."""
        first, size = await self._reader.readexactly(2)
        if size == TWO_BYTES:
            (size,) = struct.unpack("!H", await self._reader.readexactly(2))
        elif size > TWO_BYTES:
            (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
        return first & 0x0F, await self._reader.readexactly(size)

    def read_on(self) -> None:
        """Read in the background until the server closes the socket.

        So pings are answered, and the time of the end is noted.
        """
        self._closed = asyncio.create_task(self._read_to_the_end())

    async def _read_to_the_end(self) -> float:
        """Read messages until the socket is closed. Return that moment of the monotonic clock."""
        try:
            while True:
                await self.receive()
        except Closed:
            return time.monotonic()

    async def seconds_until_closed(self, started: float, patience: float) -> float | None:
        """Wait until the server closes the socket, ``patience`` seconds at most.

        Return the seconds from ``started``, a moment of the monotonic clock; None if the socket stays open.
        """
        if self._closed is None:
            return None
        await asyncio.wait({self._closed}, timeout=patience)
        return self._closed.result() - started if self._closed.done() else None

    def listen(self, hear: Callable[[float, bytes], None]) -> None:
        """Pass each text on as it comes from now on, with the moment of the monotonic clock.

        Nothing else may read then.
        """
        self._writer.transport.set_protocol(_Listener(self._writer.transport, hear))

    def abort(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()


class _Listener(asyncio.Protocol):
    """A protocol that only takes frames apart. So a text is passed on when it comes, and not later."""

    def __init__(self, transport: asyncio.WriteTransport, hear: Callable[[float, bytes], None]) -> None:
        self._transport = transport
        self._hear = hear
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        moment = time.monotonic()
        unread = self._unread + data
        while (frame := _find_frame(unread)) is not None:
            opcode, start, end = frame
            if opcode == TEXT:
                self._hear(moment, unread[start:end])
            elif opcode == PING:
                self._transport.write(bytes([0x80 | PONG, 0x80 | end - start]) + b"\0\0\0\0" + unread[start:end])
            unread = unread[end:]
        self._unread = unread


def _find_frame(data: bytes) -> tuple[int, int, int] | None:
    """Return the opcode of the first frame, and the begin and end of its payload; None if the frame is not complete."""
    if len(data) < LONGEST_HEAD and len(data) < 2 + (data[1] & 0x7F if len(data) > 1 else SHORT):
        return None
    size, start = data[1] & 0x7F, 2
    if size == TWO_BYTES:
        (size,), start = struct.unpack_from("!H", data, 2), 4
    elif size > TWO_BYTES:
        (size,), start = struct.unpack_from("!Q", data, 2), LONGEST_HEAD
    return (data[0] & 0x0F, start, start + size) if len(data) >= start + size else None


def say_where() -> str:
    """Return a line about the machine."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return f"{os.cpu_count()} cores, load before {load}"
