"""Items that arrive while others of their queue are written go out as one batch, and each is answered for itself."""

import asyncio
from collections.abc import Hashable, Sequence
from contextvars import ContextVar

import pytest
from sqlalchemy.exc import TimeoutError as NoTurn

from loyalty.services import grouping
from loyalty.services.grouping import MAX_GROUP, MAX_WAITING, Groups


class Writer:
    """Writes numbers, and doubles them. It waits until ``open`` is set, and notes what it is given together."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.second_begins = asyncio.Event()
        self.groups: list[list[int]] = []

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        """Return the numbers doubled.

        Raises ValueError for a group with a number below 0, and ConnectionError for a group with 13.
        """
        self.groups.append(list(numbers))
        if len(self.groups) > 1:
            self.second_begins.set()
        await self.open.wait()
        if any(number < 0 for number in numbers):
            raise ValueError("below zero")
        if 13 in numbers:
            raise ConnectionError("the database is away")
        return [2 * number for number in numbers]


async def begin(groups: Groups, writer: Writer, *numbers: int, queue: str = "queue") -> list[asyncio.Task[int]]:
    """Begin a task for each number, in this order."""
    tasks = []
    for number in numbers:
        tasks.append(asyncio.create_task(groups.join(queue, number, writer)))
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_alone_is_written_at_once() -> None:
    groups, writer = Groups(), Writer()
    writer.open.set()
    assert [await groups.join("queue", number, writer) for number in (1, 2)] == [2, 4]
    assert writer.groups == [[1], [2]]


async def test_what_arrives_meanwhile_is_written_together_in_the_order_of_arrival() -> None:
    groups, writer = Groups(), Writer()
    tasks = await begin(groups, writer, 1, 2, 3, 4)
    writer.open.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert writer.groups == [[1], [2, 3, 4]]


async def test_another_queue_does_not_wait() -> None:
    groups, slow, quick = Groups(), Writer(), Writer()
    await begin(groups, slow, 1, 2)
    quick.open.set()
    assert await groups.join("another queue", 3, quick) == 6
    slow.open.set()


async def test_a_group_has_an_end() -> None:
    groups, writer = Groups(), Writer()
    tasks = await begin(groups, writer, *range(100, 100 + MAX_GROUP + 2))
    writer.open.set()
    await asyncio.gather(*tasks)
    assert [len(group) for group in writer.groups] == [1, MAX_GROUP, 1]


async def test_a_failure_of_one_item_is_its_own() -> None:
    groups, writer = Groups(), Writer()
    tasks = await begin(groups, writer, 1, 2, -3, 4)
    writer.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result for result in results if isinstance(result, int)] == [2, 4, 8]
    assert isinstance(results[2], ValueError)
    assert await groups.join("queue", 5, writer) == 10


async def test_a_database_that_is_away_is_asked_once_for_a_group() -> None:
    groups, writer = Groups(), Writer()
    tasks = await begin(groups, writer, 1, 13, 4)
    writer.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [int, ConnectionError, ConnectionError]
    assert writer.groups == [[1], [13, 4]]


async def test_the_queue_goes_on_after_the_first_has_failed() -> None:
    groups, writer = Groups(), Writer()
    tasks = await begin(groups, writer, -1, 2)
    writer.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert results[1] == 4


async def test_one_who_goes_away_is_left_out_and_stops_nobody() -> None:
    groups, writer = Groups(), Writer()
    first, gone, stays = await begin(groups, writer, 1, 2, 3)
    gone.cancel()
    first.cancel()
    await asyncio.sleep(0)
    writer.open.set()
    assert await stays == 6
    assert writer.groups == [[1], [3]]
    assert first.cancelled()
    assert gone.cancelled()


async def test_one_who_goes_away_while_written_takes_nobody_along() -> None:
    groups, writer = Groups(), Writer()
    first, *others = await begin(groups, writer, 1, 2, 3)
    first.cancel()
    await writer.second_begins.wait()
    others[0].cancel()
    await asyncio.sleep(0)
    writer.open.set()
    assert await others[1] == 6


async def test_refuses_who_would_wait_in_too_long_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MAX_WAITING", 2)
    assert MAX_WAITING >= MAX_GROUP
    groups, writer = Groups(), Writer()
    tasks = await begin(groups, writer, 1, 2, 3)
    with pytest.raises(NoTurn, match="too many"):
        await groups.join("queue", 4, writer)
    writer.open.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6]


async def test_nobody_waits_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "WAIT_SECONDS", 0.01)
    groups, writer = Groups(), Writer()
    first, second = await begin(groups, writer, 1, 2)
    with pytest.raises(NoTurn, match="in time"):
        await second
    writer.open.set()
    assert await first == 2
    assert writer.groups == [[1]]


async def test_nothing_is_left_of_a_queue_that_is_over() -> None:
    groups, writer = Groups(), Writer()
    tasks = await begin(groups, writer, 1, 2, 3)
    writer.open.set()
    await asyncio.gather(*tasks)
    assert not len(groups)


async def test_a_group_is_told_of_its_first_item() -> None:
    """Whatever a request has noted of itself, such as its id and its span, is there while its group is written."""
    request: ContextVar[int] = ContextVar("request")
    told: list[int] = []
    opened = asyncio.Event()

    async def write(numbers: Sequence[int]) -> list[int]:
        await opened.wait()
        told.append(request.get())
        return list(numbers)

    async def come(number: int) -> int:
        request.set(number)
        return await groups.join("queue", number, write)

    groups = Groups()
    tasks = [asyncio.create_task(come(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    opened.set()
    assert await asyncio.gather(*tasks) == [1, 2, 3]
    assert told == [1, 2]


async def test_what_claims_something_else_waits_for_the_next_group() -> None:
    """The order of arrival stays: what comes behind it waits with it."""
    groups, writer = Groups(), Writer()
    claims: list[dict[Hashable, object]] = [
        {},
        {"a": 1},
        {"b": 1},
        {"a": 1, "b": 1},
        {"b": 2},
        {"a": 1},
        {"a": 2, "b": 2},
    ]
    tasks = []
    for number, claimed in enumerate(claims):
        tasks.append(asyncio.create_task(groups.join("queue", number, writer, claimed)))
        await asyncio.sleep(0)
    writer.open.set()
    assert await asyncio.gather(*tasks) == [2 * number for number in range(len(claims))]
    assert writer.groups == [[0], [1, 2, 3], [4, 5], [6]]
    assert not len(groups)


async def test_one_who_went_away_claims_nothing() -> None:
    groups, writer = Groups(), Writer()
    tasks = []
    for number, claimed in enumerate([0, 1, 2, 1]):
        tasks.append(asyncio.create_task(groups.join("queue", number, writer, {"a": claimed})))
        await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.sleep(0)
    writer.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert writer.groups == [[0], [1, 3]]
