"""`treue tenant`: the businesses on the platform."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from cli.tenant_move import forget, move
from cli.work import no_tenant, work_as_relay, work_on
from loyalty.rules.budget import BudgetLimits
from loyalty.rules.ids import TenantId
from runtime.problems import SetupProblem

if TYPE_CHECKING:
    from loyalty.services.world import World
    from runtime.roles import DatabaseUrls
    from tenancy.provisioning import ListedTenant


@click.group()
def tenant() -> None:
    """Create, list, suspend, resume, close, entitle, limit, move and export tenants."""


tenant.add_command(move)
tenant.add_command(forget)


@tenant.command()
@click.option("--name", required=True, help="The name of the business.")
@click.option("--currency", required=True, help="ISO 4217, such as EUR.")
@click.option("--time-zone", required=True, help="IANA zone, such as Europe/Berlin.")
@click.option("--locale", default="en", show_default=True, help="Language of the business (BCP 47).")
@click.option(
    "--sandbox", is_flag=True, help="Make a sandbox: a tenant to try things in, which can advance its own clock."
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    help="Origin whose browser pages may call, such as https://salon.example; may be given more than once.",
)
@click.option("--no-loyalty", is_flag=True, help="Do not grant the loyalty module yet.")
@click.option("--cluster", help="The cluster where the tenant lives; without it the cluster with the fewest tenants.")
def create(
    name: str,
    currency: str,
    time_zone: str,
    locale: str,
    origins: tuple[str, ...],
    *,
    no_loyalty: bool,
    sandbox: bool,
    cluster: str | None,
) -> None:
    """Create a tenant with its first settings, and print its id."""
    from loyalty.services.tenant import provision_tenant

    async def work(world: "World") -> TenantId:
        made = await provision_tenant(
            world,
            name=name,
            currency=currency,
            time_zone=time_zone,
            locale=locale,
            sandbox=sandbox,
            allowed_origins=origins,
            loyalty_entitled=not no_loyalty,
            cluster=cluster,
        )
        return made.tenant_id

    click.echo(work_as_relay(work, unknown="There is no such tenant."))


@tenant.command(name="list")
def list_() -> None:
    """List all tenants, oldest first, with id and name.

    A line also says what is not as usual: SUSPENDED, CLOSED, NOT ENTITLED, a budget of its own. If there are several
    clusters, it names the cluster of the tenant.
    """
    from tenancy.provisioning import list_tenants

    async def work(world: "World") -> list[str]:
        shows_cluster = len(world.database.clusters) > 1
        return ["  ".join(_describe(one, shows_cluster=shows_cluster)) for one in await list_tenants(world.database)]

    for line in work_as_relay(work, unknown="There is no such tenant."):
        click.echo(line)


def _describe(tenant: "ListedTenant", *, shows_cluster: bool) -> list[str]:
    """Return what to print about a tenant, one text for each column."""
    place = [tenant.cluster] if shows_cluster else []
    return [str(tenant.tenant_id), tenant.name, *place, *_remarks(tenant)]


def _remarks(tenant: "ListedTenant") -> list[str]:
    """Return what is not as usual about a tenant: its state, no entitlement, or a budget of its own."""
    from tenancy.tables import ACTIVE

    return [
        *([] if tenant.state == ACTIVE else [tenant.state]),
        *([] if tenant.loyalty_entitled else ["NOT ENTITLED"]),
        *(
            []
            if tenant.budget_points is None
            else [f"{tenant.budget_points} points, {tenant.budget_per_second} a second"]
        ),
    ]


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
def suspend(tenant_id: uuid.UUID) -> None:
    """Refuse every credential of a tenant until it is resumed. Points still mature and expire at their time."""
    from loyalty.services.tenant import suspend_tenant

    _change(tenant_id, suspend_tenant)
    click.echo(f"{tenant_id} is suspended: its credentials are refused, and open sockets close within 5 seconds.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
def resume(tenant_id: uuid.UUID) -> None:
    """Let the credentials of a suspended tenant work again."""
    from loyalty.services.tenant import resume_tenant

    _change(tenant_id, resume_tenant)
    click.echo(f"{tenant_id} is active: its credentials work again.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.option("--yes", is_flag=True, help="Do not ask.")
def close(tenant_id: uuid.UUID, *, yes: bool) -> None:
    """Refuse every credential of a tenant for good. Its data is kept, and it cannot be opened again."""
    from loyalty.services.tenant import close_tenant

    if not yes:
        click.confirm(f"{tenant_id} cannot be opened again. Close it?", abort=True)
    _change(tenant_id, close_tenant)
    click.echo(f"{tenant_id} is closed: its credentials are refused for good, and open sockets close within 5 seconds.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.option("--loyalty/--no-loyalty", required=True, help="Grant the loyalty module, or take it back.")
def entitle(tenant_id: uuid.UUID, *, loyalty: bool) -> None:
    """Grant the loyalty module to a tenant, or take it back. Without it everything but credentials is refused."""
    from loyalty.services.tenant import entitle_tenant

    async def change(world: "World", changed_id: TenantId) -> "ListedTenant":
        return await entitle_tenant(world, changed_id, loyalty=loyalty)

    _change(tenant_id, change)
    click.echo(f"{tenant_id} is {'entitled' if loyalty else 'not entitled'} to loyalty.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.option("--points", type=int, help="Points of cost that may be spent at once, 20000 at least.")
@click.option("--per-second", type=int, help="Points that come back each second.")
@click.option(
    "--default",
    "usual",
    is_flag=True,
    help="Take the tenant's own budget away: the budget of the settings counts again.",
)
def limits(tenant_id: uuid.UUID, points: int | None, per_second: int | None, *, usual: bool) -> None:
    """Give a tenant a budget of its own. A server learns of it with its next booking, within seconds of traffic."""
    from loyalty.services.tenant import limit_tenant

    given = (points, per_second)
    if usual == (given != (None, None)) or (not usual and (points is None or per_second is None)):
        raise click.UsageError("Give --points and --per-second, or --default.")
    own = None if points is None or per_second is None else BudgetLimits(points, per_second)

    async def change(world: "World", changed_id: TenantId) -> "ListedTenant":
        return await limit_tenant(world, changed_id, own)

    _change(tenant_id, change)
    told = (
        "the limits of the settings" if own is None else f"{own.points} points, and {own.per_second} come back a second"
    )
    click.echo(f"{tenant_id} has {told}.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
def export(tenant_id: uuid.UUID, file: Path) -> None:
    """Write all data of a tenant to FILE. Each line is a JSON object: the name of a table, and a row.

    All rows are as they were at one moment. Secrets are left out: hashes of credentials, and the codes of gift cards.
    Only the owner of the file can read it. A file that exists is not overwritten. The log of the platform and the audit
    log of the tenant show each export, also one that failed. A failed export leaves no file.
    """
    from runtime.databases import provide_clusters
    from runtime.roles import APP_ROLE, RELAY_ROLE
    from runtime.settings import load_settings

    with provide_clusters(load_settings(), APP_ROLE, RELAY_ROLE) as clusters:
        count = asyncio.run(_write_export(clusters, TenantId(tenant_id), file))
    click.echo(f"{count} rows of {tenant_id} stand in {file}.")


async def _write_export(clusters: "Mapping[str, DatabaseUrls]", tenant_id: TenantId, file: Path) -> int:
    """Note the export in both logs, then write the file; returns the number of rows. A failed export leaves no file."""
    import orjson

    from loyalty.services.tenant import note_export
    from loyalty.services.tenant_export import export_tenant

    async def note(world: "World") -> None:
        await note_export(world, tenant_id)

    async def write(world: "World") -> int:
        count = 0
        async for exported in export_tenant(world, tenant_id):
            target.write(orjson.dumps({"table": exported.table, "row": exported.row}) + b"\n")
            count += 1
        return count

    unknown = no_tenant(tenant_id)
    with _new_file(file) as target:
        await work_on(clusters, "relay", note, unknown=unknown)
        return await work_on(clusters, "app", write, unknown=unknown)


@contextmanager
def _new_file(file: Path) -> Iterator[BinaryIO]:
    """Open a new file that only its owner can read. The file is deleted if the block fails."""
    try:
        target = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise SetupProblem(f"{file} cannot be written: {error.strerror}.") from error
    try:
        with target:
            yield target
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _change(tenant_id: uuid.UUID, change: "Callable[[World, TenantId], Awaitable[ListedTenant]]") -> None:
    """Change a tenant as the relay role. A refusal ends the command with a sentence."""
    work_as_relay(lambda world: change(world, TenantId(tenant_id)), unknown=no_tenant(tenant_id))
