"""Time limits for data that a client has to send. They stay fair when the process itself is late.

The event loop calls timers before it reads sockets. After a pause of the process, which many clients can cause, the
data of a client may have arrived in time and not be read yet. So an expired timer waits once more, until the sockets
have been read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LOOK_AGAIN_SECONDS = 1.0
"""The time between the end of a deadline and the second look. Data that has arrived is read in this time."""


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError if the block takes longer than the deadline and `LOOK_AGAIN_SECONDS`."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        first_look = loop.call_later(seconds, lambda: limit.reschedule(loop.time() + LOOK_AGAIN_SECONDS))
        try:
            yield
        finally:
            first_look.cancel()


class Patience:
    """A timer that calls ``end`` after the deadline and `LOOK_AGAIN_SECONDS`, unless it is stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, end: Callable[[], None]) -> None:
        self._loop = loop
        self._end = end
        self._timer = loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(LOOK_AGAIN_SECONDS, self._end)

    def stop(self) -> None:
        """Stop the timer."""
        self._timer.cancel()
