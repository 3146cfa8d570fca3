"""A proxy whose connections to PostgreSQL break at the places that a test chooses."""

import asyncio
import contextlib
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from runtime.roles import DatabaseUrls

HOST = "127.0.0.1"
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
WRITING = (b"INSERT INTO", b"UPDATE ", b"DELETE FROM")
ENDS = (b"COMMIT", b"ROLLBACK")
WHOLE = "*"


class Place(StrEnum):
    """The place in a transaction at which a connection breaks."""

    BEFORE_COMMIT = "before commit"
    """The COMMIT has left the client and does not reach the server, which rolls back."""
    AFTER_COMMIT = "after commit"
    """The server has committed and says so, but the client does not hear it."""
    IN_STATEMENT = "mid-statement"
    """A statement that writes has been sent on, and the connection ends while the server works on it."""


@dataclass(slots=True, eq=False)
class Trap:
    """A trap for the next connection of a door that comes to a place."""

    place: Place
    door: str
    about: bytes
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Faults:
    """The chance that a connection breaks, and the longest delay of a COMMIT."""

    rates: Mapping[Place, float] = field(default_factory=dict)
    delay_rate: float = 0.0
    delay_seconds: float = 0.0


CALM = Faults()


class FaultProxy:
    """The proxy. It has a door (a port) for each process, so that a test knows whose connection it has caught."""

    def __init__(self, url: str, dice: random.Random) -> None:
        server = conninfo_to_dict(url)
        self._host, self._port = str(server.get("host") or "localhost"), int(server.get("port") or 5432)
        self._dice = dice
        self._traps: list[Trap] = []
        self._doors: list[asyncio.Server] = []
        self._wires: set[asyncio.Task[None]] = set()
        self._talking = asyncio.Event()
        self._talking.set()
        self.faults = CALM
        self.injected: Counter[Place] = Counter()
        self.delays = 0
        self._closed = False

    async def door(self, name: str, urls: DatabaseUrls) -> DatabaseUrls:
        """Open a door, and return the URLs that lead through it."""

        def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._closed:
                writer.transport.abort()
                return
            task = asyncio.create_task(_Wire(self, name, reader, writer).run(self._host, self._port))
            self._wires.add(task)
            task.add_done_callback(self._wires.discard)
            # A wire that is cancelled before it has begun cuts nobody off by itself.
            task.add_done_callback(lambda _: writer.transport.abort())

        server = await asyncio.start_server(come_in, HOST, 0)
        self._doors.append(server)
        port = server.sockets[0].getsockname()[1]
        return DatabaseUrls(*(_through(url, port) for url in urls))

    async def close(self) -> None:
        """Close all doors, and break all connections that still run through them."""
        self._closed = True
        for server in self._doors:
            server.close()
        for task in list(self._wires):
            task.cancel()
        await asyncio.gather(*self._wires, return_exceptions=True)
        # Who was about to come in is turned away, and what was cut off ends.
        await asyncio.sleep(0.1)

    @asynccontextmanager
    async def caught(self, place: Place, door: str = WHOLE, about: str = "") -> AsyncIterator[None]:
        """Hold a connection at a place during the block. It is cut off when the block ends.

        ``about`` is a part of a statement that the transaction must have sent.
        """
        trap = Trap(place, door, about.encode())
        self._traps.append(trap)
        try:
            await trap.caught.wait()
            yield
        finally:
            trap.released.set()
            with contextlib.suppress(ValueError):
                self._traps.remove(trap)

    async def strikes(self, place: Place, wire: "_Wire") -> bool:
        """Tell whether the connection must break here.

        A connection in a trap waits until the block of the trap has ended.
        """
        trap = next((trap for trap in self._traps if trap.place is place and _is_in(trap, wire)), None)
        if trap is not None:
            self._traps.remove(trap)
            trap.caught.set()
            await trap.released.wait()
        elif self._dice.random() >= self.faults.rates.get(place, 0.0):
            return False
        self.injected[place] += 1
        return True

    def fall_silent(self) -> None:
        """Pass nothing on any more in either direction, and close nothing, as a frozen server behind a live network."""
        self._talking.clear()

    def talk_again(self) -> None:
        """Pass on what was held back, and everything that comes from now on."""
        self._talking.set()

    async def wait_to_talk(self) -> None:
        """Hold a message while the proxy is silent."""
        await self._talking.wait()

    async def dawdle(self) -> None:
        """Delay a message, by chance."""
        if self._dice.random() < self.faults.delay_rate:
            self.delays += 1
            await asyncio.sleep(self._dice.uniform(0, self.faults.delay_seconds))


