"""GraphQL over HTTP: POST with strict JSON, one operation per request, and the status codes of the specification.

A query that is named by its hash may come with GET, as some clients send it.

With `application/graphql-response+json` an operation that never ran is 400 and has no `data`; with `application/json`
it is 200, as older clients expect. Subscriptions come as server-sent events or over WebSocket.
"""

import asyncio
import datetime as dt
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from typing import Any

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.http.streaming import HTTPStreamTransport
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult, SubscriptionExecutionResult
from strawberry.types.graphql import OperationType

from api.budgets import tell_budget
from api.connections import OpenConnections
from api.deadlines import deadline
from api.entrance import Entrance
from api.errors import (
    JSON,
    RequestRefused,
    bad_request,
    error_response,
    request_id_of,
)
from api.negotiation import EVENT_STREAM, is_json, negotiate
from api.operation import (
    MalformedOperation,
    OperationRequest,
    Transport,
    decode_json,
    read_operation,
    read_query_string,
)
from api.pages import answer_preflight, is_preflight
from api.requests import note_error, sane_operation_name
from api.sessions import StaffSessions
from api.sockets import AUTHENTICATIONS_AT_ONCE, CONNECTION_INIT_SECONDS, MAX_OPERATIONS, SocketAdapter, SocketHandler
from api.streams import EventStream, EventStreamTransport
from permissions.actor import Actor
from schema.executable import ExecutableSchema
from schema.masking import RETRY_AFTER_SECONDS, ErrorCode
from schema.scalars import MAX_CURSOR_LENGTH
from schema.subscriptions.stream import LAST_EVENT_ID

MAX_BODY_BYTES = 1_048_576
MAX_DISCARDED_BYTES = 16 * MAX_BODY_BYTES
"""The number of bytes of a too large body that are still read before the connection is cut."""

BODY_SECONDS = 15.0
"""How long a request may take to send its body."""

HTTP_OPERATIONS = (OperationType.QUERY, OperationType.MUTATION)
GET_OPERATIONS = (OperationType.QUERY,)
STREAM_OPERATIONS = (OperationType.QUERY, OperationType.SUBSCRIPTION)

ASK_FOR_TEXT = frozenset({ErrorCode.PERSISTED_QUERY_NOT_FOUND.value, ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED.value})
"""The error codes after which Apollo's clients send the text of a document."""

