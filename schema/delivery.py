"""Deliver the events of a subscription: each once, in order, and none left out in silence.

If an event cannot be read for a passing reason (the database is away, a lock, a full pool), it is read again. If that
does not help in time, the operation ends with an error, which says from where to resume. No later event is sent before.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from graphql import GraphQLError
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from loyalty.storage.events import EventRow
from schema.masking import READER_TOO_SLOW, RESUME, ErrorCode, refusal, retry_hint

if TYPE_CHECKING:
    from schema.channels import Subscriber

EVENT_ATTEMPTS = 5
"""How often the fields of one event are read before the operation ends."""

EVENT_PATIENCE_SECONDS = 30.0
"""So long after its first failed attempt an event is not read again."""

FIRST_WAIT_SECONDS = 0.2
MAX_WAIT_SECONDS = 2.0

CURSOR_EXTENSION = "cursor"
"""The key of the event's cursor in the `extensions` of a result."""

AFTER_EXTENSION = "after"
"""The key of the cursor to resume from, in the `extensions` of an error that ends a subscription."""

RESUME_MESSAGE = "An event could not be read in time. Subscribe again with `after` set to the last cursor you received."

TRIED_AGAIN = "an event could not be read and is tried again"

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.subscriptions")

V = TypeVar("V")


def _forget_nothing() -> None:
    """Do nothing: the operation has no loaders."""


class StreamFailure(ExecutionResult):
    """The last result of a subscription that ends because of an error. No event is part of it."""


class Delivery:
    """The progress of one subscription: the event that it reads, and the position up to which all is delivered.

    `cursor_at` returns the cursor for a position of the log. `forget_loaded` is called before an event is read again,
    and after it was read.
    """

    def __init__(
        self,
        cursor_at: Callable[[int], str] = str,
        forget_loaded: Callable[[], None] = _forget_nothing,
    ) -> None:
        self.is_subscription = False
        self._cursor_at = cursor_at
        self._forget_loaded = forget_loaded
        self._is_reading = False
        self._must_repeat = False
        self._attempts = 0
        self._failing_since: float | None = None
        self.position: int | None = None
        """The position in the log of the event that is read."""
        self._done_up_to: str | int | None = None
        self.subscriber: Subscriber | None = None
        """The subscriber in a channel that tells the further events; None while the subscription reads by itself."""

    def begin_after(self, cursor: str | None) -> None:
        """Note the cursor after which the subscription begins."""
        self._done_up_to = cursor

    def take(self, position: int) -> None:
        """Note that the event at this position comes next. Everything before it is delivered, or was not requested."""
        self.position = position
        self._done_up_to = position - 1

    def note_delivered(self, position: int) -> None:
        """Note that everything up to a position was sent."""
        self._done_up_to = position

    async def deliver(self, values: AsyncGenerator[V, None]) -> AsyncGenerator[V, None]:
        """Yield the values of a subscription's resolver, each value once for each attempt to read its fields."""
        self.is_subscription = True
        async with aclosing(values):
            async for value in values:
                async with aclosing(self._offer(value)) as attempts:
                    async for attempt in attempts:
                        yield attempt

    async def deliver_from(self, subscriber: "Subscriber") -> AsyncGenerator[ExecutionResult, None]:
        """Yield the events that a channel did not send at once, each once for each attempt to read its fields."""
        while True:
            try:
                event = await subscriber.take()
            except Exception as error:  # noqa: BLE001 - masked by who takes the results
                yield _fail(error)
                return
            self.take(event.position)
            async with aclosing(self._offer(event)) as attempts:
                async for attempt in attempts:
                    yield await _read(subscriber, attempt)

    async def _offer(self, value: V) -> AsyncGenerator[V, None]:
        """Yield the value of the taken event once for each attempt to read its fields."""
        self._attempts, self._failing_since = 0, None
        while True:
            self._attempts += 1
            self._is_reading, self._must_repeat = True, False
            yield value
            if not self._must_repeat:
                return
            self._forget_loaded()

    async def judge(self, result: ExecutionResult) -> ExecutionResult | None:
        """Return what to send for a result with masked errors; None if the event is to be read again.

        A `StreamFailure` is the last result to send.
        """
        if not self.is_subscription or isinstance(result, PreExecutionError):
            return result
        if not self._is_reading:
            return StreamFailure(data=None, errors=[self._with_place(error) for error in result.errors or ()])
        self._is_reading = False
        if not _is_passing(result):
            return self._finish_event(result)
        if await self._wait_to_repeat():
            return None
        return StreamFailure(data=None, errors=[self._resume_error(result)])

    def _finish_event(self, result: ExecutionResult) -> ExecutionResult:
        """Return the result with the cursor of its event, which is done now."""
        self._forget_loaded()
        if self.position is not None:
            self._done_up_to = self.position
            cursor = self._cursor_at(self.position)
            result.extensions = {**(result.extensions or {}), CURSOR_EXTENSION: cursor}
        return result

    async def _wait_to_repeat(self) -> bool:
        """Wait before the next attempt; False if there is no further attempt."""
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
        if self._attempts >= EVENT_ATTEMPTS or now - self._failing_since >= EVENT_PATIENCE_SECONDS:
            return False
        log.warning(TRIED_AGAIN, attempt=self._attempts)
        longest = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**self._attempts)
        await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter, not a secret
        self._must_repeat = True
        return True

    def _resume_error(self, result: ExecutionResult) -> GraphQLError:
        """Return one error for an event that could not be read. It has the request id of the first error."""
        request_id = ((result.errors or [])[0].extensions or {}).get("requestId")
        return self._with_place(
            refusal(
                ErrorCode.UNAVAILABLE,
                RESUME_MESSAGE,
                requestId=request_id,
                reason=RESUME,
                **retry_hint(ErrorCode.UNAVAILABLE),
            )
        )

    def _with_place(self, error: GraphQLError) -> GraphQLError:
        """Return the error, with the cursor to resume from if its reason passes."""
        extensions = dict(error.extensions or {})
        if extensions.get("code") == ErrorCode.UNAVAILABLE.value:
            extensions.setdefault("reason", RESUME)
            if self._done_up_to is not None:
                done = self._done_up_to
                extensions[AFTER_EXTENSION] = done if isinstance(done, str) else self._cursor_at(done)
        return GraphQLError(error.message, extensions=extensions)


async def _read(subscriber: "Subscriber", event: EventRow) -> ExecutionResult:
    try:
        return await subscriber.read(event)
    except Exception as error:  # noqa: BLE001 - masked by who takes the results
        return _fail(error)


def _fail(error: Exception) -> ExecutionResult:
    return ExecutionResult(data=None, errors=[GraphQLError(str(error), original_error=error)])


def _is_passing(result: ExecutionResult) -> bool:
    """Return whether a field of an event failed for a passing reason."""
    return any(_passes(error.extensions or {}) for error in result.errors or ())


def _passes(extensions: Mapping[str, Any]) -> bool:
    return extensions.get("code") == ErrorCode.UNAVAILABLE.value and extensions.get("reason") != READER_TOO_SLOW


def event_cursor_of(extensions: Any) -> str | None:
    """Return the cursor in the `extensions` of a result; None if the result tells no event."""
    cursor = extensions.get(CURSOR_EXTENSION) if isinstance(extensions, dict) else None
    return cursor if isinstance(cursor, str) else None
