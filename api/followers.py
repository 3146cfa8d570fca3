"""The followers of a tenant's log in this process, and the events that wait for each follower."""

import asyncio
from collections import deque

from loyalty.rules.ids import CustomerId, TenantId
from loyalty.storage.events import EventRow
from schema.channels import Channel
from schema.masking import FeedEnded, ReaderTooSlow


class Follower:
    """One subscription, or one channel of subscriptions, with a backlog. It was given all events up to ``position``.

    With a customer the follower is given only that customer's events. A ``channel`` takes events when it is woken; a
    single subscription waits in `take`.
    """

    def __init__(
        self,
        shared: "SharedLog",
        position: int,
        max_backlog: int,
        channel: Channel | None = None,
        customer_id: CustomerId | None = None,
    ) -> None:
        self.shared = shared
        self.position = position
        self.channel = channel
        self._customer_id = customer_id
        self._max_backlog = max_backlog
        self._backlog: deque[EventRow] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._too_slow = False

    @property
    def subscriber_count(self) -> int:
        """How many subscriptions this follower stands for."""
        return 1 if self.channel is None else self.channel.subscriber_count

    @property
    def backlog_count(self) -> int:
        """How many events wait in the backlog."""
        return len(self._backlog)

    @property
    def has_ended(self) -> bool:
        """Whether no more events come: the follower was too slow, or the process stops."""
        return self._too_slow or self._ended

    @property
    def has_caught_up(self) -> bool:
        """Whether the backlog is empty and the follower has not ended."""
        return not (self._backlog or self.has_ended)

    @property
    def reached(self) -> int:
        """The position up to which no event is missing, once the follower has caught up."""
        return max(self.position, self.shared.position)

    @property
    def waiting_count(self) -> int:
        """How many events wait for the slowest subscription."""
        return len(self._backlog) + (0 if self.channel is None else self.channel.most_waiting)

    @property
    def unread_count(self) -> int:
        """How many events wait for all subscriptions together."""
        waiting = len(self._backlog) * self.subscriber_count
        return waiting if self.channel is None else waiting + self.channel.waiting_count

    @property
    def is_full(self) -> bool:
        """Whether the slowest subscription has no room for another event."""
        return self.waiting_count >= self._max_backlog

    @property
    def is_behind(self) -> bool:
        """Whether more than half of the allowed backlog waits for the slowest subscription."""
        return self.waiting_count > self._max_backlog // 2

    def wants(self, event: EventRow) -> bool:
        """Whether the follower gets an event."""
        return self._customer_id is None or self._customer_id == event.customer_id

    def offer(self, event: EventRow) -> None:
        """Add an event to the backlog, which must have room. Skip an event that the follower has read already."""
        if event.position > self.position:
            self.position = event.position
            self._backlog.append(event)
            self._wake()

    def end(self) -> None:
        """End the follower, after it has taken the events that wait."""
        self._ended = True
        self._wake()

    def cut_off_slow(self) -> int:
        """Cut off the slow subscriptions; returns how many. If the whole follower is slow, it ends."""
        if self.channel is not None and len(self._backlog) <= self._max_backlog // 2:
            return self.channel.cut_off_slow(self._max_backlog // 2 - len(self._backlog))
        self._too_slow = True
        self._backlog.clear()
        self._wake()
        return self.subscriber_count

    def _wake(self) -> None:
        if self.channel is None:
            self._changed.set()
        else:
            self.channel.wake()

    def take_now(self) -> EventRow | None:
        """Take the next event; None when no event waits. Raises ReaderTooSlow, and FeedEnded at the end."""
        if not self._backlog:
            if self._too_slow:
                raise ReaderTooSlow
            if self._ended:
                raise FeedEnded
            return None
        self.note_taken()
        return self._backlog.popleft()

    def note_taken(self) -> None:
        """Tell the log that fewer events wait."""
        self.shared.drained.set()

    async def take(self) -> EventRow | None:
        """Wait for the next event and take it; None at the end. Raises ReaderTooSlow."""
        try:
            while (event := self.take_now()) is None:
                self._changed.clear()
                await self._changed.wait()
        except FeedEnded:
            return None
        return event


class SharedLog:
    """The log of one tenant, read once for all its followers in this process. It lives while it has a follower."""

    def __init__(self, tenant_id: TenantId, position: int) -> None:
        self.tenant_id = tenant_id
        self.position = position
        self.followers: set[Follower] = set()
        self.woken = asyncio.Event()
        self.drained = asyncio.Event()
