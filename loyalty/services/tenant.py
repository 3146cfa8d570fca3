"""Bring a tenant into being with its first program; what `treue tenant create` does, as the owner's role."""

from uuid_utils.compat import uuid7

from loyalty.rules.errors import Problem, refuse_problems
from loyalty.rules.ids import TenantId
from loyalty.rules.money import is_currency
from loyalty.rules.program import default_settings
from loyalty.rules.text import check_text
from loyalty.rules.zones import is_locale, is_time_zone
from loyalty.services.world import World
from loyalty.storage.programs import create_program
from tenancy.provisioning import NewTenant, insert_tenant

NAME_MAX_LENGTH = 120


async def provision_tenant(
    world: World, *, name: str, currency: str, time_zone: str, locale: str, sandbox: bool = False
) -> NewTenant:
    """Create a tenant and its program; a sandbox can advance its own clock. InvalidInput names every wrong field."""
    refuse_problems(
        [
            check_text(name, ("name",), NAME_MAX_LENGTH),
            None if is_currency(currency) else Problem(("currency",), "must be an ISO 4217 currency code"),
            None if is_time_zone(time_zone) else Problem(("time_zone",), "must be the name of an IANA time zone"),
            None if is_locale(locale) else Problem(("locale",), "must be a language tag such as de-AT"),
        ],
    )
    tenant = NewTenant(TenantId(uuid7()), name, currency, time_zone, locale, sandbox)
    now = world.clock()
    async with world.database.tenant_transaction(tenant.tenant_id) as tx:
        await insert_tenant(tx, tenant, now)
        await create_program(tx, default_settings(currency), now, "provisioning")
    return tenant
