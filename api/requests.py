"""Request ids and the access log. Each request and socket gets an id; its log lines, errors and answer carry the id.

No line holds a credential, a body, a query string or a document. It holds an operation's name only if that is a plain
word.
"""

import re
import time
import uuid
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from api.errors import error_response, internal
from permissions.actor import Actor
from schema.masking import ErrorCode
from tenancy.tracing import NO_SPAN, Kind, Span, Tracer, enter_span

REQUEST_ID_HEADER = "x-request-id"
MAX_PATH_LENGTH = 200
QUIET_PATHS = frozenset({"/healthz", "/readyz"})
"""The paths of probes, which come every few seconds. They are logged only if they fail."""

OTHER_ROUTE = "other"
"""The name of every address that does not exist."""

TRACE_HEADERS = ("traceparent", "tracestate")
"""The headers with a caller's trace. A repeated header counts as none."""

HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
OTHER_METHOD = "_OTHER"
"""The name that the conventions give to every method that they do not know."""

CLIENT_LEFT = (ClientDisconnect, WebSocketDisconnect, ClientDisconnected)
"""The errors of reading from or writing to a client that has left: starlette's and uvicorn's."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_OPERATION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}", re.ASCII)
_FIRST_FAILURE = 500

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.access")


def accept_request_id(sent: str | None) -> str:
    """Return the id that the caller sent if it is short and plain; otherwise a new one."""
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    return uuid.uuid4().hex


def sane_operation_name(name: str | None) -> str | None:
    """Return the operation's name for the log; None unless it is a plain word."""
    return name if name is not None and _OPERATION_NAME.fullmatch(name) else None


def note_actor(scope: Scope, actor: Actor) -> None:
    """Remember the actor for the access log."""
    scope["state"]["tenant"] = str(actor.tenant_id)
    scope["state"]["actor_kind"] = actor.kind.value


class RequestWatch(Protocol):
    """An object that is called for every request."""

    def note_request(self, route: str, status: int | None, error_code: str | None) -> None:
        """Note a request or socket once it has ended. The status is None if nothing was answered.

        The code is the error with which the edge refused it; None if the API answered.
        """

    async def watch_loop(self) -> None:
        """Watch the event loop while the process serves, until cancelled."""


def note_error(scope: Scope, code: ErrorCode) -> None:
    """Remember the error with which the edge refuses a request, for `RequestWatch`."""
    scope["state"]["error_code"] = code.value


class RequestLog:
    """Gives ids, writes one line for each request, and answers 500 after an unexpected error.

    It calls ``watch`` for each request and socket, and ``tracer`` makes a span for each request. A socket has no span,
    but its operations have one each. ``routes`` are the addresses that exist; all others share one name.
    """

    def __init__(
        self,
        app: ASGIApp,
        watch: RequestWatch | None = None,
        routes: Collection[str] = (),
        tracer: Tracer | None = None,
    ) -> None:
        self.app = app
        self._watch = watch
        self._tracer = tracer
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or socket on with its id."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = accept_request_id(headers.get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(scope, send, request_id)
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            self._continue_trace(headers),
            enter_span(self._begin_span(scope)) as span,
        ):
            try:
                await self.app(scope, receive, exchange.send)
            except CLIENT_LEFT:
                pass  # the client has left, and nothing in this service is broken
            except Exception:
                log.exception("unexpected error in a request")
                await exchange.answer_broken(receive)
            finally:
                exchange.write_line()
                if span is not None:
                    describe_response(span, exchange.status, scope["state"].get("error_code"))
                if self._watch is not None:
                    self._watch.note_request(self._route_of(scope), exchange.status, scope["state"].get("error_code"))

    def _route_of(self, scope: Scope) -> str:
        path: str = scope["path"]
        return path if path in self._routes else OTHER_ROUTE

    def _continue_trace(self, headers: Headers) -> AbstractContextManager[None]:
        if self._tracer is None:
            return NO_SPAN
        once = {name: headers[name] for name in TRACE_HEADERS if len(headers.getlist(name)) == 1}
        return self._tracer.continue_trace(once)

    def _begin_span(self, scope: Scope) -> Span | None:
        """Begin the span of a request. Probes and sockets get none."""
        if self._tracer is None or scope["type"] != "http" or scope["path"] in QUIET_PATHS:
            return None
        method = scope["method"] if scope["method"] in HTTP_METHODS else OTHER_METHOD
        route = self._route_of(scope)
        span = self._tracer.begin("HTTP" if method == OTHER_METHOD else method, Kind.SERVER)
        span.note("http.request.method", method)
        span.note("url.scheme", scope["scheme"])
        span.note("network.protocol.version", scope["http_version"])
        if route != OTHER_ROUTE:
            span.rename(f"{method} {route}")
            span.note("http.route", route)
        return span


def describe_response(span: Span, status: int | None, error_code: str | None) -> None:
    """Write into a span how a request was answered. The code is the error with which the edge refused it."""
    if status is not None:
        span.note("http.response.status_code", status)
    if status is None or status >= _FIRST_FAILURE:
        span.fail(error_code or ("no_response" if status is None else str(status)))
    elif error_code is not None:
        span.note("error.type", error_code)


class _Exchange:
    """The facts about one request or socket, kept until it ends."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.scope = scope
        self._send = send
        self.request_id = request_id
        self.started = time.monotonic()
        self.status: int | None = None
        self.close_code: int | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, with the request id in its headers."""
        if message["type"] in {"http.response.start", "websocket.accept"}:
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            headers[REQUEST_ID_HEADER] = self.request_id
            headers["x-content-type-options"] = "nosniff"
            message = {**message, "headers": headers.raw}
            self.status = message.get("status", 101)
        elif message["type"] == "websocket.close":
            self.close_code = message.get("code", 1000)
        await self._send(message)

    async def answer_broken(self, receive: Receive) -> None:
        """Answer 500, unless an answer has begun."""
        if self.scope["type"] == "http" and self.status is None:
            note_error(self.scope, ErrorCode.INTERNAL)
            await error_response(internal(), self.request_id)(self.scope, receive, self.send)

    def write_line(self) -> None:
        """Write the log line of a request or socket that has ended."""
        path = self.scope["path"]
        failed = self.status is None or self.status >= _FIRST_FAILURE
        if path in QUIET_PATHS and not failed:
            return
        is_socket = self.scope["type"] == "websocket"
        log.info(
            "socket" if is_socket else "request",
            method="GET" if is_socket else self.scope["method"][:20],
            path=path[:MAX_PATH_LENGTH],
            status=self.status,
            duration_ms=round((time.monotonic() - self.started) * 1000, 1),
            **{name: value for name, value in self._details().items() if value is not None},
        )

    def _details(self) -> dict[str, object]:
        state = self.scope["state"]
        return {
            "operation": state.get("operation_name"),
            "tenant": state.get("tenant"),
            "actor_kind": state.get("actor_kind"),
            "close_code": self.close_code,
        }
