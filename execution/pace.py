"""The pace of an operation: after some work it waits for its next turn, so that the process serves other requests.

Work is counted, not measured. So an operation waits at the same places in every run, also on a busy machine, and the
same rows are loaded together.
"""

import asyncio

TURN_STEPS = 2_000
"""The steps of one operation in one turn of the event loop: about 10 ms. Reading one value of a row is one step."""

CALL_STEPS = 10
"""The steps of starting a coroutine, and of writing an error."""


class Pace:
    """Counts the steps of one operation. Its parts share the turns: each waits until the turn has steps left."""

    __slots__ = ("_begins_again", "_left", "_next")

    def __init__(self) -> None:
        self._left = TURN_STEPS
        self._begins_again = False
        self._next: asyncio.Event | None = None

    def count(self, steps: int) -> bool:
        """Count steps that are taken now. Returns False, and counts nothing, if they must wait for the next turn."""
        if self._left <= 0:
            return False
        self._left -= steps
        if not self._begins_again:
            self._begins_again = True
            asyncio.get_running_loop().call_soon(self._begin_turn)
        return True

    async def wait(self, steps: int) -> None:
        """Count steps that are taken next. Waits for a later turn if this one has no steps left."""
        while not self.count(steps):
            await self._wait_for_turn()

    async def wait_for_calls(self, wanted: int) -> int:
        """Return how many coroutines may be started now, at least one, and count their steps."""
        while self._left <= 0:
            await self._wait_for_turn()
        allowed = min(wanted, max(1, self._left // CALL_STEPS))
        self.count(allowed * CALL_STEPS)
        return allowed

    async def _wait_for_turn(self) -> None:
        if self._next is None:
            self._next = asyncio.Event()
        await self._next.wait()

    def _begin_turn(self) -> None:
        self._left = TURN_STEPS
        self._begins_again = False
        ended, self._next = self._next, None
        if ended is not None:
            ended.set()
