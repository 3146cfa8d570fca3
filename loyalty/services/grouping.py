"""Write items of one queue together, group by group.

While one group of a queue is written, new items wait. They are written together as the next group. An item that finds
no other one is written at once. So a client that sends many reports, or many about one customer, waits here in the
order of arrival. It holds no database lock and no connection while it waits.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import copy_context
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy.exc import TimeoutError as NoTurn

from tenancy.outage import is_passing

MAX_GROUP = 50
"""How many items one group holds. The other items of the queue wait until the whole group is written."""

MAX_WAITING = 1_000
"""How many items of one queue may wait; one more is refused as UNAVAILABLE."""

WAIT_SECONDS = 10.0
"""How long an item may wait for its turn."""

T = TypeVar("T")
R = TypeVar("R")

Claims = Mapping[Hashable, object]
"""The claims of an item about things that other items of its queue may name too.

No group has two different claims about one thing.
"""

NO_CLAIMS: Claims = MappingProxyType({})

Work = Callable[[Sequence[T]], Awaitable[Sequence[R]]]
"""A function that writes items, and returns a result for each, in the same order."""


class _Item:
    """An item that waits to be written, and then for its result."""

    __slots__ = ("answered", "claims", "context", "expiry", "value", "work")

    def __init__(self, value: Any, work: Work[Any, Any], claims: Claims) -> None:
        loop = asyncio.get_running_loop()
        self.value = value
        self.work = work
        self.claims = claims
        self.context = copy_context()
        self.answered: asyncio.Future[Any] = loop.create_future()
        self.expiry = loop.call_later(WAIT_SECONDS, self.fail, NoTurn("no turn came in time"))

    def fail(self, error: BaseException) -> None:
        """Give the error to the caller that waits, if it still waits."""
        if not self.answered.done():
            self.answered.set_exception(error)

    def answer(self, result: Any) -> None:
        """Give the result to the caller that waits, if it still waits."""
        if not self.answered.done():
            self.answered.set_result(result)


class Groups:
    """The queues of one process. A queue exists while an item of it is being written."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[_Item]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return the number of queues."""
        return len(self._queues)

    async def join(self, queue: Hashable, value: T, work: Work[T, R], claims: Claims = NO_CLAIMS) -> R:
        """Write an item and return its result. Items of its queue are written with it if their ``claims`` agree.

        All items of a queue must come with the same ``work``. It raises what ``work`` raises for this item alone.
        It raises SQLAlchemy's TimeoutError when too many items wait already, or the item's turn does not come in time.
        """
        waiting = self._queues.get(queue)
        if waiting is None:
            self._queues[queue] = deque()
            try:
                (result,) = await work([value])
            finally:
                self._go_on(queue)
            return result
        if len(waiting) >= MAX_WAITING:
            raise NoTurn("too many wait for their turn")
        item = _Item(value, work, claims)
        waiting.append(item)
        try:
            answered: R = await item.answered
        finally:
            item.expiry.cancel()
        return answered

    def _go_on(self, queue: Hashable) -> None:
        """Write the next group of a queue, if items wait. Logs and traces name the first item of the group."""
        group = self._take(queue)
        if not group:
            del self._queues[queue]
            return
        task = asyncio.get_running_loop().create_task(self._write(queue, group), context=group[0].context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, queue: Hashable) -> list[_Item]:
        """Take the next items of a queue whose callers still wait. Stop before an item whose claims differ."""
        waiting, group, claimed = self._queues[queue], list[_Item](), dict[Hashable, object]()
        while waiting and len(group) < MAX_GROUP:
            item = waiting[0]
            if not item.answered.done():
                if any(claimed.setdefault(thing, claim) != claim for thing, claim in item.claims.items()):
                    break
                group.append(item)
            item.expiry.cancel()
            waiting.popleft()
        return group

    async def _write(self, queue: Hashable, group: Sequence[_Item]) -> None:
        """Write a group, and then the next group of the queue.

        If the process ends meanwhile, the callers get that error.
        """
        try:
            await _answer(group)
        except BaseException as ended:
            for item in group:
                item.fail(ended)
            raise
        finally:
            self._go_on(queue)


async def _answer(group: Sequence[_Item]) -> None:
    """Write a group and give each item its result. If it fails for the fault of an item, write each item alone."""
    try:
        results = await group[0].work([item.value for item in group])
    except Exception as error:  # noqa: BLE001 - whatever the error is, the callers that wait must get it
        if len(group) > 1 and not is_passing(error):
            for item in group:
                await _answer([item])
            return
        for item in group:
            item.fail(error)
        return
    for item, result in zip(group, results, strict=True):
        item.answer(result)
