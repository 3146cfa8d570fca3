"""Connections that stay open: who holds them, and how they end when a credential does, or the process.

One watcher per process asks every few seconds which actors must not be here any more. It asks once for all actors of a
tenant, and ends connections whose credential expired or was revoked.
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
"""From the beginning of a round to that of the next. A revoked credential lives as long at most, and for one round."""

REST_SECONDS = 0.2
"""Between two rounds when one took longer than that: who was passed over is asked again at once."""

ROUND_SECONDS = 2.5
"""How long one round waits for answers. What is late is not asked again meanwhile, and counts when it comes."""

ACTORS_AT_ONCE = 1_000
"""Actors of a tenant in one question."""

QUESTIONS_AT_ONCE = 4
"""Questions that are asked at the same time, so that the watcher leaves connections to requests."""

DRAIN_SECONDS = 5.0
"""How long connections have to close when the process ends."""

CROWD = 500
"""Connections whose leaving is worth a full collection of garbage: each leaves about 30 objects in circles."""

CROWD_SHARE = 10
"""A crowd has left when only this part of it is there: looking at the objects of many connections takes long."""

CLOSE_EXPIRED = 4403
CLOSE_RESTART = 1012
REASON_EXPIRED = "The credential ended, its tenant is suspended, or the origin of the page is not allowed any more."
REASON_RESTART = "The server restarts: connect again and resume with `after`."

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.connections")


FindFallen = Callable[[TenantId, Sequence[Actor]], Awaitable[set[Actor]]]
"""Tells which of a tenant's actors do not stand any more."""


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
        """End it. Safe to call more than once; returns when it has ended or cannot be reached."""


class OpenConnections:
    """The open connections of this process. `find_fallen` tells whose credentials do not stand any more."""

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
        """The connections that are open just now."""
        return list(self._open)

    def add(self, connection: OpenConnection) -> None:
        """Watch a connection from now on."""
        self._open.add(connection)
        self._most_open = max(self._most_open, len(self._open))

    def remove(self, connection: OpenConnection) -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)

    async def watch(self) -> None:
        """Run for as long as the process serves. A failing round is logged and does not end it."""
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
        """One round: end every connection whose credential does not stand any more. Tells whether it asked about all.

        A tenant whose answer is late is left out until it comes; questions wait in the order in which they were asked,
        so that no tenant is passed over.
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
        """Ask about a tenant's actors, and end the connections of those that stand no more."""
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
        """Free what a crowd that has left leaves behind, at once and not with the next full collection."""
        if self._most_open < CROWD or len(self._open) > self._most_open // CROWD_SHARE:
            return
        self._most_open = len(self._open)
        gc.collect()
        await asyncio.to_thread(trim_memory)

    def _end(self, connections: Sequence[OpenConnection]) -> None:
        for connection in connections:
            task = asyncio.create_task(connection.close(CLOSE_EXPIRED, REASON_EXPIRED))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close_all(self) -> None:
        """Tell everyone that the process ends, and wait a moment for them to go. New ones are refused from now on."""
        self.draining = True
        for question in self._asking.values():
            question.cancel()
        tasks = [asyncio.create_task(connection.close(CLOSE_RESTART, REASON_RESTART)) for connection in self._open]
        if tasks:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await asyncio.gather(*tasks, return_exceptions=True)
