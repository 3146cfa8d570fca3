"""Live events: each process listens once, reads a tenant's new events once, and gives them to all its followers.

A log is read when it has grown. A hint (NOTIFY) says so at once. A hint may be lost: so one statement each second asks
for the newest positions of all followed logs. No transaction is open while a follower waits. The backlog of a follower
is limited, and a tenant without followers costs nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, NamedTuple

import psycopg
import structlog

from api.followers import Follower, SharedLog
from loyalty.log.reading import (
    MAX_EVENTS_AT_ONCE,
    EventPage,
    last_position,
    last_positions,
    list_events,
    read_log,
)
from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.world import World
from loyalty.storage.events import CHANNEL, EventRow, decode_hints
from schema.channels import Channel
from tenancy.connection import NETWORK_OPTIONS
from tenancy.outage import Outage, is_away

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.live")

MAX_BACKLOG = 1_000
"""Events that may wait for one follower."""
PATIENCE_SECONDS = 5.0
"""The time that a follower with a full backlog has to take half of it. The other followers of its tenant wait
meanwhile."""
POLL_SECONDS = 1.0
"""The time between two questions for the newest positions of followed logs. An event with a lost hint comes so late."""
READS_AT_ONCE = 4
"""Logs read at the same time, so that followers never take all connections from the requests."""
STOP_SECONDS = 5.0
LISTENER_NAME = "treue-listener"
LISTENER_CHECK_SECONDS = 30.0
"""After so long without a hint the listener checks its connection."""
LISTENER_ANSWER_SECONDS = 10.0
LISTENER_OPTIONS: Mapping[str, Any] = {**NETWORK_OPTIONS, "application_name": LISTENER_NAME}


class Following(NamedTuple):
    """The numbers of live following in a process."""

    tenants: int
    followers: int
    backlog_events: int
    """Events that wait for followers, in all backlogs together."""
    slow_readers: int
    """Subscriptions that were cut off for being too slow since the process started."""


class EventHub:
    """The live events of one process. A subscription needs only ``follow``.

    ``max_backlog`` limits the events that wait for one follower. A follower with a full backlog has
    ``patience_seconds`` to take half of it; then it is cut off as too slow.
    """

    def __init__(
        self, world: World, *, max_backlog: int = MAX_BACKLOG, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._world = world
        self._max_backlog = max_backlog
        self._patience_seconds = patience_seconds
        self._logs: dict[TenantId, SharedLog] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._asking: dict[TenantId, asyncio.Task[int]] = {}
        self._listeners: list[asyncio.Task[None]] = []
        self._poller: asyncio.Task[None] | None = None
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._reading = Outage("event reader")
        self._stopped = False
        self._slow_readers = 0

    async def start(self) -> None:
        """Begin to listen.

        If the database is away, `start` does not wait: listening is tried again in the background.
        """
        for name, cluster in self._world.database.clusters.items():
            self._listeners.append(asyncio.create_task(self._listen(cluster.url), name=f"event listener of {name}"))

    async def stop(self) -> None:
        """End every follower and every task. It may be called again."""
        self._stopped = True
        for shared in list(self._logs.values()):
            for follower in list(shared.followers):
                follower.end()
                self.leave(follower)
        for task in (*self._listeners, self._poller):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._readers:
            # A reader ends by itself after its statement. Cancelling the statement would cost a connection.
            _, late = await asyncio.wait(self._readers, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def count_followers(self, tenant_id: TenantId) -> int:
        """How many live subscriptions a tenant has. A subscription that still reads past events does not count."""
        shared = self._logs.get(tenant_id)
        return sum(follower.subscriber_count for follower in shared.followers) if shared else 0

    def measure(self) -> Following:
        """Return the numbers of live following now. Another thread may call it, so it reads copies."""
        logs = list(self._logs.values())
        followers = [follower for shared in logs for follower in list(shared.followers)]
        waiting = sum(follower.unread_count for follower in followers)
        readers = sum(follower.subscriber_count for follower in followers)
        return Following(len(logs), readers, waiting, self._slow_readers)

    async def follow(
        self,
        tenant_id: TenantId,
        after: int | None,
        customer_id: CustomerId | None = None,
        at_rest: Callable[[int], bool] | None = None,
    ) -> AsyncGenerator[EventRow, None]:
        """Yield a tenant's events: first the past events after the position ``after``, then new ones.

        Each comes exactly once. With a customer, only past events of that customer are read; live events are those of
        all customers. When no event waits, ``at_rest`` is called with the position that was reached. If it returns
        True, its owner has joined at that position (`join`), and the generator ends.

        If ``after`` is None, it begins after the newest event at the first ``anext``. Closing the generator
        unsubscribes. It ends by itself when the hub stops. Raises InvalidInput on ``after`` for a position that the log
        has not reached, and ReaderTooSlow if too many events wait. Followers share the events: never change their
        payloads.
        """
        newest = await self.find_newest(tenant_id)
        if after is not None and not 0 <= after <= newest:
            raise InvalidInput.one("after", reason="is no position of this log")
        position = newest if after is None else after
        follower = self.join(tenant_id, position) if position == newest else None
        try:
            while follower is None and not self._stopped:
                page = await self._read_patiently(tenant_id, position, customer_id)
                position = page.end
                if not page.more:
                    # Join before the events are yielded: events that come meanwhile are kept in the backlog.
                    follower = self.join(tenant_id, position)
                for event in page.events:
                    yield event
            while follower is not None:
                if at_rest is not None and follower.has_caught_up and at_rest(follower.reached):
                    return
                live = await follower.take()
                if live is None:
                    return
                yield live
        finally:
            if follower is not None:
                self.leave(follower)

    # ── followers ────────────────────────────────────────────────────────────────────────────────────────────────

    def join(
        self, tenant_id: TenantId, position: int, channel: Channel | None = None, customer_id: CustomerId | None = None
    ) -> Follower | None:
        """Add a follower at ``position``; None if the hub has read further already, because events would be missing."""
        if self._stopped:
            return None
        shared = self._logs.get(tenant_id)
        if shared is None:
            shared = self._logs[tenant_id] = SharedLog(tenant_id, position)
            task = asyncio.create_task(self._read_on(shared), name=f"event reader of {tenant_id}")
            self._readers.add(task)
            task.add_done_callback(self._readers.discard)
            if self._poller is None:
                self._poller = asyncio.create_task(self._ask_each_second(), name="event poller")
        elif shared.position > position:
            return None
        follower = Follower(shared, position, self._max_backlog, channel, customer_id)
        shared.followers.add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Remove a follower. It may be called again."""
        shared = follower.shared
        shared.followers.discard(follower)
        shared.drained.set()
        if not shared.followers and self._logs.get(shared.tenant_id) is shared:
            del self._logs[shared.tenant_id]
            shared.woken.set()
            if not self._logs and self._poller is not None:
                self._poller.cancel()
                self._poller = None

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def find_newest(self, tenant_id: TenantId) -> int:
        """Return the position of a tenant's newest event.

        Callers who ask before the statement is sent share its answer. So thousands of clients that reconnect at once
        cost only a few statements, and requests still get connections.
        """
        asking = self._asking.get(tenant_id)
        if asking is None:
            asking = self._asking[tenant_id] = asyncio.create_task(self._ask_newest(tenant_id))
            asking.add_done_callback(_take_exception)
        return await asyncio.shield(asking)

    async def _ask_newest(self, tenant_id: TenantId) -> int:
        """Read the newest position when a read is free. Callers who come after that begin a task of their own."""
        try:
            await self._reads.acquire()
        finally:
            del self._asking[tenant_id]
        try:
            return await last_position(self._world.database, tenant_id)
        finally:
            self._reads.release()

    async def _read(self, tenant_id: TenantId, position: int) -> list[EventRow]:
        async with self._reads:
            return await list_events(self._world.database, tenant_id, after=position)

    async def _read_patiently(self, tenant_id: TenantId, position: int, customer_id: CustomerId | None) -> EventPage:
        """Read a page of a log. While the database is away, wait and try again.

        Returns an empty page if the hub stops.
        """
        while not self._stopped:
            try:
                async with self._reads:
                    page = await read_log(self._world.database, tenant_id, after=position, customer_id=customer_id)
            except Exception as error:
                if not is_away(error):
                    raise
                await asyncio.sleep(self._reading.failed(error))
            else:
                self._reading.over()
                return page
        return EventPage([], position, more=True)

    async def _read_on(self, shared: SharedLog) -> None:
        """Read new events of a log and give them to its followers, while there are followers."""
        while shared.followers:
            shared.woken.clear()
            try:
                events = await self._read(shared.tenant_id, shared.position)
            except Exception as error:  # noqa: BLE001 - otherwise the followers would wait for ever
                await _wait(shared.woken, self._reading.failed(error))
                continue
            self._reading.over()
            await self._hand_out(shared, events)
            if len(events) < MAX_EVENTS_AT_ONCE:
                await shared.woken.wait()

    async def _ask_each_second(self) -> None:
        """Wake the logs that have grown, also without a hint. Runs while any log is followed."""
        rest = POLL_SECONDS
        while True:
            await asyncio.sleep(rest)
            try:
                async with self._reads:
                    reached = await last_positions(self._world.database, list(self._logs))
            except Exception as error:  # noqa: BLE001 - without it a lost hint would be a lost event
                rest = self._reading.failed(error)
            else:
                rest = POLL_SECONDS
                self._reading.over()
                for tenant_id, position in reached.items():
                    self._wake(tenant_id, position)

    async def _hand_out(self, shared: SharedLog, events: list[EventRow]) -> None:
        """Offer events to the followers of a log, one event after another. Waits for room if a backlog is full."""
        for event in events:
            if any(follower.is_full for follower in shared.followers):
                await self._wait_for_room(shared)
            for follower in shared.followers:
                if follower.wants(event):
                    follower.offer(event)
            shared.position = event.position

    async def _wait_for_room(self, shared: SharedLog) -> None:
        """Wait until full followers have taken half of their backlog, and cut off those who do not in time.

        Without this wait a burst of events would cut off every follower: a change of the program can give all customers
        a new tier.
        """
        full = [follower for follower in shared.followers if follower.is_full]
        deadline = asyncio.get_running_loop().time() + self._patience_seconds
        while late := [follower for follower in full if follower in shared.followers and follower.is_behind]:
            shared.drained.clear()
            rest = deadline - asyncio.get_running_loop().time()
            if rest <= 0 or not await _wait(shared.drained, rest):
                for follower in late:
                    self._slow_readers += follower.cut_off_slow()
                    if follower.has_ended:
                        self.leave(follower)
                return

    # ── listening ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _listen(self, url: str) -> None:
        """Take the hints of a cluster until cancelled. Opens a new connection when one is lost."""
        outage = Outage("event listener")
        while True:
            try:
                await self._take_hints(url, outage)
            except Exception as error:  # noqa: BLE001 - without hints events would come late
                await asyncio.sleep(outage.failed(error))

    async def _take_hints(self, url: str, outage: Outage) -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True, **LISTENER_OPTIONS) as connection:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            outage.over()
            while True:
                async for hint in connection.notifies(timeout=LISTENER_CHECK_SECONDS):
                    self._take_hint(hint.payload)
                async with asyncio.timeout(LISTENER_ANSWER_SECONDS):
                    await connection.execute("SELECT 1")

    def _take_hint(self, payload: str) -> None:
        try:
            hints = decode_hints(payload)
        except ValueError:
            log.warning("a hint was not understood", payload_size_count=len(payload))
            return
        for tenant_id, position in hints:
            self._wake(tenant_id, position)

    def _wake(self, tenant_id: TenantId, position: int) -> None:
        """Wake the reading of a log if it has followers and has not been read up to this position."""
        shared = self._logs.get(tenant_id)
        if shared is not None and position > shared.position:
            shared.woken.set()


def _take_exception(task: asyncio.Task[int]) -> None:
    """Read the error of a task, so that asyncio does not warn when no caller waits.

    A waiting caller gets the error itself.
    """
    if not task.cancelled():
        task.exception()


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for at most so many seconds; returns whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