_NAMED_OPERATION = re.compile(r"\s*(?:query|mutation|subscription)\s+([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)


class GraphQLView(GraphQL[Any, None]):
    """The address of the API, for HTTP and WebSocket."""

    stream_transport_classes_by_protocol: Mapping[str, type[HTTPStreamTransport]] = {
        GRAPHQL_SSE_PROTOCOL: EventStreamTransport
    }
    websocket_adapter_class = SocketAdapter  # type: ignore[mutable-override]
    graphql_transport_ws_handler_class = SocketHandler  # type: ignore[mutable-override]

    def __init__(
        self,
        schema: ExecutableSchema,
        authenticate: Callable[[str | None, str | None], Awaitable[Actor]],
        make_context: Callable[[OperationRequest], object],
        connections: OpenConnections,
        allowed_origins: Collection[str] = (),
        max_body_bytes: int = MAX_BODY_BYTES,
        sessions: StaffSessions | None = None,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=False,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL),
            connection_init_wait_timeout=dt.timedelta(seconds=CONNECTION_INIT_SECONDS),
            multipart_uploads_enabled=False,
            max_subscriptions_per_connection=MAX_OPERATIONS,
        )
        self.executable = schema
        self.entrance = Entrance(authenticate, frozenset(allowed_origins), schema.unavailable, sessions)
        self.make_context = make_context
        self.connections = connections
        self.introductions = asyncio.Semaphore(AUTHENTICATIONS_AT_ONCE)
        self.max_body_bytes = max_body_bytes
        self.unavailable = schema.unavailable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a socket until it ends."""
        if scope["type"] == "websocket":
            await self.run(WebSocket(scope, receive=receive, send=send))
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except RequestRefused as refused:
            note_error(scope, refused.code)
            response = error_response(refused, request_id_of(request), _error_media_type(request))
        except ClientDisconnect:
            return
        stream: EventStream | None = scope["state"].get("event_stream")
        try:
            await response(scope, receive, send)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if stream is None or not stream.dropped or task is None:
                raise
            task.uncancel()
        finally:
            if stream is not None:
                self.connections.remove(stream)

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS" and is_preflight(request.headers):
            return answer_preflight(request.headers)
        if request.method != "POST" and not (request.method == "GET" and _names_document(request)):
            raise _send_with_post()
        try:
            return await self.run(request)
        except HTTPException as refused:
            raise RequestRefused(refused.status_code, ErrorCode.BAD_USER_INPUT, refused.reason) from None

    def should_render_graphql_ide(self, request: AsyncHTTPRequestAdapter) -> bool:  # type: ignore[override]  # noqa: ARG002
        """Return False: there is no IDE in the browser."""
        return False

    def is_websocket_origin_allowed(self, request: WebSocket, origin: str) -> bool:  # noqa: ARG002
        """Let every page open a socket. `connection_init` checks its origin later, when the tenant is known."""
        return True

    # ── Before an operation runs, in the order in which strawberry asks ───────────────────────────────────────────────

    async def get_sub_response(self, request: Request | WebSocket) -> Response:
        """Return the answer's headers with its media type."""
        if not isinstance(request, Request):
            return Response()
        media_type = negotiate(request.headers.get("accept"))
        if media_type is None:
            raise RequestRefused(
                406,
                ErrorCode.BAD_USER_INPUT,
                f"Accept application/graphql-response+json, {JSON} or, for subscriptions, {EVENT_STREAM}.",
            )
        response = Response(headers={"cache-control": "no-store", "vary": "Accept"}, media_type=media_type)
        del response.headers["content-length"]
        return response

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Any:
        """Authenticate, and make the context of this operation. A socket makes one context later for each operation."""
        if not isinstance(request, Request) or not isinstance(response, Response):
            return None
        refuse_other_bodies(request)
        actor = await self.entrance.admit(request)
        request_id = request_id_of(request)
        if response.media_type != EVENT_STREAM:
            return self.make_context(OperationRequest(actor, request_id, Transport.HTTP))
        stream = EventStream(actor, request_id)
        request.scope["state"]["event_stream"] = stream
        last_event_id = request.headers.get(LAST_EVENT_ID) or None
        if last_event_id is not None and len(last_event_id) > MAX_CURSOR_LENGTH:
            raise bad_request(f"{LAST_EVENT_ID} must be a cursor.")
        return self.make_context(
            OperationRequest(actor, request_id, Transport.SSE, stream.drop_slow_reader, last_event_id)
        )

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData:
        """Return the operation in the body. Raises `RequestRefused`."""
        source: Request = request._request  # type: ignore[attr-defined]  # noqa: SLF001 - the adapter reads without a limit
        protocol = "sse" if negotiate(source.headers.get("accept")) == EVENT_STREAM else "http"
        try:
            if source.method == "GET":
                value: object = read_query_string(source.scope["query_string"])
            else:
                value = decode_json(await read_body(source, self.max_body_bytes))
            data = read_operation(value, protocol)  # type: ignore[arg-type]
        except MalformedOperation as malformed:
            raise bad_request(str(malformed)) from None
        if source.method == "GET" and data.extensions is None:
            raise _send_with_post()
        source.scope["state"]["operation_name"] = _name_for_log(data)
        return data

    # ── The operation and its answer ──────────────────────────────────────────────────────────────────────────────────

    async def execute_operation(
        self,
        request: Request,
        request_adapter: AsyncHTTPRequestAdapter,  # noqa: ARG002
        request_data: GraphQLRequestData | list[GraphQLRequestData],
        context: Any,
        root_value: None,
        sub_response: Response,
    ) -> ExecutionResult | list[ExecutionResult] | SubscriptionExecutionResult:
        """Run the operation. Raises `RequestRefused` if the document has no operation that may run this way."""
        if isinstance(request_data, list):
            raise bad_request("Batches are not supported: send one operation per request.")
        run = self.schema.stream if request_data.protocol == "sse" else self.schema.execute
        is_get = request.method == "GET"
        allowed = STREAM_OPERATIONS if request_data.protocol == "sse" else GET_OPERATIONS if is_get else HTTP_OPERATIONS
        try:
            result = await run(
                request_data.query,
                variable_values=request_data.variables,
                context_value=context,
                root_value=root_value,
                operation_name=request_data.operation_name,
                allowed_operation_types=allowed,
                operation_extensions=request_data.extensions,
            )
        except CannotGetOperationTypeError:
            raise bad_request("The document has no operation of this name, or several and none was named.") from None
        except InvalidOperationTypeError as refused:
            if is_get and refused.operation_type is OperationType.MUTATION:
                raise _send_with_post() from None
            raise bad_request(f"A subscription needs a WebSocket, or Accept: {EVENT_STREAM}.") from None
        charged = getattr(context, "charged", None)
        if charged is not None:
            tell_budget(sub_response.headers, charged)
        return result  # type: ignore[return-value]

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:  # noqa: ARG002
        """Return the result to send. The result of an operation that never ran has no `data`."""
        answer: GraphQLHTTPResponse = {}
        errors = result.errors or []
        if result.data is not None or not errors or any(error.path for error in errors):
            answer["data"] = result.data
        if errors:
            answer["errors"] = [error.formatted for error in errors]
        if result.extensions:
            answer["extensions"] = result.extensions
        return answer

    def create_response(
        self, response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse], sub_response: Response
    ) -> Response:
        """Return the answer with its status: 200 if the operation ran."""
        ran = "data" in response_data
        status = 200 if ran or sub_response.media_type == JSON else _status_without_data(response_data)
        headers = dict(sub_response.headers)
        if status == 503:  # noqa: PLR2004 - HTTP's number
            headers["retry-after"] = str(RETRY_AFTER_SECONDS)
        return Response(self.encode_json(response_data), status_code=status, headers=headers)

    async def create_streaming_response(
        self,
        request: Request | WebSocket,
        stream: Callable[[], AsyncGenerator[str, None]],  # type: ignore[override]
        sub_response: Response,
        headers: Mapping[str, str],
    ) -> Response:
        """Return an event stream, which the credential watcher or a restart can end."""
        events: EventStream = request.scope["state"]["event_stream"]
        self.connections.add(events)
        return StreamingResponse(events.body(stream), headers={"vary": sub_response.headers["vary"], **headers})

    def encode_json(self, data: object) -> bytes:
        """Encode as JSON in UTF-8."""
        return orjson.dumps(data)

    def decode_json(self, data: str | bytes) -> object:
        """Decode strict JSON. Raises `MalformedOperation`."""
        return decode_json(data)


