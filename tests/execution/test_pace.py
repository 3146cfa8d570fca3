"""An operation gives way to others: what it does in one turn of the event loop is bounded by steps, not by its size."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import strawberry
from graphql import parse
from strawberry.dataloader import DataLoader

from execution.pace import CALL_STEPS, TURN_STEPS
from execution.plans import Plans
from tests.execution.answering import Executors, told

MOST_CALLS = TURN_STEPS // CALL_STEPS
ROWS = 300


class Clock:
    """Counts the turns of the event loop, and notes in which of them resolvers are called."""

    def __init__(self) -> None:
        self.turn = 0
        self.called: Counter[int] = Counter()
        self.ended = 0
        self.doubles: DataLoader[int, int] = DataLoader(self._double)
        self.batches: list[int] = []
        self._awaited: dict[int, asyncio.Event] = {}

    def note(self) -> None:
        self.called[self.turn] += 1

    async def _double(self, keys: list[int]) -> list[int]:
        self.batches.append(len(keys))
        return [2 * key for key in keys]

    async def tick(self) -> None:
        while True:
            self.turn += 1
            if self.turn in self._awaited:
                self._awaited[self.turn].set()
            await asyncio.sleep(0)

    async def wait_until(self, turn: int) -> None:
        event = self._awaited[turn] = asyncio.Event()
        await event.wait()


@strawberry.type
class Row:
    number: int

    @strawberry.field
    async def late(self, info: strawberry.Info) -> int:
        """Wait for nothing, so that all rows could be done in one turn."""
        info.context.note()
        return self.number

    @strawberry.field
    async def chosen(self, info: strawberry.Info, plus: int = 0) -> int:
        """Wait for nothing, as `late`, but with an argument."""
        info.context.note()
        return self.number + plus

    @strawberry.field
    def quick(self, info: strawberry.Info) -> int:
        """Return at once. It is called for each row."""
        info.context.note()
        return self.number

    @strawberry.field
    async def fails(self, info: strawberry.Info) -> int | None:
        """Fail always."""
        info.context.note()
        raise RuntimeError("no")

    @strawberry.field
    async def doubled(self, info: strawberry.Info) -> int:
        """Ask a loader."""
        return await asyncio.shield(info.context.doubles.load(self.number))

    @strawberry.field
    async def endless(self, info: strawberry.Info) -> int:
        """Wait until the task is cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            info.context.ended += 1
        return 0


@strawberry.type
class Query:
    @strawberry.field
    def rows(self, count: int) -> list[Row]:
        """Return so many rows."""
        return [Row(number=number) for number in range(count)]


@pytest.fixture(scope="module")
def executors() -> Executors:
    return Executors(strawberry.Schema(Query))


@contextlib.asynccontextmanager
async def ticking() -> AsyncIterator[Clock]:
    """Yield a clock that runs beside the block."""
    clock = Clock()
    ticker = asyncio.create_task(clock.tick())
    try:
        yield clock
    finally:
        ticker.cancel()


async def run_planned(executors: Executors, document: str, clock: Clock) -> Any:
    tree = parse(document)
    core = executors.build(tree, {}, clock)
    plan = Plans(executors.planner, tree, lambda _size: None).find(core)
    assert plan is not None
    return await plan.run(core)


def aliased(field: str, count: int = 10, rows: int = ROWS) -> str:
    return f"{{ rows(count: {rows}) {{ {' '.join(f'a{number}: {field}' for number in range(count))} }} }}"


@pytest.mark.parametrize("field", ["late", "chosen(plus: 1)", "fails"])
async def test_coroutines_are_started_in_as_many_turns_as_they_need(executors: Executors, field: str) -> None:
    async with ticking() as clock:
        result = await run_planned(executors, aliased(field), clock)
    assert len(result.data["rows"]) == ROWS
    assert clock.called.total() == 10 * ROWS
    assert max(clock.called.values()) <= MOST_CALLS


async def test_functions_are_called_in_as_many_turns_as_they_need(executors: Executors) -> None:
    async with ticking() as clock:
        await run_planned(executors, aliased("quick", count=40), clock)
    assert clock.called.total() == 40 * ROWS
    assert max(clock.called.values()) <= TURN_STEPS + ROWS


async def test_errors_are_told_in_as_many_turns_as_they_need(executors: Executors) -> None:
    async with ticking() as clock:
        result = await run_planned(executors, aliased("fails"), clock)
    assert len(result.errors) == 10 * ROWS
    assert clock.turn - max(clock.called) >= 10 * ROWS * CALL_STEPS / TURN_STEPS


async def test_reading_the_schema_gives_way_too(executors: Executors) -> None:
    part = "types { name fields { name args { name type { name } } type { name fields { name } } } }"
    many = " ".join(f"a{number}: {part}" for number in range(30))
    async with ticking() as clock:
        await run_planned(executors, f"{{ __schema {{ {part} }} }}", clock)
        once = clock.turn
        await run_planned(executors, f"{{ __schema {{ {many} }} }}", clock)
    assert clock.turn - once > once


@pytest.mark.parametrize("field", ["late", "chosen(plus: 1)", "quick", "fails", "doubled"])
async def test_the_answer_is_the_same_as_in_one_turn(executors: Executors, field: str) -> None:
    planned, plain = await executors.answer(aliased(field, count=8), context=Clock())
    assert planned.data == plain.data
    assert told(planned) == told(plain)


async def test_keys_that_fit_into_a_turn_are_loaded_together(executors: Executors) -> None:
    """A page whose rows all ask one loader costs one statement."""
    clock = Clock()
    await run_planned(executors, aliased("doubled", count=1, rows=100), clock)
    assert clock.batches == [100]


async def test_an_operation_that_is_cancelled_leaves_no_coroutine_behind(executors: Executors) -> None:
    """Those that were started end, and nothing waits for those that were not."""
    async with ticking() as clock:
        task = asyncio.create_task(run_planned(executors, aliased("endless"), clock))
        await clock.wait_until(6)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        started = clock.ended
        await asyncio.sleep(0.01)
    assert task.cancelled()
    assert 0 < started == clock.ended < 10 * ROWS
