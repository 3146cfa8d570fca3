"""`treue verify`: prove the ledger."""

import asyncio
import uuid

import click

from loyalty.rules.ids import TenantId
from loyalty.services.verification import verify_ledger
from loyalty.services.world import World
from loyalty.storage.verification import INVARIANTS
from runtime.databases import provided_database
from runtime.roles import DatabaseUrls
from runtime.settings import load_settings
from tenancy.database import Database
from tenancy.provisioning import list_tenants


@click.command()
@click.option("--tenant", "tenant_id", type=click.UUID, help="Only this tenant; without it all of them.")
def verify(tenant_id: uuid.UUID | None) -> None:
    """Check every invariant of the ledger. Exit code 1 when one does not hold; what differs is named."""
    with provided_database(load_settings()) as urls:
        broken = asyncio.run(_verify(urls, tenant_id))
    if broken:
        raise SystemExit(1)


async def _verify(urls: DatabaseUrls, only: uuid.UUID | None) -> int:
    """Check the tenants one after another; returns how many do not add up."""
    app, relay = Database(urls.app, pool_size=1, name="treue-verify"), Database(urls.relay, pool_size=1)
    broken = 0
    try:
        for tenant_id, name in await list_tenants(relay):
            if only is None or only == tenant_id:
                broken += not await _is_sound(World(app), tenant_id, name)
    finally:
        await app.close()
        await relay.close()
    return broken


async def _is_sound(world: World, tenant_id: TenantId, name: str) -> bool:
    differences = await verify_ledger(world, tenant_id)
    verdict = "does not add up" if differences else f"adds up ({len(INVARIANTS)} invariants)"
    click.echo(f"{tenant_id}  {name}: {verdict}")
    for difference in differences:
        click.echo(f"  {difference}")
    return not differences
