"""`treue serve`: one server process."""

import signal
import sys

import click

from api.server import run
from api.service import build_service
from cli.credentials import local_issuer
from runtime.databases import provided_database
from runtime.logs import configure_logging
from runtime.settings import load_settings
from tenancy.database import Database


@click.command()
@click.option("--host", help="Address to listen on; default TREUE_HOST.")
@click.option("--port", type=int, help="Port to listen on; default TREUE_PORT, 0 for any free one.")
def serve(host: str | None, port: int | None) -> None:
    """Serve the API until Ctrl-C or SIGTERM. Any number of servers may run on one database."""
    settings = load_settings()
    # uvicorn raises the signal anew when it has shut down; as an exit it also lets go of the embedded server.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    configure_logging(settings.log_level)
    with provided_database(settings) as urls:
        database = Database(
            urls.app, pool_size=settings.pool_size, pool_wait_seconds=settings.pool_wait_seconds, name="treue-server"
        )
        app = build_service(
            database, local_issuer(settings), cors_origins=settings.cors_origins, planned=settings.plans
        )
        run(
            app,
            host or settings.host,
            settings.port if port is None else port,
            shutdown_seconds=settings.shutdown_seconds,
        )
