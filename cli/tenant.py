"""`treue tenant`: the businesses on the platform."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import orjson

from loyalty.rules.budget import BudgetLimits
from loyalty.rules.errors import InvalidInput, NotFound, TenantClosed
from loyalty.rules.ids import TenantId
from loyalty.services.tenant import (
    close_tenant,
    entitle_tenant,
    limit_tenant,
    note_export,
    provision_tenant,
    resume_tenant,
    suspend_tenant,
)
from loyalty.services.tenant_export import export_tenant
from loyalty.services.world import World
from runtime.databases import provide_database
from runtime.problems import SetupProblem
from runtime.roles import APP_ROLE, RELAY_ROLE
from runtime.settings import load_settings
from tenancy.database import Database
from tenancy.provisioning import ListedTenant, list_tenants
from tenancy.tables import ACTIVE

T = TypeVar("T")


@click.group()
def tenant() -> None:
    """Create, list, suspend, resume, close, entitle, limit and export tenants."""


@tenant.command()
@click.option("--name", required=True, help="The name of the business.")
@click.option("--currency", required=True, help="ISO 4217, such as EUR.")
@click.option("--time-zone", required=True, help="IANA zone, such as Europe/Berlin.")
@click.option("--locale", default="en", show_default=True, help="Language of the business (BCP 47).")
@click.option("--sandbox", is_flag=True, help="To try things in: it can advance its own clock.")
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    help="Origin whose browser pages may call, such as https://salon.example; may be given more than once.",
)
@click.option("--no-loyalty", is_flag=True, help="Do not grant the loyalty module yet.")
def create(
    name: str,
    currency: str,
    time_zone: str,
    locale: str,
    origins: tuple[str, ...],
    *,
    no_loyalty: bool,
    sandbox: bool,
) -> None:
    """Create a tenant with its first settings, and print its id."""
    with provide_database(load_settings(), RELAY_ROLE) as urls:

        async def work(database: Database) -> str:
            try:
                made = await provision_tenant(
                    World(database),
                    name=name,
                    currency=currency,
                    time_zone=time_zone,
                    locale=locale,
                    sandbox=sandbox,
                    allowed_origins=origins,
                    loyalty_entitled=not no_loyalty,
                )
            except InvalidInput as refusal:
                raise SetupProblem(str(refusal)) from refusal
            return str(made.tenant_id)

        click.echo(asyncio.run(_with_database(urls.relay, work)))


@tenant.command(name="list")
def list_() -> None:
    """List all tenants, oldest first: id and name, and what is not as usual: SUSPENDED, CLOSED, NOT ENTITLED,
    a budget of its own.
    """
    with provide_database(load_settings(), RELAY_ROLE) as urls:
        for listed in asyncio.run(_with_database(urls.relay, list_tenants)):
            click.echo("  ".join([str(listed.tenant_id), listed.name, *_remarks(listed)]))


def _remarks(tenant: ListedTenant) -> list[str]:
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
    """Refuse every credential of a tenant until it is resumed. Points keep their dates meanwhile."""
    _change(tenant_id, suspend_tenant)
    click.echo(f"{tenant_id} is suspended: its credentials are refused, and open sockets close within 5 seconds.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
def resume(tenant_id: uuid.UUID) -> None:
    """Let the credentials of a suspended tenant work again."""
    _change(tenant_id, resume_tenant)
    click.echo(f"{tenant_id} is active: its credentials work again.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.option("--yes", is_flag=True, help="Do not ask.")
def close(tenant_id: uuid.UUID, *, yes: bool) -> None:
    """Refuse every credential of a tenant for good. What it holds is kept, and nothing opens it again."""
    if not yes:
        click.confirm(f"{tenant_id} cannot be opened again. Close it?", abort=True)
    _change(tenant_id, close_tenant)
    click.echo(f"{tenant_id} is closed: its credentials are refused for good, and open sockets close within 5 seconds.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.option("--loyalty/--no-loyalty", required=True, help="Grant the loyalty module, or take it back.")
def entitle(tenant_id: uuid.UUID, *, loyalty: bool) -> None:
    """Grant the loyalty module to a tenant, or take it back. Without it everything but credentials is refused."""

    async def change(world: World, changed_id: TenantId) -> ListedTenant:
        return await entitle_tenant(world, changed_id, loyalty=loyalty)

    _change(tenant_id, change)
    click.echo(f"{tenant_id} is {'entitled' if loyalty else 'not entitled'} to loyalty.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.option("--points", type=int, help="Points of cost that may be spent at once, 20000 at least.")
@click.option("--per-second", type=int, help="Points that come back each second.")
@click.option("--default", "usual", is_flag=True, help="Take its own limits away: those of the settings count again.")
def limits(tenant_id: uuid.UUID, points: int | None, per_second: int | None, *, usual: bool) -> None:
    """Give a tenant a budget of its own. Servers know of it when they book next, within seconds of its traffic."""
    given = (points, per_second)
    if usual == (given != (None, None)) or (not usual and (points is None or per_second is None)):
        raise click.UsageError("Give --points and --per-second, or --default.")
    own = None if points is None or per_second is None else BudgetLimits(points, per_second)

    async def change(world: World, changed_id: TenantId) -> ListedTenant:
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
    """Write everything that is held of a tenant to FILE, a JSON object a line: its table, and the row.

    All rows are as they were at one moment. Secrets are left out: hashes of credentials, and the codes of gift cards.
    The file is readable for its owner only, and a file that is there is not overwritten. Both logs tell of the export.
    """
    _change(tenant_id, note_export)
    try:
        target = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise SetupProblem(f"{file} cannot be written: {error.strerror}.") from error

    async def work(database: Database) -> int:
        count = 0
        async for exported in export_tenant(World(database), TenantId(tenant_id)):
            target.write(orjson.dumps({"table": exported.table, "row": exported.row}) + b"\n")
            count += 1
        return count

    with target, provide_database(load_settings(), APP_ROLE) as urls:
        count = asyncio.run(_with_database(urls.app, work))
    click.echo(f"{count} rows of {tenant_id} stand in {file}.")


def _change(tenant_id: uuid.UUID, change: Callable[[World, TenantId], Awaitable[ListedTenant]]) -> None:
    async def work(database: Database) -> None:
        try:
            await change(World(database), TenantId(tenant_id))
        except NotFound as refusal:
            raise SetupProblem(f"There is no tenant {tenant_id}: see `treue tenant list`.") from refusal
        except InvalidInput as refusal:
            raise SetupProblem(str(refusal)) from refusal
        except TenantClosed as refusal:
            raise SetupProblem(f"{tenant_id} is closed for good.") from refusal

    with provide_database(load_settings(), RELAY_ROLE) as urls:
        asyncio.run(_with_database(urls.relay, work))


async def _with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(url, pool_size=1, name="treue-cli")
    try:
        return await work(database)
    finally:
        await database.close()
