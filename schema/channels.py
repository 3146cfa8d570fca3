"""A channel tells each event once to all live subscriptions that ask the same question.

A subscription first reads past events by itself. When no event waits for it any more, it joins the channel of its
question, and needs no execution and no loop of its own. The channel reads an event once and sends the same payload to
all its subscribers. Two cases are left to the subscriber: its socket is slow, or the channel cannot read the event.
Then it takes the event from its own backlog and reads it alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextvars import copy_context
from typing import Any, NamedTuple, Protocol

import structlog

from loyalty.rules.ids import CustomerId, TenantId
from loyalty.storage.events import EventRow
from schema.delivery import CURSOR_EXTENSION, Delivery
from schema.fan_out import EventResult, Group
from schema.masking import ReaderTooSlow
from schema.scalars import Cursor

SUBSCRIBERS_AT_ONCE = 500
"""How many subscribers are sent an event before the process serves other work."""

ReadEvent = Callable[[object, int], Awaitable[EventResult]]
"""Reads the fields of a value for the event at a position. Subscriptions that ask together share one reading."""

SendNow = Callable[[str], bool]
"""Sends a payload at once; false when an earlier payload is not sent yet."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.subscriptions")


class Place(Protocol):
    """The position of a channel in a log, from which it takes events."""

    @property
    def has_ended(self) -> bool:
        """Whether no more events come."""

    def take_now(self) -> EventRow | None:
        """Take the next event; None if no event waits. Raises ReaderTooSlow, and FeedEnded at the end."""

    def note_taken(self) -> None:
        """Tell the log that fewer events wait."""


class Feed(Protocol):
    """The committed events of tenants, in the order of their logs."""

    def join(
        self,
        tenant_id: TenantId,
        position: int,
        channel: "Channel | None" = None,
        customer_id: CustomerId | None = None,
    ) -> Place | None:
        """Follow a log from a position; with a customer, only that customer's events. None if some would be missed."""

    def leave(self, place: Any) -> None:
        """Stop following from this place. Harmless when repeated."""


class Watch(Protocol):
    """Chooses the events of a subscription and shows them. Equal watches show the same."""

    @property
    def customer_id(self) -> CustomerId | None:
        """The customer to whose events the subscription is limited; None for the events of all."""

    def show(self, event: EventRow, cursor_at: Callable[[int], Cursor]) -> object | None:
        """Return the value of the root field; None for an event that the subscription does not show."""


class Question(NamedTuple):
    """The question of a subscription about each event."""

    tenant_id: TenantId
    group: Group | None
    """The group of subscriptions with this question; None for a subscription that shares answers with no other."""
    read: ReadEvent
    cursor_at: Callable[[int], Cursor]
    """Returns the cursor for a position of the log."""


class Subscriber:
    """One subscription in a channel. Its backlog holds the events that were not sent at once."""

    __slots__ = ("_backlog", "_channel", "_delivery", "_end", "_position", "_send_now", "_waiter")

    def __init__(self, channel: "Channel", position: int, delivery: Delivery, send_now: SendNow | None) -> None:
        self._channel = channel
        self._position = position
        self._delivery = delivery
        self._send_now = send_now
        self._backlog: deque[EventRow] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._end: Exception | None = None

    @property
    def waiting_count(self) -> int:
        """How many events wait in the backlog."""
        return len(self._backlog)

    @property
    def can_be_told_now(self) -> bool:
        """Whether the subscriber waits for an event, and its socket can be sent one at once."""
        return self._send_now is not None and self._waiter is not None and not self._waiter.done()

    def tell(self, event: EventRow, payload: str | None) -> None:
        """Send the payload of an event at once, or put the event into the backlog. Skip an event handled before."""
        if event.position <= self._position or self._end is not None:
            return
        self._position = event.position
        if payload is not None and self.can_be_told_now and self._send_now is not None and self._send_now(payload):
            self._delivery.note_delivered(event.position)
            return
        self._backlog.append(event)
        self._channel.behind.add(self)
        self._wake()

    def end(self, reason: Exception) -> None:
        """End the subscription with an error, after the events that still wait."""
        self._end = reason
        self._wake()

    def cut_off(self, reason: Exception) -> None:
        """Throw away the events that wait, and end the subscription with an error."""
        self._backlog.clear()
        self._channel.behind.discard(self)
        self.end(reason)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> EventRow:
        """Wait for the next event that was not sent at once. Raises the error that ended the subscription."""
        while not self._backlog:
            if self._end is not None:
                raise self._end
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event = self._backlog.popleft()
        if not self._backlog:
            self._channel.behind.discard(self)
        self._channel.note_taken()
        return event

    async def read(self, event: EventRow) -> EventResult:
        """Return the answer to an event."""
        return await self._channel.read(event)

    def leave(self) -> None:
        """Leave the channel. Harmless when repeated."""
        # A channel keeps the question of its first subscriber for its whole life. It must not keep that socket.
        self._send_now = None
        self._channel.leave(self)


