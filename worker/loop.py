"""A loop that works until it is told to stop, and that goes on after a failure."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tenancy.outage import Outage
from worker.tally import Tally


class Pace(NamedTuple):
    """The pause of a loop: after a round with work, and after a round without."""

    busy_seconds: float
    idle_seconds: float


async def repeat_until_stopped(
    who: str, work: Callable[[], Awaitable[bool]], stop: asyncio.Event, pace: Pace, tally: Tally
) -> None:
    """Call ``work`` until ``stop`` is set; ``work`` returns whether there was anything to do.

    A running call is finished. An exception does not end the loop. It is logged once per outage under the name ``who``,
    and the next attempt waits.
    """
    outage = Outage(who)
    while not stop.is_set():
        try:
            with tally.trace_round(who) as span:
                worked = await work()
                if span is not None and not worked:
                    span.forget()
        except Exception as error:  # noqa: BLE001 - a loop that died in silence would be worse than any error
            rest = outage.failed(error)
        else:
            outage.over()
            tally.note_round(who)
            rest = pace.busy_seconds if worked else pace.idle_seconds
        await pause(stop, rest)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so many seconds, or until ``stop`` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
