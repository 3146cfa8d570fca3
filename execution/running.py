"""One operation while it runs: its context, its plan, and its failures until now."""

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from graphql import FieldNode
from graphql.execution.executor import Executor

from execution.failures import Failure
from execution.pace import CALL_STEPS, Pace
from execution.places import FAILED, Place

if TYPE_CHECKING:
    from execution.plans import Plan


class Unplaced:
    """Used in place of a path: a resolver that is called once for a whole list has none."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a field is resolved for a whole list, so it has no path to take {name!r} from")


UNPLACED: Any = Unplaced()


class Run:
    """One operation while it runs. ``core`` is graphql-core's executor: it holds context, operation and variables."""

    __slots__ = ("core", "failures", "pace", "plan", "schema")

    def __init__(self, core: Executor[Any], plan: "Plan") -> None:
        self.core = core
        self.plan = plan
        self.schema = core.schema
        self.failures: list[Failure] = []
        self.pace = Pace()

    def fail(self, place: Place, index: int, nodes: Sequence[FieldNode], error: Exception, *, nullable: bool) -> Any:
        """Note a failure. Returns the value for its position: None if null may stand there, else ``FAILED``."""
        self.failures.append(Failure(place, index, nodes, error))
        return None if nullable else FAILED


def is_awaitable_class(kind: type) -> bool:
    """Return whether the values of a class can be awaited."""
    return hasattr(kind, "__await__")


def has_awaitables(values: Sequence[Any]) -> bool:
    """Return whether one of the values can be awaited."""
    return any(map(is_awaitable_class, set(map(type, values))))


async def await_all(pace: Pace, awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    """Await all at the same time; an exception takes the place of its value.

    All have ended when this returns. An exception that is no `Exception`, such as a cancellation, is raised. If there
    are more than one turn of the event loop may start, the others start in the next turns.
    """
    if len(awaitables) == 1 and pace.count(CALL_STEPS):
        try:
            return [await awaitables[0]]
        except Exception as error:  # noqa: BLE001 - whatever a resolver raises is an error of its field
            return [error]
    done: list[Any] = await asyncio.gather(*await _start(pace, awaitables), return_exceptions=True)
    for value in done:
        if isinstance(value, BaseException) and not isinstance(value, Exception):
            raise value
    return done


async def _start(pace: Pace, awaitables: Sequence[Awaitable[Any]]) -> list[asyncio.Future[Any]]:
    """Start all awaitables, in as many turns as their number needs."""
    started: list[asyncio.Future[Any]] = []
    try:
        while len(started) < len(awaitables):
            count = await pace.wait_for_calls(len(awaitables) - len(started))
            started += map(asyncio.ensure_future, awaitables[len(started) : len(started) + count])
    except asyncio.CancelledError:
        await _abandon(started, awaitables[len(started) :])
        raise
    return started


async def _abandon(started: Sequence[asyncio.Future[Any]], others: Sequence[Awaitable[Any]]) -> None:
    """Cancel the started tasks, and close the others."""
    for future in started:
        future.cancel()
    for awaitable in others:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
    await asyncio.gather(*started, return_exceptions=True)


async def await_parts(parts: Sequence[Awaitable[list[Any]]]) -> list[list[Any]]:
    """Await parts of the answer at the same time. They fail only by a bug of the executor, which is raised."""
    if len(parts) == 1:
        return [await parts[0]]
    done: list[Any] = await asyncio.gather(*parts, return_exceptions=True)
    for part in done:
        if isinstance(part, BaseException):
            raise part
    return done


async def await_values(pace: Pace, values: Sequence[Any]) -> list[Any]:
    """Return the values; each that can be awaited is replaced by its result or its exception."""
    places = [index for index, value in enumerate(values) if is_awaitable_class(type(value))]
    settled = list(values)
    if places:
        brought = await await_all(pace, [values[index] for index in places])
        for index, value in zip(places, brought, strict=True):
            settled[index] = value
    return settled


def is_async(function: Any) -> bool:
    """Return whether calling a function returns an awaitable."""
    return inspect.iscoroutinefunction(function)
