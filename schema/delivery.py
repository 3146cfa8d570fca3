"""How a subscription delivers its events: each once, in order, and none is passed over in silence.

An event that cannot be read for a passing reason (the database is away, a lock, a full pool) is tried again. When that
does not help in time, the operation ends with an error that tells from where to resume; no later event is sent before.
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
"""How often the fields of one event are read until the operation ends."""

EVENT_PATIENCE_SECONDS = 30.0
"""After so long since its first failed attempt an event is not tried again."""

FIRST_WAIT_SECONDS = 0.2
MAX_WAIT_SECONDS = 2.0

CURSOR_EXTENSION = "cursor"
"""The key in `extensions` of a result: the cursor of the event it tells of."""

AFTER_EXTENSION = "after"
"""The key in `extensions` of an error that ends a subscription: the cursor to resume from."""

RESUME_MESSAGE = "An event could not be read in time. Subscribe again with `after` set to the last cursor you received."

TRIED_AGAIN = "an event could not be read and is tried again"

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.subscriptions")

V = TypeVar("V")


def _forget_nothing() -> None:
    """For operations without loaders."""


class StreamFailure(ExecutionResult):
    """The last result of a subscription that ends because of an error. No event is part of it."""


class Delivery:
    """Where one subscription stands: which event it reads, and up to which one everything was delivered.

    `cursor_at` makes the cursor of a position of the log. `forget_loaded` is called before an event is read again, and
    after it was read.
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
        """Where the event that is read stands in the log."""
        self._done_up_to: str | int | None = None
        self.subscriber: Subscriber | None = None
        """Where a channel tells the events of the subscription from now on; None as long as it reads by itself."""

    def begin_after(self, cursor: str | None) -> None:
        """Note from where the subscription was asked to begin."""
        self._done_up_to = cursor

    def take(self, position: int) -> None:
        """Note that the event at this position comes next: everything before it is delivered or not asked for."""
        self.position = position
        self._done_up_to = position - 1

    def note_delivered(self, position: int) -> None:
        """Note that everything up to a position was sent."""
        self._done_up_to = position

    async def deliver(self, values: AsyncGenerator[V, None]) -> AsyncGenerator[V, None]:
        """What a subscription's resolver yields, each value once for each attempt to read its fields."""
        self.is_subscription = True
        async with aclosing(values):
            async for value in values:
                async with aclosing(self._offer(value)) as attempts:
                    async for attempt in attempts:
                        yield attempt

    async def deliver_from(self, subscriber: "Subscriber") -> AsyncGenerator[ExecutionResult, None]:
        """What a channel does not send to a subscriber at once, each event once for each attempt to read its fields."""
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
        """Yield the value of the event that was taken, once for each attempt to read its fields."""
        self._attempts, self._failing_since = 0, None
        while True:
            self._attempts += 1
            self._is_reading, self._must_repeat = True, False
            yield value
            if not self._must_repeat:
                return
            self._forget_loaded()

    async def judge(self, result: ExecutionResult) -> ExecutionResult | None:
        """What to send for a result whose errors are masked: None when the event is to be read again.

        A `StreamFailure` is the last thing to send.
        """
        if not self.is_subscription or isinstance(result, PreExecutionError):
            return result
        if not self._is_reading:
            return StreamFailure(data=None, errors=[self._with_place(error) for error in result.errors or ()])
        self._is_reading = False
        if not _is_passing(result):
            return self._deliver(result)
        if await self._wait_to_repeat():
            return None
        return StreamFailure(data=None, errors=[self._resume_error(result)])

    def _deliver(self, result: ExecutionResult) -> ExecutionResult:
        self._forget_loaded()
        if self.position is not None:
            self._done_up_to = self.position
            cursor = self._cursor_at(self.position)
            result.extensions = {**(result.extensions or {}), CURSOR_EXTENSION: cursor}
        return result

    async def _wait_to_repeat(self) -> bool:
        """Wait before the next attempt; False when there is none."""
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
        """One error for an event that could not be read; the request id is that of the first error it had."""
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
        """The same error, with the cursor to resume from when the reason passes."""
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
    """Whether any field of an event failed for a reason that passes."""
    return any(_passes(error.extensions or {}) for error in result.errors or ())


def _passes(extensions: Mapping[str, Any]) -> bool:
    return extensions.get("code") == ErrorCode.UNAVAILABLE.value and extensions.get("reason") != READER_TOO_SLOW


def event_cursor_of(extensions: Any) -> str | None:
    """The cursor in the `extensions` of a result; None when it tells of no event."""
    cursor = extensions.get(CURSOR_EXTENSION) if isinstance(extensions, dict) else None
    return cursor if isinstance(cursor, str) else None
