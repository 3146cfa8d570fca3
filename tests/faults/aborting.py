"""A client that breaks its connection off, in every phase of a request, an event stream and a WebSocket.

It speaks plain TCP, because no polite client can be told to go away in the middle of a header or a frame.
"""

import asyncio
import contextlib
import os
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import orjson

HOST = "127.0.0.1"
LONGEST_WAIT_SECONDS = 0.2
ANSWER_SECONDS = 2.0
"""How long it waits for an answer that it needs to get on; an answer may well not come."""

QUERY = "{ customers(first: 20) { nodes { externalId tier { name } } } }"
SUBSCRIPTION = "subscription { pointsChanged { cursor customer { externalId } } }"
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: the kernel sends a reset instead of a polite end."""

TEXT_FRAME = 0x81
SHORT_FRAME = 126
HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: treue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


class Aborter(NamedTuple):
    """A client that breaks connections off.

    It knows the caller and the server, and chooses at random when a connection ends.
    """

    port: int
    token: str
    dice: random.Random

    async def run(self, phase: "Phase") -> None:
        """Open a connection, go on to a phase, and break the connection off there."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                await phase(self, reader, writer)
        finally:
            if self.dice.random() < 0.5:
                linger = writer.transport.get_extra_info("socket")
                linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            writer.transport.abort()

    async def wait(self) -> None:
        """Wait a moment, mostly a very short one, so that the end meets the server at different places."""
        await asyncio.sleep(LONGEST_WAIT_SECONDS * self.dice.random() ** 4)

    def request(self, query: str, accept: str) -> bytes:
        """Return a request over HTTP."""
        body = orjson.dumps({"query": query})
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: treue\r\nAuthorization: Bearer {self.token}\r\nAccept: {accept}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


Phase = Callable[[Aborter, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def say_nothing(aborter: Aborter, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Connect."""
    await aborter.wait()


async def send_half_a_head(aborter: Aborter, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End within the headers."""
    writer.write(aborter.request(QUERY, "application/json")[:60])
    await aborter.wait()


async def send_half_a_body(aborter: Aborter, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End within the body."""
    writer.write(aborter.request(QUERY, "application/json")[:-20])
    await aborter.wait()


async def leave_a_request(aborter: Aborter, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End while the server works on the answer."""
    writer.write(aborter.request(QUERY, "application/json"))
    await aborter.wait()


async def leave_a_mutation(aborter: Aborter, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End while the server writes."""
    name = f"customer-{aborter.dice.random()}"
    upsert = f'mutation {{ customerUpsert(input: {{externalId: "{name}"}}) {{ customer {{ id }} }} }}'
    writer.write(aborter.request(upsert, "application/json"))
    await aborter.wait()


async def leave_pipelined_requests(
    aborter: Aborter, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """End while several requests of one connection wait."""
    writer.write(aborter.request(QUERY, "application/json") * 5)
    await aborter.wait()


async def leave_an_event_stream(aborter: Aborter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End a stream, before or after it has begun."""
    writer.write(aborter.request(SUBSCRIPTION, "text/event-stream"))
    if aborter.dice.random() < 0.5:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_SECONDS)
    await aborter.wait()


async def send_half_a_handshake(aborter: Aborter, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End within the handshake of a WebSocket."""
    writer.write(HANDSHAKE[:-10])
    await aborter.wait()


async def leave_a_handshake(aborter: Aborter, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End while the server accepts a WebSocket."""
    writer.write(HANDSHAKE)
    await aborter.wait()


async def send_half_a_frame(aborter: Aborter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End within a message."""
    await shake_hands(reader, writer)
    writer.write(frame({"type": "connection_init", "payload": {"authorization": "Bearer x"}})[:-5])
    await aborter.wait()


async def leave_an_introduction(aborter: Aborter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End while the credential is read."""
    await shake_hands(reader, writer)
    writer.write(aborter_init(aborter))
    await aborter.wait()


async def leave_operations(aborter: Aborter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End in the middle of queries and subscriptions over a socket."""
    await shake_hands(reader, writer)
    writer.write(aborter_init(aborter))
    await asyncio.wait_for(reader.readexactly(2), ANSWER_SECONDS)
    for number, query in enumerate((SUBSCRIPTION, QUERY, SUBSCRIPTION, QUERY)):
        writer.write(frame({"type": "subscribe", "id": str(number), "payload": {"query": query}}))
    if aborter.dice.random() < 0.5:
        writer.write(frame({"type": "complete", "id": "0"}))
    await aborter.wait()


async def send_what_is_no_text(aborter: Aborter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a frame whose text is no UTF-8, and end."""
    await shake_hands(reader, writer)
    writer.write(frame_of(b"\xff\xfe{}"))
    await aborter.wait()


async def send_no_frame(aborter: Aborter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send bytes that are no frame, and end."""
    await shake_hands(reader, writer)
    writer.write(aborter_init(aborter) + bytes(range(255, 200, -1)))
    await aborter.wait()


PHASES: tuple[Phase, ...] = (
    say_nothing,
    send_half_a_head,
    send_half_a_body,
    leave_a_request,
    leave_a_mutation,
    leave_pipelined_requests,
    leave_an_event_stream,
    send_half_a_handshake,
    leave_a_handshake,
    send_half_a_frame,
    leave_an_introduction,
    leave_operations,
    send_what_is_no_text,
    send_no_frame,
)


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Become a WebSocket."""
    writer.write(HANDSHAKE)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_SECONDS)


def aborter_init(aborter: Aborter) -> bytes:
    """Return the message that introduces the client."""
    return frame({"type": "connection_init", "payload": {"authorization": f"Bearer {aborter.token}"}})


def frame(message: object) -> bytes:
    """Return a message as a masked text frame (RFC 6455, section 5.2)."""
    return frame_of(orjson.dumps(message))


def frame_of(data: bytes) -> bytes:
    """Return bytes as a masked text frame."""
    size = bytes([0x80 | len(data)]) if len(data) < SHORT_FRAME else struct.pack("!BH", 0x80 | SHORT_FRAME, len(data))
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    return bytes([TEXT_FRAME]) + size + mask + masked
