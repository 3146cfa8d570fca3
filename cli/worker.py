"""`treue worker`: background work in a process of its own."""

import asyncio

import click
from sqlalchemy.exc import OperationalError

from cli.clusters import urls_of
from cli.metrics import metrics_port_option, with_metrics_port
from cli.observing import observe_process
from runtime.databases import provide_clusters
from runtime.logs import configure_logging
from runtime.problems import SetupProblem
from runtime.roles import APP_ROLE, RELAY_ROLE
from runtime.settings import load_settings
from tenancy.database import Pooler
from tenancy.startup import UnsafeDatabaseRole
from worker.main import ALL_PARTS, Cluster, Part, run_worker


@click.command()
@click.option(
    "--only",
    type=click.Choice(list(Part), case_sensitive=False),
    multiple=True,
    help="Run this part alone; may be given more than once. Without it every part runs.",
)
@metrics_port_option
@click.option("--cluster", help="Work in this cluster alone; without it in all clusters of the settings.")
def worker(*, only: tuple[Part, ...], metrics_port: int | None, cluster: str | None) -> None:
    """Relay events, and run the readers of the log, sweeps and jobs, until Ctrl-C or SIGTERM.

    Any number of workers may run at once.
    """
    settings = with_metrics_port(load_settings(), metrics_port)
    configure_logging(settings.log_level)
    with provide_clusters(settings, APP_ROLE, RELAY_ROLE) as clusters, observe_process(settings, "worker") as observers:
        chosen = clusters if cluster is None else {cluster: urls_of(clusters, cluster)}
        try:
            asyncio.run(
                run_worker(
                    {name: Cluster(urls.app, urls.relay) for name, urls in chosen.items()},
                    fenced=len(clusters) > 1,
                    parts=frozenset(only) or ALL_PARTS,
                    pool_size=settings.pool_size,
                    pool_wait_seconds=settings.pool_wait_seconds,
                    pooler=Pooler(settings.pooler),
                    shutdown_seconds=settings.shutdown_seconds,
                    registry=observers.registry,
                    tracer=observers.tracer,
                )
            )
        except UnsafeDatabaseRole as problem:
            raise SetupProblem(str(problem)) from problem
        except OperationalError as error:
            raise SetupProblem(f"Cannot reach PostgreSQL: {error.orig}") from error
