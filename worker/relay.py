"""The relay: gives committed events their positions and hints to every listening process that logs have grown.

Positions and hints belong to one transaction: a relay that dies in between has done neither. Several relays may run;
the row locks of a batch put them in line, so each event gets one position and a customer's events keep their order.
A hint goes out each second even when nothing has grown: who hears it need not ask.
"""

import asyncio
import math

from loyalty.storage.events import EMPTY_HINT, encode_hints, notify, position_events
from tenancy.database import Database
from worker.loop import Pace, repeat_until_stopped

PACE = Pace(busy_seconds=0.025, idle_seconds=0.1)
"""One NOTIFY per batch takes a lock at commit; at this distance it costs the writers nothing that could be measured."""


HEARTBEAT_SECONDS = 1.0
"""Between two hints, at most."""


async def relay_events(relay: Database, stop: asyncio.Event) -> None:
    """Relay events as the relay role until ``stop`` is set; a running batch is finished. Survives a lost database."""
    hinted_at = -math.inf

    async def work() -> bool:
        nonlocal hinted_at
        now = asyncio.get_running_loop().time()
        is_due = now - hinted_at >= HEARTBEAT_SECONDS
        arrived = await relay_batch(relay, heartbeat=is_due)
        if arrived or is_due:
            hinted_at = now
        return arrived > 0

    await repeat_until_stopped("relay", work, stop, PACE)


async def relay_batch(relay: Database, *, heartbeat: bool = False) -> int:
    """Position the next committed events of all tenants and send the hints; returns how many events there were.

    With ``heartbeat`` a hint is sent also when no log has grown.
    """
    async with relay.engine.begin() as connection:
        positioned = await position_events(connection)
        hints = encode_hints(positioned)
        await notify(connection, hints or ([EMPTY_HINT] if heartbeat else []))
    return sum(log.arrived for log in positioned)
