"""Deadlines for what a client has to send. They are fair when the process itself is late.

Timers fire before the sockets are read: after a pause of the process, which a crowd of clients can cause, the bytes of
a client who was in time lie unread. So a late client gets a second look, after the sockets have been read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LOOK_AGAIN_SECONDS = 1.0
"""Between the end of a deadline and the second look, in which what has arrived is read."""


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """End the block with TimeoutError when it takes longer, and the second look finds nothing new either."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        first_look = loop.call_later(seconds, lambda: limit.reschedule(loop.time() + LOOK_AGAIN_SECONDS))
        try:
            yield
        finally:
            first_look.cancel()


class Patience:
    """A timer that calls ``end`` when nobody has stopped it by the second look."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, end: Callable[[], None]) -> None:
        self._loop = loop
        self._end = end
        self._timer = loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(LOOK_AGAIN_SECONDS, self._end)

    def stop(self) -> None:
        """Wait no longer."""
        self._timer.cancel()
