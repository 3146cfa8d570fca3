"""The relay: gives positions to committed events, and tells readers of the log and listening processes about them.

One batch is one transaction: a relay that dies in between has changed nothing. Several relays may run: the row locks of
a batch let one work after the other. So each event gets one position, and a customer's events keep their order.
"""

import asyncio

from loyalty.services.log_readers import READER_NAMES
from loyalty.storage.events import encode_hints, position_events, send_hints
from tenancy.database import Database
from worker.loop import Pace, repeat_until_stopped
from worker.tally import Tally

PACE = Pace(busy_seconds=0.025, idle_seconds=0.1)
"""One NOTIFY per batch takes a lock at commit. With this pause between batches it costs the writers nothing
measurable."""


async def relay_events(relay: Database, stop: asyncio.Event, tally: Tally | None = None) -> None:
    """Relay events as the relay role until ``stop`` is set; a running batch is finished.

    It goes on after an outage of the database.
    """
    counts = tally or Tally()

    async def work() -> bool:
        events = await relay_batch(relay)
        counts.relayed_events += events
        return events > 0

    await repeat_until_stopped("relay", work, stop, PACE, counts)


async def relay_batch(relay: Database) -> int:
    """Give positions to the next committed events of all tenants, and send the hints; returns the number of events."""
    async with relay.engine.begin() as connection:
        positioned = await position_events(connection, READER_NAMES)
        await send_hints(connection, encode_hints(positioned))
    return sum(log.arrived for log in positioned)
