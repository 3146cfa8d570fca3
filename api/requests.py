"""Request ids and the access log. Every request and socket gets an id, which its log lines, errors and answer carry.

No line holds a credential, a body, a query string or a document; an operation's name only when it is a plain word.
"""

import re
import time
import uuid
from collections.abc import Collection
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

REQUEST_ID_HEADER = "x-request-id"
MAX_PATH_LENGTH = 200
QUIET_PATHS = frozenset({"/healthz", "/readyz"})
"""Probes come every few seconds; they are logged when they fail."""

OTHER_ROUTE = "other"
"""What all addresses are called that do not exist."""

CLIENT_LEFT = (ClientDisconnect, WebSocketDisconnect, ClientDisconnected)
"""What reading from or writing to a client raises that has broken off: starlette's words and uvicorn's."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_OPERATION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}", re.ASCII)
_FIRST_FAILURE = 500

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.access")


def accept_request_id(sent: str | None) -> str:
    """The id that the caller sent, when it is short and plain; otherwise a new one."""
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    return uuid.uuid4().hex


def sane_operation_name(name: str | None) -> str | None:
    """The operation's name for the log, when it is a plain word."""
    return name if name is not None and _OPERATION_NAME.fullmatch(name) else None


def note_actor(scope: Scope, actor: Actor) -> None:
    """Remember for the access log who called."""
    scope["state"]["tenant"] = str(actor.tenant_id)
    scope["state"]["actor_kind"] = actor.kind.value


class RequestWatch(Protocol):
    """Somebody who is told of every request."""

    def note_request(self, route: str, status: int | None, error_code: str | None) -> None:
        """Note a request or socket once it is over. The status is None where nothing was answered.

        The code is that of the error with which the edge refused it, and None for whatever the API answered.
        """

    async def watch_loop(self) -> None:
        """Watch the event loop while the process serves, until cancelled."""


def note_error(scope: Scope, code: ErrorCode) -> None:
    """Remember with which error the edge refuses a request, for those who watch."""
    scope["state"]["error_code"] = code.value


class RequestLog:
    """Gives ids, writes one line for each request, and answers 500 when something broke. It tells ``watch`` as well.

    ``routes`` are the addresses that exist; whatever else is asked for has one name for all.
    """

    def __init__(self, app: ASGIApp, watch: RequestWatch | None = None, routes: Collection[str] = ()) -> None:
        self.app = app
        self._watch = watch
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or socket on with its id."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        request_id = accept_request_id(Headers(scope=scope).get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(scope, send, request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, exchange.send)
            except CLIENT_LEFT:
                pass  # nobody is there to be told, and nothing of ours is broken
            except Exception:
                log.exception("unexpected error in a request")
                await exchange.answer_broken(receive)
            finally:
                exchange.write_line()
                self._tell_end(scope, exchange.status)

    def _tell_end(self, scope: Scope, status: int | None) -> None:
        if self._watch is not None:
            route = scope["path"] if scope["path"] in self._routes else OTHER_ROUTE
            self._watch.note_request(route, status, scope["state"].get("error_code"))


class _Exchange:
    """What is known about one request or socket while it lasts."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.scope = scope
        self._send = send
        self.request_id = request_id
        self.started = time.monotonic()
        self.status: int | None = None
        self.close_code: int | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on, with the request id among its headers."""
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
        """500, unless an answer has begun."""
        if self.scope["type"] == "http" and self.status is None:
            note_error(self.scope, ErrorCode.INTERNAL)
            await error_response(internal(), self.request_id)(self.scope, receive, self.send)

    def write_line(self) -> None:
        """One line when it is over."""
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
