"""GraphQL over WebSocket (graphql-transport-ws). Hostile messages end the socket with a close code.

Each operation has its own context. A socket belongs to one actor, who is authenticated by `connection_init`. Mutations
are refused: a mutation would be cancelled when its client leaves, and the client might have sent it twice. Reasons for
closing are fixed texts: a close frame holds 123 bytes, and must not repeat what the client sent.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import structlog
from graphql import GraphQLError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from starlette.datastructures import Headers
from starlette.websockets import WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import NonJsonMessageReceived, NonTextMessageReceived, WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    SubscribeMessage,
)
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType
from strawberry.utils.aio import aclosing

from api.authentication import Unauthenticated
from api.connections import CLOSE_RESTART, REASON_RESTART
from api.deadlines import LOOK_AGAIN_SECONDS
from api.event_frames import begin_next, find_sender, write_next
from api.operation import MalformedOperation, OperationRequest, Transport, decode_json, read_operation
from api.pages import PageRefused
from api.sessions import ForeignPage
from api.socket_messages import find_problem
from loyalty.rules.errors import TenantClosed, TenantNotActive
from permissions.actor import Actor
from schema.delivery import StreamFailure
from schema.fan_out import EventResult
from schema.masking import READER_TOO_SLOW, ErrorCode, ReaderTooSlow, mask_errors, refusal

if TYPE_CHECKING:
    from api.graphql import GraphQLView

CONNECTION_INIT_SECONDS = 5.0
"""The time from the handshake to `connection_init`."""

AUTHENTICATION_SECONDS = 60.0
"""The time that a socket then may wait for its authentication. A client that is sent away would reconnect at once."""

AUTHENTICATIONS_AT_ONCE = 200
"""The number of sockets that a process authenticates at the same time. The others wait in their order."""

BUSY_SECONDS = (0.1, 1.0)
"""The shortest and the longest wait before a credential is read again, after no connection to the database was free."""

CLOSE_SECONDS = 5.0
"""The time that a slow reader has to read the close frame; then the connection is dropped."""

MAX_MESSAGE_LENGTH = 131_072
"""Characters in one message from a client."""

MAX_OPERATIONS = 50
"""Operations that run on one socket at the same time."""

CLOSE_TOO_BIG = 1009
CLOSE_TRY_AGAIN = 1013
"""Used for internal errors, too: after 1011 clients such as graphql-ws do not reconnect."""

CLOSE_READER_TOO_SLOW = 4290
CLOSE_INVALID = 4400
CLOSE_UNAUTHORIZED = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_INIT_TIMEOUT = 4408
CLOSE_DUPLICATE = 4409
CLOSE_TOO_MANY = 4429

ALLOWED_OPERATIONS = (OperationType.QUERY, OperationType.SUBSCRIPTION)

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.sockets")


GONE = (WebSocketDisconnect, OSError, RuntimeError)
"""The errors of sending to a client that has left, in every phase of the socket."""


class MessageTooBig(Exception):
    """A message longer than `MAX_MESSAGE_LENGTH`."""


class SocketAdapter(ASGIWebSocketAdapter):
    """Reads messages strictly and sends text frames."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:  # noqa: ARG002
        """Yield the decoded messages, until the client leaves or sends a text that is no JSON or is too long."""
        while True:
            message = await self.ws.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                raise NonTextMessageReceived
            if len(text) > MAX_MESSAGE_LENGTH:
                raise MessageTooBig
            try:
                decoded = decode_json(text)
            except MalformedOperation:
                raise NonJsonMessageReceived from None
            yield decoded

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send one message as text."""
        encoded = self.view.encode_json(message)
        await self.send_text(encoded.decode() if isinstance(encoded, bytes) else encoded)

    async def send_text(self, text: str) -> None:
        """Send one message that is already encoded."""
        try:
            await self.ws.send_text(text)
        except GONE as gone:
            raise WebSocketDisconnected from gone

    async def close(self, code: int, reason: str) -> None:
        """Send the close frame, unless the connection is already closed."""
        try:
            await self.ws.close(code=code, reason=reason)
        except GONE as gone:
            raise WebSocketDisconnected from gone


class SocketOperation(Operation[Any, None]):
    """One operation of a socket. Its `extensions` may name a document by its hash."""

    __slots__ = ("extensions",)

    extensions: dict[str, Any] | None


class SocketHandler(BaseGraphQLTransportWSHandler[Any, None]):
    """One socket, from its acceptance to its end. It is an `OpenConnection`."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.edge = cast("GraphQLView", self.view)
        self.actor: Actor | None = None
        self._task = asyncio.current_task()
        self._closing = False
        self._ended = asyncio.Event()
        self._closers: set[asyncio.Task[None]] = set()
        self._operation_count = 0

    # ── The life of the socket ────────────────────────────────────────────────────────────────────────────────────────

    async def handle(self) -> None:
        """Serve the socket until it ends."""
        if self.edge.connections.draining:
            await self.close(CLOSE_RESTART, REASON_RESTART)
            return
        self.edge.connections.add(self)
        try:
            await super().handle()
        except MessageTooBig:
            await self.close(CLOSE_TOO_BIG, f"A message may have {MAX_MESSAGE_LENGTH} characters")
        except asyncio.CancelledError:
            if not self._closing or self._task is None:
                raise
            self._task.uncancel()
        except Exception:
            log.exception("unexpected error on a socket")
            await self.close(CLOSE_TRY_AGAIN, "Unexpected error: connect again and resume")
        finally:
            self._ended.set()
            self.edge.connections.remove(self)

    async def close(self, code: int, reason: str) -> None:
        """Send the close frame. Drop the connection if the client does not read it in time.

        A second call sends nothing and waits until the socket has ended.
        """
        if self._closing:
            await self._ended.wait()
            return
        self._closing = True
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.websocket.close(code, reason)
        except WebSocketDisconnected:
            return
        except TimeoutError:
            log.info("a reader did not take the close frame", close_code=code)
            if self._task is not None:
                self._task.cancel()

    def drop_slow_reader(self) -> None:
        """End the socket because its reader cannot keep up."""
        closer = asyncio.create_task(self.close(CLOSE_READER_TOO_SLOW, ReaderTooSlow.message))
        self._closers.add(closer)
        closer.add_done_callback(self._closers.discard)

    async def handle_connection_init_timeout(self) -> None:
        """Close the socket if `connection_init` has not come in time."""
        await asyncio.sleep(CONNECTION_INIT_SECONDS)
        if not self.connection_init_received:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if not self.connection_init_received:
            await self.close(CLOSE_INIT_TIMEOUT, "Connection initialisation timeout")

    async def send_message(self, message: Message) -> None:
        """Send a message. Raises `WebSocketDisconnected` if the socket is closing: nothing follows a close frame."""
        if self._closing:
            raise WebSocketDisconnected
        await super().send_message(message)

    # ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def handle_message(self, message: Message) -> None:
        """Check the shape of a message, then handle it."""
        if self._closing:
            return
        problem = find_problem(message)
        if problem is not None:
            await self.close(CLOSE_INVALID, problem)
            return
        await super().handle_message(message)

    async def handle_invalid_message(self, error_message: str) -> None:
        """Close the socket; the message is one of strawberry's fixed texts."""
        await self.close(CLOSE_INVALID, error_message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Authenticate the socket by the `authorization` in the payload, else by the headers of the handshake."""
        if self.connection_init_received:
            await self.close(CLOSE_TOO_MANY, "Too many initialisation requests")
            return
        self.connection_init_received = True
        if self.connection_init_timeout_task is not None:
            self.connection_init_timeout_task.cancel()
        try:
            async with asyncio.timeout(AUTHENTICATION_SECONDS), self.edge.introductions:
                self.actor = await self._authenticate(self._authorization(message.get("payload") or {}))
        except ForeignPage:
            await self.close(CLOSE_FORBIDDEN, "Forbidden: a session counts in pages of the service's own address only")
            return
        except PageRefused:
            await self.close(CLOSE_FORBIDDEN, "Forbidden: the tenant does not allow the origin of this page")
            return
        except Unauthenticated:
            await self.close(CLOSE_FORBIDDEN, "Forbidden: the credential is missing or not valid")
            return
        except TenantNotActive as refused:
            state = "closed" if isinstance(refused, TenantClosed) else "suspended"
            await self.close(CLOSE_FORBIDDEN, f"Forbidden: the tenant is {state}")
            return
        except Exception as error:
            if isinstance(error, (TimeoutError, *self.edge.unavailable)):
                log.warning("authenticating a socket failed", reason=type(error).__name__)
            else:
                log.exception("authenticating a socket failed")
            await self.close(CLOSE_TRY_AGAIN, "Cannot authenticate at the moment: try again")
            return
        await self.send_message({"type": "connection_ack"})
        self.connection_acknowledged = True

    async def _authenticate(self, authorization: str | None) -> Actor:
        """Return the actor. If no connection to the database is free, wait and read the credential again."""
        while True:
            try:
                return await self.edge.entrance.admit_socket(self._headers, self._socket_scope, authorization)
            except NoFreeConnection:
                await asyncio.sleep(random.uniform(*BUSY_SECONDS))  # noqa: S311 - jitter, not a secret

    def _authorization(self, payload: Mapping[str, object]) -> str | None:
        value = payload.get("authorization", payload.get("Authorization"))
        if value is None:
            return self._headers.get("authorization")
        return value if isinstance(value, str) else ""

    @property
    def _headers(self) -> Headers:
        return cast("SocketAdapter", self.websocket).ws.headers

    @property
    def _socket_scope(self) -> Any:
        return cast("SocketAdapter", self.websocket).ws.scope

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation."""
        if not self.connection_acknowledged:
            await self.close(CLOSE_UNAUTHORIZED, "Unauthorized")
        elif message["id"] in self.operations:
            await self.close(CLOSE_DUPLICATE, "An operation with this id is running")
        elif len(self.operations) >= MAX_OPERATIONS:
            await self._refuse_operation(message["id"])
        else:
            await self._start_operation(message)

    async def _refuse_operation(self, operation_id: str) -> None:
        """Answer an operation above the limit with an error. The other operations and the socket continue."""
        error = refusal(
            ErrorCode.RATE_LIMITED,
            f"A socket may run {MAX_OPERATIONS} operations at a time. Complete one, or open another socket.",
            requestId=self._next_request_id(),
        )
        self._tell_errors([error])
        await self.send_message({"id": operation_id, "type": "error", "payload": [error.formatted]})

    def _tell_errors(self, errors: Sequence[GraphQLError]) -> None:
        """Count errors that come from this module and not from the schema."""
        watch = self.edge.executable.watch
        if watch is not None:
            watch.note_errors(errors)

    def _next_request_id(self) -> str:
        self._operation_count += 1
        return f"{self._socket_scope['state']['request_id']}.{self._operation_count}"

    async def _start_operation(self, message: SubscribeMessage) -> None:
        try:
            data = read_operation(message["payload"])
        except MalformedOperation:
            await self.close(CLOSE_INVALID, "The payload is not a GraphQL request")
            return
        operation = SocketOperation(self, message["id"], data.query or "", data.variables, data.operation_name)
        operation.extensions = data.extensions
        operation.task = asyncio.create_task(self.run_operation(operation))
        operation.task.add_done_callback(self._task_done)
        self.operations[message["id"]] = operation

    def forget_id(self, id: str) -> None:  # noqa: A002 - strawberry's name
        """Let an operation's id be used again."""
        self.operations.pop(id, None)

    # ── Operations ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run_operation(self, operation: SocketOperation) -> None:  # type: ignore[override]
        """Run one operation in a context of its own."""
        request_id = self._next_request_id()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._stream(operation, request_id)
            except WebSocketDisconnected:
                return
            except Exception as error:  # noqa: BLE001 - masked, logged and told to the reader of this operation only
                masked = mask_errors([GraphQLError(str(error), original_error=error)], request_id)
                self._tell_errors(masked)
                await self._fail(operation, masked)

    async def _fail(self, operation: SocketOperation, errors: list[GraphQLError]) -> None:
        try:
            await operation.send_initial_errors(errors)
        except WebSocketDisconnected:
            return

    async def _stream(self, operation: SocketOperation, request_id: str) -> None:
        actor = self.actor
        if actor is None:
            raise WebSocketDisconnected
        send_now = find_sender(self._socket_scope, operation.id, lambda: not (operation.completed or self._closing))
        context = self.edge.make_context(
            OperationRequest(actor, request_id, Transport.WEBSOCKET, self.drop_slow_reader, send_now=send_now)
        )
        results = await self.schema.stream(
            operation.query or None,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.operation_name,
            operation_extensions=operation.extensions,
            allowed_operation_types=ALLOWED_OPERATIONS,
        )
        async with aclosing(results):
            async for result in results:
                if isinstance(result, PreExecutionError):
                    await operation.send_initial_errors(result.errors or [])
                    return
                if _is_reader_too_slow(result):
                    await self.close(CLOSE_READER_TOO_SLOW, ReaderTooSlow.message)
                    return
                if isinstance(result, StreamFailure):
                    await operation.send_initial_errors(result.errors or [])
                    return
                if isinstance(result, EventResult) and not result.errors:
                    await self._send_event(operation, result)
                else:
                    await operation.send_next(cast("ExecutionResult", result))
        await operation.send_operation_message({"id": operation.id, "type": "complete"})

    async def _send_event(self, operation: SocketOperation, result: EventResult) -> None:
        """Send an event. Its JSON is made once for all sockets that get the same one."""
        if operation.completed:
            return
        if self._closing:
            raise WebSocketDisconnected
        text = write_next(begin_next(operation.id), result.answer.encode(result.extensions))
        await cast("SocketAdapter", self.websocket).send_text(text)


def _is_reader_too_slow(result: Any) -> bool:
    return any((error.extensions or {}).get("reason") == READER_TOO_SLOW for error in result.errors or ())
