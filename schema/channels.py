"""A channel tells each event once to all live subscriptions that ask the same question.

A subscription reads what is behind by itself. When nothing waits for it any more it joins the channel of its question,
and needs no execution and no loop of its own. The channel reads an event once and hands the same payload to all its
subscribers in one go. A subscriber who is behind takes events from its own backlog. An event that cannot be read is
read again by each subscriber alone.
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
"""Subscribers that are told an event before the process serves others."""

ReadEvent = Callable[[object, int], Awaitable[EventResult]]
"""Reads the fields of a value for the event at a position of the log, once for all who ask at the same time."""

SendNow = Callable[[str], bool]
"""Sends a payload at once; false where the reader is behind, so that it has to wait its turn."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.subscriptions")


class Place(Protocol):
    """Where a channel stands in a log."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is told here."""

    def take_now(self) -> EventRow | None:
        """The next event, None when there is none just now. Raises ReaderTooSlow, and FeedEnded at the end."""

    def note_taken(self) -> None:
        """Tell the log that fewer events wait."""


class Feed(Protocol):
    """Committed events of a tenant, as they come."""

    def join(
        self,
        tenant_id: TenantId,
        position: int,
        channel: "Channel | None" = None,
        customer_id: CustomerId | None = None,
    ) -> Place | None:
        """Follow from a position on, for a customer alone where one is given; None where there would be a gap."""

    def leave(self, place: Any) -> None:
        """Follow no longer. Harmless when repeated."""


class Watch(Protocol):
    """Which events a subscription tells of, and as what. Equal ones tell the same."""

    @property
    def customer_id(self) -> CustomerId | None:
        """Whose events; None for everybody's."""

    def show(self, event: EventRow, cursor_at: Callable[[int], Cursor]) -> object | None:
        """The value of the root field; None for an event that is not told."""


class Question(NamedTuple):
    """What a subscription wants to know of each event."""

    tenant_id: TenantId
    group: Group | None
    """Who asks the same; None for who asks alone."""
    read: ReadEvent
    cursor_at: Callable[[int], Cursor]
    """Makes the cursor of a position of the log."""


class Subscriber:
    """One subscription in a channel. What waits for it stands in its backlog."""

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
        """How many events wait for it."""
        return len(self._backlog)

    @property
    def can_be_told_now(self) -> bool:
        """Whether it waits for an event, and has a reader who can be sent one at once."""
        return self._send_now is not None and self._waiter is not None and not self._waiter.done()

    def tell(self, event: EventRow, payload: str | None) -> None:
        """Send the payload of an event at once, else keep the event; one that was read before is passed over."""
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
        """Let it end with an error. What still waits is told before, unless its reader is too slow."""
        self._end = reason
        self._wake()

    def cut_off(self, reason: Exception) -> None:
        """Throw away what waits, and let it end."""
        self._backlog.clear()
        self._channel.behind.discard(self)
        self.end(reason)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> EventRow:
        """The next event that was not sent at once, when there is one. Raises what ended the channel."""
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
        """The answer to an event."""
        return await self._channel.read(event)

    def leave(self) -> None:
        """Be told no more. Harmless when repeated."""
        # The channel asks what its first subscriber asked, as long as it lives. It must not keep that socket.
        self._send_now = None
        self._channel.leave(self)


class Channel:
    """The live subscriptions with one question. It works in a task only while there is something to tell."""

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
        """How many events wait for all subscribers together. It may be asked from another thread."""
        return sum(subscriber.waiting_count for subscriber in list(self.behind))

    @property
    def has_ended(self) -> bool:
        """Whether its subscribers are told no more."""
        return self.place is not None and self.place.has_ended

    def add(self, position: int, delivery: Delivery, send_now: SendNow | None) -> Subscriber:
        """A new subscriber, who was told everything up to a position."""
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
        """Cut off the subscribers for whom more events wait; how many they were."""
        late = [subscriber for subscriber in self.behind if subscriber.waiting_count > most_waiting]
        for subscriber in late:
            subscriber.cut_off(ReaderTooSlow())
        return len(late)

    def wake(self) -> None:
        """Begin to tell what is there, unless that goes on already."""
        if self._work is None:
            self._work = asyncio.create_task(self._tell_all(), context=self._context)

    async def _tell_all(self) -> None:
        try:
            while self.place is not None and (event := self.place.take_now()) is not None:
                await self._tell(event)
        except Exception as error:  # noqa: BLE001 - the subscribers would wait for ever for a channel that died
            for subscriber in tuple(self._subscribers):
                if isinstance(error, ReaderTooSlow):
                    subscriber.cut_off(error)
                else:
                    subscriber.end(error)
        finally:
            self._work = None

    async def _tell(self, event: EventRow) -> None:
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
        """What all subscribers are sent; None where each is told of an error, or reads the event again."""
        try:
            result = await self._question.read(value, event.position)
        except Exception as error:  # noqa: BLE001 - each subscriber reads it by itself, and is told what went wrong
            log.info("an event is read by each subscription", reason=type(error).__name__)
            return None
        return (
            None
            if result.errors
            else result.answer.encode({CURSOR_EXTENSION: self._question.cursor_at(event.position)})
        )

    async def read(self, event: EventRow) -> EventResult:
        """The answer to an event for one subscriber."""
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
        """Join the channel of a question, having been told everything up to a position; None where that leaves a gap.

        The channel stands at most there, since its log is read no further.
        """
        key: Hashable = object() if question.group is None else (question.group, watch)
        channel = self._open.get(key)
        if channel is None or channel.has_ended:
            channel = self._begin(feed, key, question, watch, position)
        return None if channel is None else channel.add(position, delivery, send_now)

    def _begin(self, feed: Feed, key: Hashable, question: Question, watch: Watch, position: int) -> Channel | None:
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
