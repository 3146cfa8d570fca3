"""Event streams (server-sent events): a subscription over plain HTTP, which the server can end."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog
from strawberry.http import GraphQLHTTPResponse
from strawberry.http.streaming import JSONEncoder, SSETransport

from api.connections import CLOSE_EXPIRED, CLOSE_RESTART
from api.errors import error_body
from permissions.actor import Actor
from schema.delivery import event_cursor_of
from schema.masking import ErrorCode, ReaderTooSlow

CLOSE_SECONDS = 5.0
"""The time that a slow reader has to read the last event; then the connection is dropped."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.streams")


class EventStreamTransport(SSETransport):
    """Writes results as server-sent events. The `id` of an event is its cursor."""

    def encode_next(self, response: GraphQLHTTPResponse, encode_json: JSONEncoder) -> str:
        """Encode one result. A reader that reconnects sends the last `id` in the header `Last-Event-ID`."""
        event = super().encode_next(response, encode_json)
        cursor = event_cursor_of(response.get("extensions"))
        return event if cursor is None else f"id: {cursor}\r\n{event}"


class EventStream:
    """One open stream. It is an `OpenConnection`.

    Its last event says why the stream ended. After a restart there is no such event: the reader sees a broken
    connection and reconnects.
    """

    def __init__(self, actor: Actor, request_id: str) -> None:
        self.actor = actor
        self.request_id = request_id
        self.dropped = False
        """Whether the connection was cut because the reader did not take the last event."""
        self._last_words: str | None = None
        """The last event, which says why the stream ends."""
        self._stopped = asyncio.Event()
        self._ended = asyncio.Event()
        self._task = asyncio.current_task()
        self._closers: set[asyncio.Task[None]] = set()

    async def body(self, chunks: Callable[[], AsyncGenerator[str, None]]) -> AsyncGenerator[str, None]:
        """Yield the events, until the subscription ends or `close` is called."""
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            async with aclosing(chunks()) as events:
                while True:
                    following = asyncio.ensure_future(anext(events, None))
                    try:
                        await asyncio.wait({following, stopped}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        if not following.done():
                            following.cancel()
                            await _end_of(following)
                    if following.cancelled():
                        break
                    chunk = following.result()
                    if chunk is None:
                        return
                    yield chunk
            if self._last_words is not None:
                yield self._last_words
        finally:
            stopped.cancel()
            self._ended.set()

    async def close(self, code: int, reason: str) -> None:
        """End the stream with a last event; drop the connection if the reader does not read it in time."""
        if not self._stopped.is_set():
            if code != CLOSE_RESTART:
                error = ErrorCode.UNAUTHENTICATED if code == CLOSE_EXPIRED else ErrorCode.UNAVAILABLE
                data = error_body(error, reason, self.request_id).decode()
                self._last_words = f"event: next\r\ndata: {data}\r\n\r\nevent: complete\r\ndata: \r\n\r\n"
            self._stopped.set()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            log.info("a reader did not take the end of its stream")
            if self._task is not None and not self.dropped:
                self.dropped = True
                self._task.cancel()

    def drop_slow_reader(self) -> None:
        """End the stream because its reader is too slow."""
        closer = asyncio.create_task(self.close(0, ReaderTooSlow.message))
        self._closers.add(closer)
        closer.add_done_callback(self._closers.discard)


async def _end_of(task: asyncio.Future[str | None]) -> None:
    """Wait for a cancelled task to end, even if this task is cancelled too: a running generator cannot be closed.

    When the reader leaves, starlette's task group cancels this task again at every await.
    """
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
