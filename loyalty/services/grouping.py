"""Groups: items of one line are written together. A line is a queue that is written group by group.

While one group of a line is written, new items wait. They are written together as the next group. An item that finds no
other one is written at once. So a client that sends many reports, or many about one customer, waits here in the order
of arrival. It holds no database lock and no connection while it waits.
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
"""How many items one group holds. The other items of the line wait until the whole group is written."""

MAX_WAITING = 1_000
"""How many items of one line may wait; one more is refused as UNAVAILABLE."""

WAIT_SECONDS = 10.0
"""How long an item may wait for its turn."""

T = TypeVar("T")
R = TypeVar("R")

Claims = Mapping[Hashable, object]
"""The claims of an item about things that other items of its line may name too.

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
    """The lines of one process. A line exists while an item of it is being written."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[_Item]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    async def join(self, line: Hashable, value: T, work: Work[T, R], claims: Claims = NO_CLAIMS) -> R:
        """Write an item and return its result. Items of its line are written with it if their ``claims`` agree.

        All items of a line must come with the same ``work``. It raises what ``work`` raises for this item alone.
        It raises SQLAlchemy's TimeoutError when too many items wait already, or the item's turn does not come in time.
        """
        waiting = self._lines.get(line)
        if waiting is None:
            self._lines[line] = deque()
            try:
                (result,) = await work([value])
            finally:
                self._go_on(line)
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

    def _go_on(self, line: Hashable) -> None:
        """Write the next group of a line, if items wait. Logs and traces name the first item of the group."""
        group = self._take(line)
        if not group:
            del self._lines[line]
            return
        task = asyncio.get_running_loop().create_task(self._write(line, group), context=group[0].context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, line: Hashable) -> list[_Item]:
        """Take the next items of a line whose callers still wait. Stop before an item whose claims differ."""
        waiting, group, claimed = self._lines[line], list[_Item](), dict[Hashable, object]()
        while waiting and len(group) < MAX_GROUP:
            item = waiting[0]
            if not item.answered.done():
                if any(claimed.setdefault(thing, claim) != claim for thing, claim in item.claims.items()):
                    break
                group.append(item)
            item.expiry.cancel()
            waiting.popleft()
        return group

    async def _write(self, line: Hashable, group: Sequence[_Item]) -> None:
        try:
            await _answer(group)
        except BaseException as ended:
            for item in group:
                item.fail(ended)
            raise
        finally:
            self._go_on(line)


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
