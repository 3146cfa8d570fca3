"""Provide the businesses of the demo: the first start creates them, and later starts find them again.

The data folder keeps only their ids, never a secret.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import click
import orjson

from cli.credentials import local_code_keys
from cli.demo_business import BUSINESSES, Business, count_purchases, furnish_tenant, record_history
from loyalty.rules.errors import NotFound
from loyalty.rules.ids import TenantId
from loyalty.rules.origins import LOOPBACK_ORIGINS
from loyalty.services.allowed_origins import set_allowed_origins
from loyalty.services.program import get_tenant
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from permissions.actor import Actor, ActorKind
from permissions.roles import ROLE_PERMISSIONS, Role
from runtime.roles import DatabaseUrls
from runtime.settings import Settings
from tenancy.database import Database

STATE_FILE = "demo.json"
TOKEN_NAME = "Demo booking system"  # noqa: S105 - a name
TOKEN_LIFETIME = timedelta(hours=12)


async def provide_businesses(urls: DatabaseUrls, settings: Settings) -> list[TenantId]:
    """Return the tenants of the demo: the tenants of an earlier start if they exist, else new ones."""
    state = settings.data_dir / STATE_FILE
    owner, app = Database(urls.owner, pool_size=1), Database(urls.app, pool_size=4)
    try:
        known = _read_known_tenants(state)
        if known and await _do_exist(app, known):
            for tenant_id in known:
                await _let_pages_call(app, tenant_id)
            return known
        codes = local_code_keys(settings)
        made = [await _make(business, owner, World(app, codes=codes)) for business in BUSINESSES]
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        # The file is written last: if the first start is interrupted, the next one creates the businesses again.
        unfinished = state.with_suffix(".new")
        unfinished.write_bytes(orjson.dumps([str(tenant_id) for tenant_id in made]))
        unfinished.replace(state)
        return made
    finally:
        await owner.close()
        await app.close()


def _read_known_tenants(state: Path) -> list[TenantId]:
    """Return the tenants of an earlier start; an empty list if the file is missing or incomplete."""
    try:
        return [TenantId(UUID(text)) for text in orjson.loads(state.read_bytes())]
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return []


async def _do_exist(app: Database, tenants: list[TenantId]) -> bool:
    """Tell whether all these tenants exist in this database."""
    try:
        for tenant_id in tenants:
            await get_tenant(World(app), demo_owner(tenant_id))
    except NotFound:
        return False
    return True


async def _let_pages_call(app: Database, tenant_id: TenantId) -> None:
    """Allow pages of this computer to call, if the tenant has no allowed origins.

    An earlier release had no such setting.
    """
    owner = demo_owner(tenant_id)
    if not (await get_tenant(World(app), owner)).allowed_origins:
        await set_allowed_origins(World(app), owner, LOOPBACK_ORIGINS)


async def _make(business: Business, owner: Database, world: World) -> TenantId:
    """Create a sandbox tenant for a business, furnish it, and record its history."""
    now = datetime.now(UTC)
    tenant = await provision_tenant(
        World(owner),
        name=business.name,
        currency=business.currency,
        time_zone=business.time_zone,
        locale=business.locale,
        # A visitor may let time pass in the demo.
        sandbox=True,
        allowed_origins=LOOPBACK_ORIGINS,
    )
    await furnish_tenant(world, tenant.tenant_id, business, now)

    def at(moment: datetime) -> World:
        return replace(world, clock=lambda: moment)

    with click.progressbar(length=count_purchases(business), label=f"{business.name:<18}") as bar:
        await record_history(at, tenant.tenant_id, business, now, bar.update)
    return tenant.tenant_id


def demo_owner(tenant_id: TenantId) -> Actor:
    """Return the actor that furnishes the demo and shows it: staff with the role OWNER."""
    return Actor(
        kind=ActorKind.STAFF,
        tenant_id=tenant_id,
        subject="demo:owner",
        permissions=ROLE_PERMISSIONS[Role.OWNER],
        display="Demo owner",
    )
