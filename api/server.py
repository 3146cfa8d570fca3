"""Run the application under uvicorn: set its limits, and end each open connection with a reason."""

import asyncio
import contextlib
import gc
import resource
import socket
from collections.abc import Callable

import structlog
import uvicorn
from starlette.applications import Starlette

from api.connections import OpenConnections
from api.protocols import BoundedHttpProtocol, LingeringWebSocketProtocol

WS_MAX_BYTES = 1_048_576
"""The largest frame that is read. The application refuses much smaller ones."""

WS_PING_SECONDS = 20.0
KEEP_ALIVE_SECONDS = 75
"""More than the 60 seconds of usual load balancers, so that the load balancer ends an idle connection, not this
server."""

GRACEFUL_SECONDS = 20
"""The time that running requests have to finish when the process ends."""

CUT_SHORT_SECONDS = 5
"""The time after that in which the unfinished requests are cut short and answered."""

MOST_FILES = 1_000_000
"""The limit of open files if the system sets none."""

RESERVED_FILES = 256
"""File descriptors that clients do not get: for the database, logs, and answers to connections above the limit."""

GC_THRESHOLDS = (5_000, 10, 10)
"""Young objects until the collector looks at them, and looks until it looks at older ones.

An operation leaves a small circle, and a circle may hold a document. So garbage must not wait long. What was loaded at
the start is frozen, and looking at the rest is cheap.
"""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.server")


class Server(uvicorn.Server):
    """uvicorn's server, which also freezes memory after the start and ends open connections with a reason."""

    def __init__(
        self,
        config: uvicorn.Config,
        connections: OpenConnections,
        shutdown_seconds: float,
        on_started: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._shutdown_seconds = shutdown_seconds
        self._connections = connections
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then take the loaded objects out of the garbage collector's rounds."""
        await super().startup(sockets)
        if self.started:
            settle_memory()
            if self._on_started is not None:
                self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no new connections, close sockets and streams with a reason, then let running requests finish."""
        for server in self.servers:
            server.close()
        await self._connections.close_all()
        cutting = asyncio.create_task(self._cut_short())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_short(self) -> None:
        """Cancel the requests that do not finish in time. Each is answered."""
        await asyncio.sleep(self._shutdown_seconds)
        late = [task for task in self.server_state.tasks if not task.done()]
        if late:
            log.warning("requests were cut short", late_count=len(late))
        for task in late:
            task.cancel()


def settle_memory() -> None:
    """Take modules, schema and pools out of the garbage collector's rounds: they live as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def raise_file_limit() -> int:
    """Let the process open as many files as the system allows; returns how many connections it may hold.

    Shells and service managers often allow only 1,024 open files, and each connection takes one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, MOST_FILES)
    return max(1, files - RESERVED_FILES)


def make_server(
    app: Starlette,
    host: str,
    port: int,
    *,
    shutdown_seconds: int = GRACEFUL_SECONDS,
    on_started: Callable[[], None] | None = None,
    most_connections: int | None = None,
) -> Server:
    """Return a server for an application made by `create_app`. `on_started` is called when it accepts connections.

    A connection above `most_connections` is answered with 503 and closed. Without that number there is no limit.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedHttpProtocol,
        ws=LingeringWebSocketProtocol,
        ws_max_size=WS_MAX_BYTES,
        ws_ping_interval=WS_PING_SECONDS,
        ws_ping_timeout=WS_PING_SECONDS,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        limit_concurrency=most_connections,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=shutdown_seconds + CUT_SHORT_SECONDS,
    )
    return Server(config, app.state.connections, shutdown_seconds, on_started)


def run(
    app: Starlette,
    host: str,
    port: int,
    *,
    shutdown_seconds: int = GRACEFUL_SECONDS,
    on_started: Callable[[], None] | None = None,
) -> None:
    """Serve in an event loop of its own, uvloop where there is one, until SIGINT or SIGTERM."""
    with asyncio.Runner(loop_factory=find_loop_factory()) as runner:
        server = make_server(
            app,
            host,
            port,
            shutdown_seconds=shutdown_seconds,
            on_started=on_started,
            most_connections=raise_file_limit(),
        )
        runner.run(server.serve())


def find_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the function that makes uvloop's event loops; None if uvloop is not installed."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
