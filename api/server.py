"""Runs the application under uvicorn: its limits, and an end that tells everybody."""

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
"""The largest frame that is read at all; the application refuses much smaller ones."""

WS_PING_SECONDS = 20.0
KEEP_ALIVE_SECONDS = 75
"""Above the 60 seconds of usual load balancers, so that they end idle connections and not we."""

GRACEFUL_SECONDS = 20
"""How long requests in flight have to finish when the process ends."""

CUT_SHORT_SECONDS = 5
"""How long requests that are cut short then have to be answered."""

MOST_FILES = 1_000_000
"""What counts where the system sets no limit."""

RESERVED_FILES = 256
"""File descriptors of a process that are not for clients: the database, logs, and answers to who is one too many."""

GC_THRESHOLDS = (5_000, 10, 10)
"""Young objects until the collector looks at them, and looks until it looks at older ones.

An operation leaves a small circle, and a circle may hold a document. So garbage must not wait long. What was loaded at
the start is frozen, and looking at the rest is cheap.
"""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.server")


class Server(uvicorn.Server):
    """uvicorn's server that settles memory after start-up and says goodbye to open connections."""

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
        """Start, then take what has been loaded out of the garbage collector's rounds."""
        await super().startup(sockets)
        if self.started:
            settle_memory()
            if self._on_started is not None:
                self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nobody new, close sockets and streams with a reason, then let requests in flight finish."""
        for server in self.servers:
            server.close()
        await self._connections.close_all()
        cutting = asyncio.create_task(self._cut_short())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_short(self) -> None:
        """End the requests that do not finish in time; each is answered."""
        await asyncio.sleep(self._shutdown_seconds)
        late = [task for task in self.server_state.tasks if not task.done()]
        if late:
            log.warning("requests were cut short", late_count=len(late))
        for task in late:
            task.cancel()


def settle_memory() -> None:
    """Modules, schema and pools live as long as the process: the collector need not look at them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def raise_file_limit() -> int:
    """Let the process have as many open files as the system allows it; returns how many connections it may hold.

    Shells and service managers often allow 1,024 at first, of which each connection takes one.
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
    """A server for an application made by `create_app`. `on_started` is called when it accepts connections.

    Of connections above `most_connections` each is answered with 503 and closed; without it there is no bound.
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
    """What makes uvloop's event loops; None where it is not installed."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
