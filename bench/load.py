"""Load a server over many connections. Each sends its next request as soon as it has an answer.

A slow client would hide how fast a server is. So a connection here takes about a tenth of the processor time that a
small read costs the server, and still compares every answer with the one that it must be.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench.service import HOST, cpu_seconds_of, database_cpu_seconds

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Asked(NamedTuple):
    """A request, and the answer that it must have."""

    request: bytes
    answer: bytes


class Slice(NamedTuple):
    """What a server did in one turn. Processor time is in microseconds for one request."""

    requests_per_second: float
    cpu_microseconds: float
    """Of the server."""
    database_microseconds: float
    """Of PostgreSQL, as `database_cpu_seconds` counts it."""


class Loaded(NamedTuple):
    """A server: its name, its port, its process, and the first process of the database that it asks."""

    name: str
    port: int
    pid: int
    postmaster: int


async def load(server: Loaded, asked: Sequence[Asked], seconds: float, connections: int) -> Slice:
    """Ask for so long over so many connections. Ends the run for a refusal, and for an answer that differs."""
    loop = asyncio.get_running_loop()
    begun, used = time.perf_counter(), cpu_seconds_of(server.pid)
    database_used = database_cpu_seconds(server.postmaster)
    clients = [_Client(server.name, asked, first, begun + seconds) for first in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, HOST, server.port)  # type: ignore[misc]
    await asyncio.gather(*(client.ended for client in clients))
    took, used = time.perf_counter() - begun, cpu_seconds_of(server.pid) - used
    database_used = database_cpu_seconds(server.postmaster) - database_used
    done = sum(client.done for client in clients)
    return Slice(done / took, 1e6 * used / done, 1e6 * database_used / done)


def data_of(answer: bytes) -> bytes:
    """Return an answer without its cost report, which tells what is left of a budget."""
    data, report, _ = answer.partition(b',"extensions":')
    return data + b"}" if report else answer


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, name: str, asked: Sequence[Asked], first: int, until: float) -> None:
        self.done = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._name, self._asked, self._next, self._until = name, asked, first % len(asked), until
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.write(self._asked[self._next].request)

    def data_received(self, data: bytes) -> None:
        """Compare a whole answer, and send the next request."""
        got = self._got = self._got + data if self._got else data
        body = got.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if body < len(_END_OF_HEAD) or len(got) < body + _length_of_body(got, body):
            return
        if not got.startswith(b"HTTP/1.1 200"):
            self._end(f"{self._name} refused a request: {got[:500]!r}")
        elif data_of(got[body:]) != self._asked[self._next].answer:
            self._end(f"{self._name} answered {got[body:][:500]!r} and not {self._asked[self._next].answer[:500]!r}")
        else:
            self.done += 1
            self._go_on()

    def _go_on(self) -> None:
        self._got = b""
        self._next = (self._next + 1) % len(self._asked)
        if time.perf_counter() < self._until:
            self._transport.write(self._asked[self._next].request)
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the run if the server has closed the connection."""
        self._end(f"{self._name} closed a connection: {exc}")

    def _end(self, problem: str | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None) if problem is None else self.ended.set_exception(SystemExit(problem))
        self._transport.close()


def _length_of_body(got: bytes, body: int) -> int:
    """Return the length of a body, as the head says. Servers write the name of the header differently."""
    place = got.find(_LENGTH, 0, body)
    if place < 0:
        place = got[:body].lower().find(_LENGTH)
    return int(got[place + len(_LENGTH) : got.find(b"\r", place)])