class Channel:
    """The live subscriptions with one question. It runs a task only while there are events to send."""

    def __init__(self, question: Question, watch: Watch, close: Callable[[], None]) -> None:
        self._question = question
        self._watch = watch
        self._close = close
        self._context = copy_context()
        self._subscribers: dict[Subscriber, None] = {}
        self._work: asyncio.Task[None] | None = None
        self.place: Place | None = None
        self.behind: set[Subscriber] = set()

    @property
    def subscriber_count(self) -> int:
        """How many subscribers there are."""
        return len(self._subscribers)

    @property
    def most_waiting(self) -> int:
        """How many events wait for the slowest subscriber."""
        return max((subscriber.waiting_count for subscriber in self.behind), default=0)

    @property
    def waiting_count(self) -> int:
        """How many events wait for all subscribers together. Another thread may ask this."""
        return sum(subscriber.waiting_count for subscriber in list(self.behind))

    @property
    def has_ended(self) -> bool:
        """Whether no more events come for its subscribers."""
        return self.place is not None and self.place.has_ended

    def add(self, position: int, delivery: Delivery, send_now: SendNow | None) -> Subscriber:
        """Add a subscriber that has seen every event up to a position."""
        subscriber = Subscriber(self, position, delivery, send_now)
        self._subscribers[subscriber] = None
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber; the channel ends with the last one."""
        self._subscribers.pop(subscriber, None)
        self.behind.discard(subscriber)
        self.note_taken()
        if not self._subscribers:
            self._close()
            if self._work is not None:
                self._work.cancel()

    def note_taken(self) -> None:
        """Tell the log that fewer events wait for a subscriber."""
        if self.place is not None:
            self.place.note_taken()

    def cut_off_slow(self, most_waiting: int) -> int:
        """Cut off each subscriber with more than ``most_waiting`` waiting events; returns how many."""
        late = [subscriber for subscriber in self.behind if subscriber.waiting_count > most_waiting]
        for subscriber in late:
            subscriber.cut_off(ReaderTooSlow())
        return len(late)

    def wake(self) -> None:
        """Start to send the events that wait, unless the channel is sending already."""
        if self._work is None:
            self._work = asyncio.create_task(self._tell_all(), context=self._context)

    async def _tell_all(self) -> None:
        """Send the waiting events to all subscribers. An error ends every subscription."""
        try:
            while self.place is not None and (event := self.place.take_now()) is not None:
                await self._tell(event)
        except Exception as error:  # noqa: BLE001 - otherwise the subscribers would wait for ever
            for subscriber in tuple(self._subscribers):
                if isinstance(error, ReaderTooSlow):
                    subscriber.cut_off(error)
                else:
                    subscriber.end(error)
        finally:
            self._work = None

    async def _tell(self, event: EventRow) -> None:
        """Send one event to all subscribers, some at a time. Does nothing if the subscription does not show it."""
        value = self._watch.show(event, self._question.cursor_at)
        if value is None:
            return
        payload = None
        if any(subscriber.can_be_told_now for subscriber in self._subscribers):
            payload = await self._find_payload(event, value)
        subscribers = tuple(self._subscribers)
        for start in range(0, len(subscribers), SUBSCRIBERS_AT_ONCE):
            for subscriber in subscribers[start : start + SUBSCRIBERS_AT_ONCE]:
                if subscriber in self._subscribers:
                    subscriber.tell(event, payload)
            await asyncio.sleep(0)

    async def _find_payload(self, event: EventRow, value: object) -> str | None:
        """Return the payload for all subscribers; None when each has to read the event alone."""
        try:
            result = await self._question.read(value, event.position)
        except Exception as error:  # noqa: BLE001 - each subscriber reads the event alone, and gets the error
            log.info("an event is read by each subscription", reason=type(error).__name__)
            return None
        return (
            None
            if result.errors
            else result.answer.encode({CURSOR_EXTENSION: self._question.cursor_at(event.position)})
        )

    async def read(self, event: EventRow) -> EventResult:
        """Return the answer to an event for one subscriber."""
        return await self._question.read(self._watch.show(event, self._question.cursor_at), event.position)


class Channels:
    """The channels of one process."""

    def __init__(self) -> None:
        self._open: dict[Hashable, Channel] = {}

    def __len__(self) -> int:
        return len(self._open)

    def join(
        self,
        feed: Feed,
        question: Question,
        watch: Watch,
        position: int,
        delivery: Delivery,
        send_now: SendNow | None,
    ) -> Subscriber | None:
        """Add a subscription to the channel of its question. None if it would miss events.

        The subscription has seen every event up to ``position``. The channel is at that position or before it, because
        nobody has read the log further.
        """
        key: Hashable = object() if question.group is None else (question.group, watch)
        channel = self._open.get(key)
        if channel is None or channel.has_ended:
            channel = self._begin(feed, key, question, watch, position)
        return None if channel is None else channel.add(position, delivery, send_now)

    def _begin(self, feed: Feed, key: Hashable, question: Question, watch: Watch, position: int) -> Channel | None:
        """Begin a channel at a position; None if it would miss events."""

        def close() -> None:
            feed.leave(place)
            if self._open.get(key) is channel:
                del self._open[key]

        channel = Channel(question, watch, close)
        place = feed.join(question.tenant_id, position, channel, watch.customer_id)
        if place is None:
            return None
        channel.place = place
        self._open[key] = channel
        return channel
