"""Metrics in Prometheus' text format at `/metrics`, on a port of their own that must not be public.

A thread answers, so the metrics can be read while the process is too busy to serve requests. Every other address is not
found.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, GCCollector, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import make_wsgi_app

from runtime.problems import SetupProblem
from runtime.settings import Settings

METRICS_PATH = "/metrics"
POLL_SECONDS = 0.1
"""How often the thread checks whether it must end."""
READ_SECONDS = 10
"""The time that a caller has to send a request, or to read the answer."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.metrics")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without looking up the name of the host: that may take seconds, and the name is not used."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing about a caller who leaves early: no other caller is affected."""


class _ServerOfV6(_Server):
    address_family: int = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = READ_SECONDS  # type: ignore[mutable-override]  # socketserver reads it of the class

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's signature
        """Log nothing: a line every few seconds would fill the log."""


def new_registry(process: str) -> CollectorRegistry:
    """Return a registry with the metrics of every process: memory, processor time, open files, version.

    `process` is its name.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    info = Info("treue_build", "The version of Treue, and what this process is.", registry=registry)
    info.info({"version": version("treue"), "process": process})
    return registry


@contextlib.contextmanager
def serve_metrics_meanwhile(settings: Settings, process: str) -> Iterator[CollectorRegistry | None]:
    """Serve this process's registry during the block; None if the settings name no port."""
    if settings.metrics_port is None:
        yield None
        return
    registry = new_registry(process)
    with serve_metrics(registry, settings.metrics_host, settings.metrics_port):
        yield registry


@contextlib.contextmanager
def serve_metrics(registry: CollectorRegistry, host: str, port: int) -> Iterator[int]:
    """Serve `/metrics` during the block, and yield the port; 0 takes any free port. Raises SetupProblem."""
    try:
        kind = _ServerOfV6 if ":" in host else _Server
        server = make_server(host, port, _only_metrics(make_wsgi_app(registry)), kind, _Handler)
    except OSError as error:
        reason = error.strerror or error
        raise SetupProblem(f"The metrics cannot be served at port {port} of {host}: {reason}.") from error
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), name="metrics", daemon=True)
    thread.start()
    log.info("metrics are served", host=host, port=server.server_port, path=METRICS_PATH)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _only_metrics(answer: Callable[[dict[str, Any], Any], Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Answer at one address only. The library would answer at every address."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == METRICS_PATH:
            return answer(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"There is nothing at this address.\n"]

    return app
