"""Connections that stay open: who holds them, and how they end when a credential does, or the process.

One watcher per process asks every few seconds whether each actor may still be here. It asks once per actor, not once
per connection, and ends connections whose credential expired or was revoked.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from api.authentication import is_expired
from permissions.actor import Actor

WATCH_SECONDS = 2.0
"""Between two rounds. A revoked credential has at most this long, and the time of one round, to live."""

ROUND_SECONDS = 2.5
"""How long one round of questions may take; who has not been answered stays until the next round."""

CONCURRENT_QUESTIONS = 8
DRAIN_SECONDS = 5.0
"""How long connections have to close when the process ends."""

CLOSE_EXPIRED = 4403
CLOSE_RESTART = 1012
REASON_EXPIRED = "The credential has expired or was revoked, or its tenant is suspended."
REASON_RESTART = "The server restarts: connect again and resume with `after`."

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.connections")


class OpenConnection(Protocol):
    """A socket or event stream of one actor."""

    @property
    def actor(self) -> Actor | None:
        """Whose it is; None before it has authenticated."""

    async def close(self, code: int, reason: str) -> None:
        """End it. Safe to call more than once; returns when it has ended or cannot be reached."""


class OpenConnections:
    """The open connections of this process. `still_valid` tells whether an actor's credential still stands."""

    def __init__(
        self,
        still_valid: Callable[[Actor], Awaitable[bool]],
        watch_seconds: float = WATCH_SECONDS,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._still_valid = still_valid
        self._watch_seconds = watch_seconds
        self._round_seconds = round_seconds
        self._open: set[OpenConnection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self.draining = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: OpenConnection) -> None:
        """Watch a connection from now on."""
        self._open.add(connection)

    def remove(self, connection: OpenConnection) -> None:
        """Forget a connection that has ended."""
        self._open.discard(connection)

    async def watch(self) -> None:
        """Run for as long as the process serves. A failing round is logged and does not end it."""
        while True:
            await asyncio.sleep(self._watch_seconds)
            try:
                await self.check()
            except Exception:
                log.exception("checking the credentials of open connections failed")

    async def check(self) -> None:
        """One round: end every connection whose credential does not stand any more."""
        by_actor: defaultdict[Actor, list[OpenConnection]] = defaultdict(list)
        for connection in self._open:
            if connection.actor is not None:
                by_actor[connection.actor].append(connection)
        expired = {actor for actor in by_actor if is_expired(actor)}
        for actor in expired | await self._find_invalid(set(by_actor) - expired):
            self._end(by_actor[actor])

    async def _find_invalid(self, actors: set[Actor]) -> set[Actor]:
        """The actors that stand no more, as far as the answers came in time."""
        if not actors:
            return set()
        gate = asyncio.Semaphore(CONCURRENT_QUESTIONS)
        questions = {asyncio.create_task(self._ask(actor, gate)): actor for actor in actors}
        done, late = await asyncio.wait(questions, timeout=self._round_seconds)
        for question in late:
            question.cancel()
        return {questions[question] for question in done if not question.result()}

    async def _ask(self, actor: Actor, gate: asyncio.Semaphore) -> bool:
        """Whether the actor still stands. A database that is away ends nobody's connection."""
        async with gate:
            try:
                return await self._still_valid(actor)
            except Exception as error:  # noqa: BLE001 - asked again in the next round
                log.warning("could not check a credential", reason=type(error).__name__)
                return True

    def _end(self, connections: list[OpenConnection]) -> None:
        for connection in connections:
            task = asyncio.create_task(connection.close(CLOSE_EXPIRED, REASON_EXPIRED))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close_all(self) -> None:
        """Tell everyone that the process ends, and wait a moment for them to go. New ones are refused from now on."""
        self.draining = True
        tasks = [asyncio.create_task(connection.close(CLOSE_RESTART, REASON_RESTART)) for connection in self._open]
        if tasks:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await asyncio.gather(*tasks, return_exceptions=True)
