"""What the platform does with tenants: create one with its first program, suspend, resume, close, entitle, limit it."""

from collections.abc import Sequence

from uuid_utils.compat import uuid7

from loyalty.rules.budget import BudgetLimits, check_limits
from loyalty.rules.errors import NotFound, Problem, TenantClosed, refuse_problems
from loyalty.rules.ids import TenantId
from loyalty.rules.money import is_currency
from loyalty.rules.origins import check_origins
from loyalty.rules.program import default_settings
from loyalty.rules.text import check_text
from loyalty.rules.zones import is_locale, is_time_zone
from loyalty.services.world import World
from loyalty.storage.programs import create_program
from tenancy.database import Transaction
from tenancy.provisioning import (
    ListedTenant,
    NewTenant,
    insert_tenant,
    read_listed_tenant,
    set_budget,
    set_entitlement,
    set_tenant_state,
)
from tenancy.tables import ACTIVE, CLOSED, SUSPENDED

NAME_MAX_LENGTH = 120


async def provision_tenant(
    world: World,
    *,
    name: str,
    currency: str,
    time_zone: str,
    locale: str,
    sandbox: bool = False,
    allowed_origins: Sequence[str] = (),
    loyalty_entitled: bool = True,
) -> NewTenant:
    """Create a tenant and its program; a sandbox can advance its own clock. InvalidInput names every wrong field."""
    origins, wrong_origins = check_origins(allowed_origins, ("allowed_origins",))
    refuse_problems(
        [
            check_text(name, ("name",), NAME_MAX_LENGTH),
            None if is_currency(currency) else Problem(("currency",), "must be an ISO 4217 currency code"),
            None if is_time_zone(time_zone) else Problem(("time_zone",), "must be the name of an IANA time zone"),
            None if is_locale(locale) else Problem(("locale",), "must be a language tag such as de-AT"),
            *wrong_origins,
        ],
    )
    tenant = NewTenant(TenantId(uuid7()), name, currency, time_zone, locale, sandbox, tuple(origins), loyalty_entitled)
    now = world.clock()
    async with world.database.tenant_transaction(tenant.tenant_id) as tx:
        await insert_tenant(tx, tenant, now)
        await create_program(tx, default_settings(currency), now, "provisioning")
    return tenant


async def suspend_tenant(world: World, tenant_id: TenantId) -> ListedTenant:
    """Refuse every credential of a tenant from now on; suspending twice is no error.

    Only access stops. Points mature and expire on their dates, and holds end in time, as customers were told.
    Refusals: NotFound, TenantClosed.
    """
    return await _set_state(world, tenant_id, SUSPENDED)


async def resume_tenant(world: World, tenant_id: TenantId) -> ListedTenant:
    """Let the credentials of a suspended tenant work again, all that still stand.

    Refusals: NotFound, TenantClosed.
    """
    return await _set_state(world, tenant_id, ACTIVE)


async def close_tenant(world: World, tenant_id: TenantId) -> ListedTenant:
    """Refuse every credential of a tenant for good; closing twice is no error. What it holds is kept.

    Refusal: NotFound.
    """
    async with world.database.tenant_transaction(tenant_id) as tx:
        await set_tenant_state(tx, CLOSED)
        return await _find(tx)


async def entitle_tenant(world: World, tenant_id: TenantId, *, loyalty: bool) -> ListedTenant:
    """Grant the loyalty module to a tenant, or take it back.

    Without it everything but credentials is refused; the tenant's own switch stays as it is, and so does what the
    tenant holds. Refusals: NotFound, TenantClosed.
    """
    async with world.database.tenant_transaction(tenant_id) as tx:
        await set_entitlement(tx, entitled=loyalty)
        return await _find_open(tx)


async def limit_tenant(world: World, tenant_id: TenantId, limits: BudgetLimits | None) -> ListedTenant:
    """Give a tenant a budget of its own, or with None that of the settings. Servers know of it within seconds.

    Refusals: NotFound, TenantClosed, InvalidInput.
    """
    if limits is not None:
        refuse_problems(check_limits(limits))
    async with world.database.tenant_transaction(tenant_id) as tx:
        await set_budget(tx, *(limits or (None, None)))
        return await _find_open(tx)


async def _set_state(world: World, tenant_id: TenantId, state: str) -> ListedTenant:
    async with world.database.tenant_transaction(tenant_id) as tx:
        await set_tenant_state(tx, state)
        return await _find_open(tx)


async def _find_open(tx: Transaction) -> ListedTenant:
    tenant = await _find(tx)
    if tenant.state == CLOSED:
        raise TenantClosed
    return tenant


async def _find(tx: Transaction) -> ListedTenant:
    tenant = await read_listed_tenant(tx)
    if tenant is None:
        raise NotFound("tenant")
    return tenant
