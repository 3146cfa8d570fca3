"""uvicorn's two protocols with limits it leaves out: for heads of requests and for readers that do not read.

httptools reads headers of any length for any time. And closing a TCP connection while the other side still sends
makes the kernel answer with a reset, which can overtake the close frame: the client would see 1006 instead of 1009.
A client may break off at any moment: that is no error, and no line of the log says so.
"""

import asyncio
import functools
import socket
import sys
from asyncio import Transport
from typing import Any

import structlog
from starlette.responses import Response
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request

from api.deadlines import LOOK_AGAIN_SECONDS, Patience
from api.errors import error_response, unavailable
from api.requests import REQUEST_ID_HEADER, accept_request_id

MAX_HEAD_BYTES = 32_768
"""The request line and all headers. One read of the socket may go beyond before it is noticed."""

HEAD_SECONDS = 10.0
"""From the first byte of a request until its headers are complete; on a new connection from its opening."""

UNREAD_SECONDS = 30.0
"""How long what we sent may stay untaken before the connection is cut."""

CLOSE_UNANSWERED = 1013
"""The close code for a client that did not answer a ping in time: try again later."""

CUT_SHORT = "The server restarts, and the request took too long to finish before. Try again."
"""What a mutation does may have happened nevertheless: repeating it with its idempotency key tells."""

HEAD_REFUSED = "The headers are too long."
HEAD_TOO_SLOW = "The headers took too long to arrive."
FULL = "This process has as many connections as it can hold. Try again."

FULL_WARNING_SECONDS = 60.0
"""Between two lines of the log that say so."""

SEND_FRAME = "treue.send_frame"
"""The extension of a socket's scope that holds `LingeringWebSocketProtocol.send_frame`."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.server")


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose request heads are bounded in size and time.

    uvicorn's `limit_concurrency` bounds the connections here, WebSockets among them. One too many is answered with 503
    and closed, since a process without free file descriptors could only drop it.
    """

    warned_at = -FULL_WARNING_SECONDS
    refused_connections = 0
    """How many connections the process has refused since it started."""

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__(*values, **named)
        self._most_connections = self.limit_concurrency
        self.limit_concurrency = None
        self._is_one_too_many = False
        self._reading_head = True
        self._head_bytes = 0
        self._head_timer: Patience | None = None
        self._answering: RequestResponseCycle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """A new connection has to send something, and to read what it is sent."""
        super().connection_made(transport)
        most = self._most_connections
        self._is_one_too_many = most is not None and len(self.connections) > most
        self._start_head_timer()
        _bound_unread_time(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for. Of pipelined requests the one that is being answered learns it as well."""
        self._stop_head_timer()
        self.pipeline.clear()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Answer a request, the next one of those that came together."""
        if self._is_one_too_many:
            self._warn_of_fullness()
            app = _refuse_for_fullness
        self._answering = cycle
        super()._start_asgi_task(cycle, functools.partial(_answer_until_cut_short, cycle, app))

    def handle_websocket_upgrade(self) -> None:
        """Go on as a WebSocket, unless there are too many connections."""
        if not self._is_one_too_many:
            super().handle_websocket_upgrade()
            return
        self._warn_of_fullness()
        self._stop_head_timer()
        answer = _fullness_response()
        head = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\n" + head.encode() + b"\r\n" + bytes(answer.body))
        self.transport.close()

    def _warn_of_fullness(self) -> None:
        BoundedHttpProtocol.refused_connections += 1
        now = self.loop.time()
        if now - BoundedHttpProtocol.warned_at >= FULL_WARNING_SECONDS:
            BoundedHttpProtocol.warned_at = now
            log.warning("refusing connections: the process holds as many as it can", most_count=self._most_connections)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then count what belongs to an unfinished head."""
        super().data_received(data)
        if self._reading_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response(HEAD_REFUSED)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._reading_head = True
        self._head_bytes = 0
        self._start_head_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete; the application bounds the body."""
        self._reading_head = False
        self._stop_head_timer()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Headers after the body (trailers) are not used and not kept."""
        if self._reading_head:
            super().on_header(name, value)

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = Patience(self.loop, HEAD_SECONDS, self._end_head)

    def _end_head(self) -> None:
        """Close a connection whose head does not arrive; who has begun one is told."""
        if self._head_bytes and not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(HEAD_TOO_SLOW), HEAD_TOO_SLOW.encode())
            )
        self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.stop()
            self._head_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, unless its next request has arrived and is only not read yet."""
        end = super().timeout_keep_alive_handler
        self.timeout_keep_alive_task = self.loop.call_later(LOOK_AGAIN_SECONDS, end)


def _fullness_response() -> Response:
    request_id = accept_request_id(None)
    answer = error_response(unavailable(FULL), request_id)
    answer.headers[REQUEST_ID_HEADER] = request_id
    answer.headers["connection"] = "close"
    return answer


async def _refuse_for_fullness(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request of a connection that is one too many."""
    await _fullness_response()(scope, receive, send)


async def _answer_until_cut_short(
    cycle: RequestResponseCycle, app: ASGI3Application, scope: Any, receive: Any, send: Any
) -> None:
    """Answer a request. One that is cancelled, because the process ends, is told to come back."""
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        if cycle.disconnected:
            return
        if not cycle.response_started:
            answer = error_response(unavailable(CUT_SHORT), str(scope["state"]["request_id"]))
            answer.headers["connection"] = "close"
            await answer(scope, receive, send)
            return
        cycle.disconnected = True
        cycle.transport.close()


def _bound_unread_time(transport: Transport) -> None:
    """Let the kernel cut a connection whose reader takes nothing: closing alone would wait for it for ever.

    The option holds for WebSockets as well, which begin as HTTP. Other systems than Linux do not have it.
    """
    if sys.platform == "linux":
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1_000))


class LingeringWebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSockets that, after refusing a broken or too large frame, go on reading until the other side has read why."""

    def handle_connect(self, event: Request) -> None:
        """Begin a socket. Its application may send frames at once."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][SEND_FRAME] = {SEND_FRAME: self.send_frame}

    def send_frame(self, frame: bytes) -> bool:
        """Send a whole frame (`api/event_frames.py`); false where what was sent before is not taken yet, or at the end.

        Thousands of readers are told the same: the frame is made once, and nobody waits here.
        """
        if self.close_sent or self.disconnected or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def send_receive_event_to_app(self) -> None:
        """Pass a message on. A text that is no UTF-8 closes the socket (RFC 6455, section 8.1)."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Send the close frame and throw away what still comes, instead of closing at once."""
        if self.close_sent or self.conn.close_sent is None:
            return
        frame = self.conn.close_sent
        self.queue.put_nowait({"type": "websocket.disconnect", "code": frame.code, "reason": frame.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)

    def keepalive_timeout(self) -> None:
        """Look again whether an answer to the ping has arrived: it may lie unread behind messages that wait for us."""
        wait = self.ping_timeout if self.read_paused and self.ping_timeout is not None else LOOK_AGAIN_SECONDS
        following = self.keepalive_timeout if self.read_paused else self._cut_unanswered
        self.pong_timer = self.loop.call_later(wait, following)

    def _cut_unanswered(self) -> None:
        """Cut a connection that does not answer pings, with a code after which clients come back.

        uvicorn's own code, 1011, tells graphql-ws to give up: a laptop that slept would stay without events.
        """
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(CLOSE_UNANSWERED, "A ping was not answered: connect again and resume")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
