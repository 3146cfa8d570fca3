"""uvicorn's two protocols with limits that they lack: for the heads of requests, and for readers that do not read.

httptools reads headers of any length for any time. And if a TCP connection is closed while the other side still sends,
the kernel answers with a reset. The reset can overtake the close frame: the client would see 1006 instead of 1009. A
client may leave at any moment: that is no error, and nothing is logged.
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
"""The limit for the request line and all headers. One read of the socket may exceed it before it is noticed."""

HEAD_SECONDS = 10.0
"""The time from the first byte of a request to its last header. On a new connection it begins with the opening."""

UNREAD_SECONDS = 30.0
"""For so long the other side may leave sent data unread before the connection is cut."""

CLOSE_UNANSWERED = 1013
"""The close code for a client that did not answer a ping in time: try again later."""

CUT_SHORT = "The server restarts, and the request took too long to finish before. Try again."
"""The message for a request that is cut short. A mutation may have happened: a repeat with its idempotency key
tells."""

HEAD_REFUSED = "The headers are too long."
HEAD_TOO_SLOW = "The headers took too long to arrive."
FULL = "This process has as many connections as it can hold. Try again."

FULL_WARNING_SECONDS = 60.0
"""The time between two warnings in the log about refused connections."""

SEND_FRAME = "treue.send_frame"
"""The extension of a socket's scope that holds `LingeringWebSocketProtocol.send_frame`."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.server")


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 with limits for the size and the time of request heads.

    uvicorn's `limit_concurrency` limits the number of connections here, with WebSockets. One more connection is
    answered with 503 and closed. A process without free file descriptors could only drop it.
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
        """Start the time limits of a new connection: for its first request, and for reading what it is sent."""
        super().connection_made(transport)
        most = self._most_connections
        self._is_one_too_many = most is not None and len(self.connections) > most
        self._start_head_timer()
        _bound_unread_time(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer, drop the pipelined requests, and tell the request being answered that its client has left."""
        self._stop_head_timer()
        self.pipeline.clear()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Answer one request, which may be the next of several pipelined ones.

        A connection above the limit gets 503.
        """
        if self._is_one_too_many:
            self._warn_of_fullness()
            app = _refuse_for_fullness
        self._answering = cycle
        super()._start_asgi_task(cycle, functools.partial(_answer_until_cut_short, cycle, app))

    def handle_websocket_upgrade(self) -> None:
        """Switch to WebSocket. A connection above the limit is refused with 503."""
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
        """Give the data to the parser, then count the bytes of an unfinished head."""
        super().data_received(data)
        if self._reading_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response(HEAD_REFUSED)

    def on_message_begin(self) -> None:
        """Begin to count the head of a request."""
        self._reading_head = True
        self._head_bytes = 0
        self._start_head_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End the head. The application limits the body."""
        self._reading_head = False
        self._stop_head_timer()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. A header after the body (a trailer) is dropped."""
        if self._reading_head:
            super().on_header(name, value)

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = Patience(self.loop, HEAD_SECONDS, self._end_head)

    def _end_head(self) -> None:
        """Close a connection whose head does not arrive in time.

        If a part of the head has come, the client gets an answer.
        """
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
        """Close an idle connection, unless its next request has arrived and is not read yet."""
        end = super().timeout_keep_alive_handler
        self.timeout_keep_alive_task = self.loop.call_later(LOOK_AGAIN_SECONDS, end)


def _fullness_response() -> Response:
    request_id = accept_request_id(None)
    answer = error_response(unavailable(FULL), request_id)
    answer.headers[REQUEST_ID_HEADER] = request_id
    answer.headers["connection"] = "close"
    return answer


async def _refuse_for_fullness(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request of a connection above the limit with 503."""
    await _fullness_response()(scope, receive, send)


async def _answer_until_cut_short(
    cycle: RequestResponseCycle, app: ASGI3Application, scope: Any, receive: Any, send: Any
) -> None:
    """Answer a request. If it is cancelled because the process ends, its client is told to try again."""
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
    """Let the kernel cut a connection whose reader reads nothing. Closing it would wait for the reader without end.

    The option also holds for WebSockets, which begin as HTTP. Only Linux has it.
    """
    if sys.platform == "linux":
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1_000))


class LingeringWebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSockets that, after refusing a frame, go on reading until the client has read the close frame.

    A frame is refused if it is broken or too large.
    """

    def handle_connect(self, event: Request) -> None:
        """Begin a socket, and let its application send whole frames."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][SEND_FRAME] = {SEND_FRAME: self.send_frame}

    def send_frame(self, frame: bytes) -> bool:
        """Send a whole frame (`api/event_frames.py`); False if earlier data is not sent yet, or the socket is closed.

        Thousands of readers get the same event: its frame is made once, and this method does not wait.
        """
        if self.close_sent or self.disconnected or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def send_receive_event_to_app(self) -> None:
        """Pass a message on. A text that is not UTF-8 closes the socket (RFC 6455, section 8.1)."""
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
        """Send the close frame and throw away further data. Closing at once could overtake the close frame."""
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
        """Check once more whether the ping was answered: the answer may be unread behind messages not handled yet."""
        wait = self.ping_timeout if self.read_paused and self.ping_timeout is not None else LOOK_AGAIN_SECONDS
        following = self.keepalive_timeout if self.read_paused else self._cut_unanswered
        self.pong_timer = self.loop.call_later(wait, following)

    def _cut_unanswered(self) -> None:
        """Cut a connection that does not answer pings, with a close code after which clients reconnect.

        uvicorn's own code, 1011, makes graphql-ws give up: a laptop that slept would get no more events.
        """
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(CLOSE_UNANSWERED, "A ping was not answered: connect again and resume")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