def refuse_other_bodies(request: Request) -> None:
    """Refuse a body that is not JSON. A GET request has none."""
    if request.method == "GET":
        return
    if not is_json(request.headers.get("content-type"), request.headers.get("content-encoding")):
        raise RequestRefused(415, ErrorCode.BAD_USER_INPUT, f"Send the body as {JSON}, in UTF-8.")


def _send_with_post() -> RequestRefused:
    """405: only queries that are named by their hash may use GET."""
    return RequestRefused(405, ErrorCode.BAD_USER_INPUT, "Send operations with POST.", {"allow": "POST"})


def _names_document(request: Request) -> bool:
    """Whether the address of a request names a document by its hash."""
    return not {"documentId", "extensions"}.isdisjoint(request.query_params)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the body. Refuses a body above `max_bytes` with 413, and one that takes too long with 408."""
    declared = request.headers.get("content-length", "0")
    is_declared_too_large = not declared.isdigit() or len(declared) > len(str(max_bytes)) or int(declared) > max_bytes
    if is_declared_too_large and "expect" in request.headers:
        raise _too_large(max_bytes)
    try:
        async with deadline(BODY_SECONDS):
            return await _collect(request, 0 if is_declared_too_large else max_bytes, max_bytes)
    except TimeoutError:
        raise RequestRefused(
            408, ErrorCode.BAD_USER_INPUT, "The body took too long to arrive.", {"connection": "close"}
        ) from None


async def _collect(request: Request, keep_bytes: int, max_bytes: int) -> bytes:
    """Collect the body. Bytes above the limit are read and thrown away, up to `MAX_DISCARDED_BYTES`.

    A connection that is closed while the client still sends is reset, and the reset could overtake the answer.
    """
    body = bytearray()
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length <= keep_bytes:
            body += chunk
        elif length > MAX_DISCARDED_BYTES:
            raise _too_large(max_bytes)
    if length > keep_bytes:
        raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> RequestRefused:
    return RequestRefused(
        413, ErrorCode.BAD_USER_INPUT, f"The body is larger than {max_bytes} bytes.", {"connection": "close"}
    )


def _status_without_data(response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse]) -> int:
    """Return the status of an operation that never ran: it names the fault of the caller or of the service.

    Apollo's clients expect 200 if the answer asks them to send a text, for every media type: some read no other answer.
    """
    errors = response_data.get("errors") if isinstance(response_data, dict) else None
    codes = {error["extensions"]["code"] for error in errors or () if isinstance(error, dict)}
    if codes & ASK_FOR_TEXT:
        return 200
    if ErrorCode.INTERNAL.value in codes:
        return 500
    if ErrorCode.UNAVAILABLE.value in codes:
        return 503
    return 429 if ErrorCode.RATE_LIMITED.value in codes else 400


def _error_media_type(request: Request) -> str:
    """Return the media type for errors of the edge: JSON, in the form that the caller prefers."""
    wanted = negotiate(request.headers.get("accept"))
    return JSON if wanted is None or wanted == EVENT_STREAM else wanted


def _name_for_log(data: GraphQLRequestData) -> str | None:
    if data.operation_name is not None:
        return sane_operation_name(data.operation_name)
    match = _NAMED_OPERATION.match(data.query or "")
    return sane_operation_name(match[1]) if match else None