class _Wire:
    """One connection: the state of its transaction, and the two directions of its messages."""

    def __init__(
        self, proxy: FaultProxy, door: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self.door = door
        self._client, self._to_client = reader, writer
        self._statements: dict[bytes, bytes] = {}
        self.written: list[bytes] = []
        """The statements of the running transaction that write."""
        self._running = b""
        self._committing = False
        self._answering = asyncio.Event()
        self._answering.set()

    async def run(self, host: str, port: int) -> None:
        """Pass messages on until one side ends or a fault strikes; then both sides are cut off."""
        to_server: asyncio.StreamWriter | None = None
        pumps: list[asyncio.Task[None]] = []
        try:
            hello = await self._hello()
            await self._proxy.wait_to_talk()
            if host.startswith("/"):
                server, to_server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            else:
                server, to_server = await asyncio.open_connection(host, port)
            to_server.write(hello)
            pumps = [
                asyncio.create_task(self._pass_questions(to_server)),
                asyncio.create_task(self._pass_answers(server)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client sees a connection that ends, as it would without us.
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in (self._to_client, to_server):
                if writer is not None:
                    writer.transport.abort()

    async def _hello(self) -> bytes:
        """Read the client's first message, which has no kind. Encryption is refused, as a server on a socket does."""
        while True:
            length = await self._client.readexactly(4)
            message = length + await self._client.readexactly(struct.unpack("!I", length)[0] - 4)
            if struct.unpack("!I", message[4:8])[0] not in (SSL_REQUEST, GSS_REQUEST):
                return message
            self._to_client.write(b"N")

    async def _pass_questions(self, to_server: asyncio.StreamWriter) -> None:
        """Pass messages of the client on.

        The connection may break before a COMMIT, or within a statement that writes.
        """
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, message = await _read(self._client)
                if self._run_by(kind, message).startswith(b"COMMIT") and self.written:
                    await self._proxy.dawdle()
                    if await self._proxy.strikes(Place.BEFORE_COMMIT, self):
                        return
                    self._committing = True
                await self._proxy.wait_to_talk()
                is_written = kind == b"E" and self._note_statement()
                if is_written:
                    self._answering.clear()
                to_server.write(_frame(kind, message))
                await to_server.drain()
                if is_written and await self._proxy.strikes(Place.IN_STATEMENT, self):
                    return
                self._answering.set()
                self._note(kind, message)

    def _run_by(self, kind: bytes, message: bytes) -> bytes:
        """Return the statement that a message runs; an empty text if it runs none."""
        if kind == b"Q":
            return message
        if kind == b"B":
            _portal, name, _values = message.split(b"\0", 2)
            return self._statements.get(name, b"")
        return b""

    def _note(self, kind: bytes, message: bytes) -> None:
        """Note what a message begins, and which statement a name stands for."""
        if kind == b"P":
            name, statement, _types = message.split(b"\0", 2)
            self._statements[name] = statement
        statement = self._run_by(kind, message)
        if statement.startswith(b"BEGIN"):
            self.written = []
        elif kind == b"B":
            self._running = statement

    def _note_statement(self) -> bool:
        """Tell whether the statement that runs now writes. Such a statement is noted for its transaction."""
        statement, self._running = self._running, b""
        if not any(word in statement for word in WRITING):
            return False
        self.written.append(statement)
        return True

    async def _pass_answers(self, server: asyncio.StreamReader) -> None:
        """Pass messages of the server on. The connection may break after a COMMIT, before its answer is passed on."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, message = await _read(server)
                await self._proxy.wait_to_talk()
                await self._answering.wait()
                # COMMIT may travel with the statement before it, whose answer comes first.
                if self._committing and kind == b"C" and message.startswith(ENDS):
                    self._committing = False
                    if message.startswith(b"COMMIT") and await self._proxy.strikes(Place.AFTER_COMMIT, self):
                        return
                    self.written = []
                elif kind == b"Z":
                    # The statement before COMMIT has failed, so there is no answer to COMMIT.
                    self._committing = False
                self._to_client.write(_frame(kind, message))
                await self._to_client.drain()


def _is_in(trap: Trap, wire: _Wire) -> bool:
    return trap.door in (WHOLE, wire.door) and any(trap.about in statement for statement in wire.written)


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    return kind, await reader.readexactly(length - 4)


def _frame(kind: bytes, message: bytes) -> bytes:
    return kind + struct.pack("!I", len(message) + 4) + message


def _through(url: str, port: int) -> str:
    """Return the same database, role and password, with the address of a door."""
    known = conninfo_to_dict(url)
    password = quote(str(known["password"]), safe="")
    return f"postgresql://{known['user']}:{password}@{HOST}:{port}/{known['dbname']}"
