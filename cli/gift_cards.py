"""`treue gift-cards`: work on the gift cards of all tenants."""

import asyncio
import uuid
from collections.abc import Mapping

import click

from cli.clusters import open_database, refuse_old_home
from cli.credentials import local_code_keys
from loyalty.services.client_secret import reseal_client_secrets
from loyalty.services.gift_card_reseal import reseal_codes
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import CodeKeyMissing, CodeKeys
from runtime.databases import provide_clusters
from runtime.problems import SetupProblem
from runtime.roles import APP_ROLE, RELAY_ROLE, DatabaseUrls
from runtime.settings import load_settings
from tenancy.provisioning import ListedTenant, list_tenants


@click.group("gift-cards")
def gift_cards() -> None:
    """Work on the gift cards of all tenants."""


@gift_cards.command()
@click.option("--tenant", "tenant_id", type=click.UUID, help="Only this tenant; without it all of them.")
def reseal(tenant_id: uuid.UUID | None) -> None:
    """Seal all codes and client secrets again under the first key of the file, so that other keys can be removed.

    It can be stopped and called again at any time. The exit code is 1 if a code is damaged; its card is named.
    """
    settings = load_settings()
    keys = local_code_keys(settings)
    with provide_clusters(settings, APP_ROLE, RELAY_ROLE) as clusters:
        damaged = asyncio.run(_reseal_tenants(clusters, keys, tenant_id))
    if damaged:
        click.echo(f"{damaged} codes are damaged: no key opens them. They stay as they are.")
        raise SystemExit(1)
    if tenant_id is None:
        click.echo("The first key of the file seals all codes. The other keys can be removed.")


async def _reseal_tenants(clusters: Mapping[str, DatabaseUrls], keys: CodeKeys, tenant_id: uuid.UUID | None) -> int:
    """Seal the codes of the tenants again; returns how many are damaged."""
    app = open_database(clusters, "app", pool_size=1, name="treue-gift-cards")
    relay = open_database(clusters, "relay", pool_size=1, name="treue-gift-cards")
    try:
        await refuse_old_home(relay)
        listed = [one for one in await list_tenants(relay) if tenant_id in (None, one.tenant_id)]
        if tenant_id is not None and not listed:
            raise SetupProblem(f"There is no tenant {tenant_id}.")
        world = World(app, codes=keys)
        return sum([await _reseal_tenant(world, one) for one in listed])
    finally:
        await app.close()
        await relay.close()


async def _reseal_tenant(world: World, tenant: ListedTenant) -> int:
    """Seal the codes and client secrets of one tenant again, and print the numbers in one line."""
    cards = resealed = damaged = 0
    try:
        damaged += await _reseal_client_secrets(world, tenant)
        async for done in reseal_codes(world, tenant.tenant_id):
            cards, resealed, damaged = cards + done.cards, resealed + done.resealed, damaged + len(done.damaged)
            for card_id in done.damaged:
                click.echo(f"{tenant.tenant_id}  the code of the gift card {card_id} is damaged")
    except CodeKeyMissing as missing:
        raise SetupProblem(
            f"{tenant.name} ({tenant.tenant_id}) has secrets that were sealed with a key that is not in the "
            "file of keys. Put that key back into the file, below the first line, and call this command again. "
            f"{resealed} codes of this tenant were sealed again and stay so."
        ) from missing
    finally:
        click.echo(f"{tenant.tenant_id}  {tenant.name}: {cards:,} gift cards, {resealed:,} codes sealed again")
    return damaged


async def _reseal_client_secrets(world: World, tenant: ListedTenant) -> int:
    """Seal the secrets of the tenant's applications at identity providers again; returns how many are damaged."""
    done = await reseal_client_secrets(world, tenant.tenant_id)
    if done.resealed:
        click.echo(f"{tenant.tenant_id}  {tenant.name}: {done.resealed} client secrets sealed again")
    for issuer_id in done.damaged:
        click.echo(
            f"{tenant.tenant_id}  the client secret of the identity provider {issuer_id} is damaged: set it again"
        )
    return len(done.damaged)
