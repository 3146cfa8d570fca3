"""Connections that stay open: the process knows each one, and ends it when its credential or the process ends.

One watcher per process asks the database every few seconds which actors are no longer allowed. It asks once for all
actors of a tenant. It ends the connections of credentials that expired or were revoked.
"""

import asyncio
import contextlib
import ctypes
import gc
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from api.authentication import is_expired
from loyalty.rules.ids import TenantId
from permissions.actor import Actor

WATCH_SECONDS = 2.0
"""The time between the beginnings of two rounds. A revoked credential keeps its connection at most this long, plus one
round."""

REST_SECONDS = 0.2
"""The pause before the next round if a round took longer than `WATCH_SECONDS`, or did not get all answers."""

ROUND_SECONDS = 2.5
"""How long one round waits for answers. A late answer still counts when it comes; until then its tenant is not asked
again."""

ACTORS_AT_ONCE = 1_000
"""The number of actors of a tenant that one question asks about."""

QUESTIONS_AT_ONCE = 4
"""Questions that are asked at the same time, so that the watcher leaves connections to requests."""

DRAIN_SECONDS = 5.0
"""How long connections have to close when the process ends."""

CROWD = 500
"""If so many connections leave, a full collection of garbage is worth its time: each leaves about 30 objects in
circles."""

CROWD_SHARE = 10
"""A crowd has left when only one in so many of its connections is open. A full collection among many open ones takes
long."""

CLOSE_EXPIRED = 4403
CLOSE_RESTART = 1012
REASON_EXPIRED = "The credential ended, its tenant is suspended, or the origin of the page is not allowed any more."
REASON_RESTART = "The server restarts: connect again and resume with `after`."

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.connections")


FindFallen = Callable[[TenantId, Sequence[Actor]], Awaitable[set[Actor]]]
"""Finds those of a tenant's actors whose credentials are no longer valid."""


def trim_memory() -> None:
    """Let the C library give free memory back to the system, where it can (glibc's `malloc_trim`)."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # another C library
        return
    trim(0)


class OpenConnection(Protocol):
    """A socket or event stream of one actor."""

    @property
    def actor(self) -> Actor | None:
        """The actor of the connection; None before it has authenticated."""

    async def close(self, code: int, reason: str) -> None:
        """End the connection.

        It may be called more than once; it returns when the connection has ended or cannot be reached.
        """


class OpenConnections:
    """The open connections of this process. `find_fallen` returns the actors whose credentials are no longer valid."""

    def __init__(
        self,
        find_fallen: FindFallen,
        watch_seconds: float = WATCH_SECONDS,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._find_fallen = find_fallen
        self._watch_seconds = watch_seconds
        self._round_seconds = round_seconds
        self._open: set[OpenConnection] = set()
        self._most_open = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._asking: dict[TenantId, asyncio.Task[None]] = {}
        self._gate = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self.draining = False

    def __len__(self) -> int:
        return len(self._open)

    def list_open(self) -> list[OpenConnection]:
        """Return the connections that are open now."""
        return list(self._open)

    def add(self, connection: OpenConnection) -> None:
        """Watch a connection from now on."""
        self._open.add(connection)
        self._most_open = max(self._most_open, len(self._open))

    def remove(self, connection: OpenConnection) -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)

    async def watch(self) -> None:
        """Check the connections for as long as the process serves.

        A round that fails is logged, and the next one follows.
        """
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            await asyncio.sleep(max(REST_SECONDS, next_at - loop.time()))
            next_at = loop.time() + self._watch_seconds
            try:
                if not await self.check():
                    next_at = loop.time()
                await self._give_memory_back()
            except Exception:
                log.exception("checking the credentials of open connections failed")

    async def check(self) -> bool:
        """Run one round: end each connection whose credential is no longer valid.

        Returns True if every tenant with open connections was asked in this round and has answered. A tenant whose
        answer is late is not asked again before the answer comes. Questions are asked in the order in which they came,
        so every tenant has its turn.
        """
        late = bool(self._asking)
        by_tenant: defaultdict[TenantId, set[Actor]] = defaultdict(set)
        for connection in list(self._open):
            actor = connection.actor
            if actor is None:
                continue
            if is_expired(actor):
                self._end([connection])
            else:
                by_tenant[actor.tenant_id].add(actor)
        for tenant_id, actors in by_tenant.items():
            if tenant_id not in self._asking:
                self._asking[tenant_id] = asyncio.create_task(self._end_fallen(tenant_id, list(actors)))
        if self._asking:
            await asyncio.wait(self._asking.values(), timeout=self._round_seconds)
        return not late and not self._asking

    async def _end_fallen(self, tenant_id: TenantId, actors: list[Actor]) -> None:
        """Ask about a tenant's actors, and end the connections of the actors who are no longer allowed."""
        try:
            for start in range(0, len(actors), ACTORS_AT_ONCE):
                async with self._gate:
                    fallen = await self._find_fallen(tenant_id, actors[start : start + ACTORS_AT_ONCE])
                if fallen:
                    self._end([connection for connection in self._open if connection.actor in fallen])
        except Exception as error:  # noqa: BLE001 - a database that is away ends nobody's connection; asked again
            log.warning("could not check credentials", reason=type(error).__name__, actor_count=len(actors))
        finally:
            del self._asking[tenant_id]

    async def _give_memory_back(self) -> None:
        """Free the memory of a crowd of connections that has left, without waiting for the next full collection."""
        if self._most_open < CROWD or len(self._open) > self._most_open // CROWD_SHARE:
            return
        self._most_open = len(self._open)
        gc.collect()
        await asyncio.to_thread(trim_memory)

    def _end(self, connections: Sequence[OpenConnection]) -> None:
        """Begin to close connections because their credentials ended."""
        for connection in connections:
            task = asyncio.create_task(connection.close(CLOSE_EXPIRED, REASON_EXPIRED))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close_all(self) -> None:
        """Tell every client that the process ends, and wait up to `DRAIN_SECONDS`.

        New connections are refused from now on.
        """
        self.draining = True
        for question in self._asking.values():
            question.cancel()
        tasks = [asyncio.create_task(connection.close(CLOSE_RESTART, REASON_RESTART)) for connection in self._open]
        if tasks:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await asyncio.gather(*tasks, return_exceptions=True)
