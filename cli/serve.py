"""`treue serve`: one server process."""

import signal
import sys
from datetime import timedelta

import click
import structlog

from api.server import run
from api.service import Edge, build_service
from cli.addresses import address_of, free_port, refuse_taken_port
from cli.clusters import open_database
from cli.credentials import local_code_keys, local_issuer
from cli.metrics import metrics_port_option, with_metrics_port
from cli.observing import observe_process
from loyalty.rules.budget import BudgetLimits
from loyalty.rules.origins import check_origins
from migrations.newest import newest_revision
from runtime.databases import provide_clusters
from runtime.logs import configure_logging
from runtime.problems import WrongSettings
from runtime.roles import APP_ROLE
from runtime.settings import Settings, load_settings
from tenancy.database import Pooler

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.server")


@click.command()
@click.option("--host", help="Address to listen on; default TREUE_HOST.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Port to listen on; default TREUE_PORT, 0 for any free one."
)
@metrics_port_option
def serve(host: str | None, port: int | None, metrics_port: int | None) -> None:
    """Serve the API until Ctrl-C or SIGTERM. Any number of servers may run on one database."""
    settings = with_metrics_port(load_settings(), metrics_port)
    # uvicorn raises the signal again when it has shut down; as an exit it also lets go of the embedded server.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
    origins = _read_allowed_origins(settings)
    host, port = host or settings.host, settings.port if port is None else port
    port = port or free_port(host)
    refuse_taken_port(host, port, "treue serve --port 8400")
    configure_logging(settings.log_level)
    with provide_clusters(settings, APP_ROLE) as clusters, observe_process(settings, "server") as observers:
        database = open_database(
            clusters,
            "app",
            pool_size=settings.pool_size,
            pool_wait_seconds=settings.pool_wait_seconds,
            read_connections=settings.read_connections,
            pooler=Pooler(settings.pooler),
            name="treue-server",
            tracer=observers.tracer,
        )
        edge = Edge(
            allowed_origins=origins,
            trusted_proxies=settings.trusted_proxies,
            public_url=settings.public_url or "",
            access_token_lifetime=timedelta(minutes=settings.access_token_minutes),
            private_providers=settings.private_providers,
            budget=BudgetLimits(settings.budget_points, settings.budget_points_per_second),
            persisted_queries=settings.persisted_queries,
        )
        codes = local_code_keys(settings)
        issuer = local_issuer(settings)
        app = build_service(
            database,
            issuer,
            edge,
            codes=codes,
            planned=settings.plans,
            registry=observers.registry,
            tracer=observers.tracer,
            newest_revision=newest_revision(),
        )
        run(
            app,
            host,
            port,
            shutdown_seconds=settings.shutdown_seconds,
            on_started=lambda: log.info("listening", url=f"{address_of(host, port)}/graphql"),
        )


def _read_allowed_origins(settings: Settings) -> list[str]:
    """Return the origins that every tenant allows. Raises WrongSettings."""
    origins, problems = check_origins(settings.cors_origins, ())
    if problems:
        said = "; ".join(f"entry {problem.path[0]} {problem.reason}" for problem in problems)
        raise WrongSettings(f"Wrong settings: TREUE_CORS_ORIGINS: {said}.")
    return origins
