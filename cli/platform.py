"""`treue platform`: the platform's own API, and the credentials for it."""

import signal
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from api.tokens import hash_token, is_token, make_token
from cli.addresses import address_of, free_port, refuse_taken_port
from cli.metrics import metrics_port_option, with_metrics_port
from cli.work import work_as_relay
from loyalty.rules.credential import is_live
from loyalty.rules.errors import NotFound
from loyalty.rules.platform import MAX_TOKEN_DAYS, PLATFORM_TOKEN
from runtime.problems import SetupProblem

if TYPE_CHECKING:
    from loyalty.services.world import World
    from tenancy.platform import PlatformTokenRow

DEFAULT_PORT = 8322
DEFAULT_DAYS = 365
NO_CREDENTIAL = "There is no such credential: see `treue platform token list`."


@click.group()
def platform() -> None:
    """Serve the API by which the platform creates, entitles, suspends and closes tenants, and make its credentials."""


@platform.command()
@click.option("--host", help="Address to listen on; default TREUE_HOST.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@metrics_port_option
def serve(host: str | None, port: int, metrics_port: int | None) -> None:
    """Serve the platform's API until Ctrl-C or SIGTERM. Keep it within your own network."""
    # Importing the schema takes seconds, and the other commands need no schema.
    import structlog

    from api.platform import build_platform
    from api.server import run
    from cli.clusters import open_database
    from cli.observing import observe_process
    from migrations.newest import newest_revision
    from runtime.databases import provide_clusters
    from runtime.logs import configure_logging
    from runtime.roles import RELAY_ROLE
    from runtime.settings import load_settings
    from tenancy.database import Pooler

    log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.platform")
    settings = with_metrics_port(load_settings(), metrics_port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
    host = host or settings.host
    port = port or free_port(host)
    refuse_taken_port(host, port, "treue platform serve --port 8401")
    configure_logging(settings.log_level)
    with provide_clusters(settings, RELAY_ROLE) as clusters, observe_process(settings, "platform") as observers:
        database = open_database(
            clusters,
            "relay",
            pool_size=settings.pool_size,
            pool_wait_seconds=settings.pool_wait_seconds,
            pooler=Pooler(settings.pooler),
            name="treue-platform",
            tracer=observers.tracer,
        )
        run(
            build_platform(
                database,
                trusted_proxies=settings.trusted_proxies,
                registry=observers.registry,
                newest_revision=newest_revision(),
                tracer=observers.tracer,
            ),
            host,
            port,
            shutdown_seconds=settings.shutdown_seconds,
            on_started=lambda: log.info("listening", url=f"{address_of(host, port)}/graphql"),
        )


@platform.group()
def token() -> None:
    """Make, list and revoke credentials of the platform."""


@token.command()
@click.option("--name", required=True, help="The name of the credential in the logs, such as Onboarding.")
@click.option(
    "--days",
    type=click.IntRange(1, MAX_TOKEN_DAYS),
    default=DEFAULT_DAYS,
    show_default=True,
    help="After how many days it ends.",
)
def create(name: str, days: int) -> None:
    """Print a new credential. It is shown now and never again."""
    from loyalty.services.platform import PlatformTokenRequest, create_platform_token

    made, request = make_token(PLATFORM_TOKEN), PlatformTokenRequest(name, timedelta(days=days))
    work_as_relay(lambda world: create_platform_token(world, request, made.sha256), unknown=NO_CREDENTIAL)
    click.echo(made.text)


@token.command(name="list")
def list_() -> None:
    """List the credentials of the platform, oldest first: id, name, and when they end, ended or were used last."""
    from loyalty.services.platform import list_tokens

    for row in work_as_relay(list_tokens, unknown=NO_CREDENTIAL):
        click.echo("  ".join([str(row.id), row.name, *_remarks(row)]))


@token.command()
@click.argument("named", metavar="ID_OR_TOKEN")
def revoke(named: str) -> None:
    """End a credential at once. It is named by its id, or by its text; with - the text is read from standard input."""
    from loyalty.services.platform import revoke_platform_token

    given = sys.stdin.read().strip() if named == "-" else named.strip()

    async def work(world: "World") -> "PlatformTokenRow":
        return await revoke_platform_token(world, await _find_id(world, given))

    row = work_as_relay(work, unknown=NO_CREDENTIAL)
    click.echo(f"{row.id} {row.name} is revoked.")


async def _find_id(world: "World", given: str) -> uuid.UUID:
    """Return the id of a credential from its id or its text. Raises NotFound and SetupProblem."""
    from loyalty.services.platform import find_token_id

    if is_token(given):
        found = await find_token_id(world, hash_token(given))
        if found is None:
            raise NotFound("credential of the platform", ("id",))
        return found
    try:
        return uuid.UUID(given)
    except ValueError:
        raise SetupProblem("Give the id of a credential (`treue platform token list`), or its text.") from None


def _remarks(row: "PlatformTokenRow") -> list[str]:
    """Return what to print about a credential: when it ends or why it has ended, and when it was used last."""
    now = datetime.now(UTC)
    ends = [f"until {row.expires_at:%Y-%m-%d}"] if row.expires_at is not None else []
    used = [f"used {row.last_used_at:%Y-%m-%d %H:%M} UTC"] if row.last_used_at is not None else []
    if is_live(row, now):
        return [*ends, *used]
    return ["REVOKED" if row.revoked_at is not None else "EXPIRED", *used]
