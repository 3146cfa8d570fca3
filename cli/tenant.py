"""`treue tenant`: the businesses on the platform."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.ids import TenantId
from loyalty.services.tenant import provision_tenant, resume_tenant, suspend_tenant
from loyalty.services.world import World
from runtime.databases import provided_database
from runtime.problems import SetupProblem
from runtime.settings import load_settings
from tenancy.database import Database
from tenancy.provisioning import list_tenants
from tenancy.tables import ACTIVE

T = TypeVar("T")


@click.group()
def tenant() -> None:
    """Create, list, suspend and resume tenants."""


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
def create(name: str, currency: str, time_zone: str, locale: str, origins: tuple[str, ...], *, sandbox: bool) -> None:
    """Create a tenant with its first settings, and print its id."""
    with provided_database(load_settings(), prepare=True) as urls:

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
                )
            except InvalidInput as refusal:
                raise SetupProblem(str(refusal)) from refusal
            return str(made.tenant_id)

        click.echo(asyncio.run(_with_database(urls.owner, work)))


@tenant.command(name="list")
def list_() -> None:
    """List all tenants, oldest first: id and name, and SUSPENDED where access is refused."""
    with provided_database(load_settings()) as urls:
        for tenant_id, name, state in asyncio.run(_with_database(urls.relay, list_tenants)):
            click.echo(f"{tenant_id}  {name}" if state == ACTIVE else f"{tenant_id}  {name}  {state}")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
def suspend(tenant_id: uuid.UUID) -> None:
    """Refuse every credential of a tenant until it is resumed. Points keep their dates meanwhile."""
    _change_state(tenant_id, suspend_tenant)
    click.echo(f"{tenant_id} is suspended: its credentials are refused, and open sockets close within 5 seconds.")


@tenant.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
def resume(tenant_id: uuid.UUID) -> None:
    """Let the credentials of a suspended tenant work again."""
    _change_state(tenant_id, resume_tenant)
    click.echo(f"{tenant_id} is active: its credentials work again.")


def _change_state(tenant_id: uuid.UUID, change: Callable[[World, TenantId], Awaitable[None]]) -> None:
    async def work(database: Database) -> None:
        try:
            await change(World(database), TenantId(tenant_id))
        except NotFound as refusal:
            raise SetupProblem(f"There is no tenant {tenant_id}: see `treue tenant list`.") from refusal

    with provided_database(load_settings()) as urls:
        if not urls.owner:
            raise SetupProblem("TREUE_OWNER_URL must be set as well: only the owner of the tables can change a tenant.")
        asyncio.run(_with_database(urls.owner, work))


async def _with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(url, pool_size=1, name="treue-cli")
    try:
        return await work(database)
    finally:
        await database.close()
