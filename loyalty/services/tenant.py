"""Actions of the platform on tenants: create them with their first program, suspend, resume, close, entitle, limit.

Each action is written to the log of the platform, and to the audit log of the tenant.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from uuid_utils.compat import uuid7

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.budget import BudgetLimits, check_limits
from loyalty.rules.errors import (
    IdempotencyConflict,
    InvalidInput,
    LoyaltyError,
    NotFound,
    Problem,
    TenantClosed,
    refuse_problems,
)
from loyalty.rules.features import NEEDS, Feature, sort_features
from loyalty.rules.ids import TenantId
from loyalty.rules.money import is_currency
from loyalty.rules.origins import check_origins
from loyalty.rules.platform import MAX_TENANTS_AT_ONCE, OPERATOR, PlatformAction, PlatformActionKind, PlatformCaller
from loyalty.rules.program import default_settings
from loyalty.rules.text import check_external_id, check_text, is_storable, tidy_optional_id
from loyalty.rules.zones import is_locale, is_time_zone
from loyalty.services.audit import note_changes
from loyalty.services.fingerprint import fingerprint
from loyalty.services.platform_log import note_action
from loyalty.services.world import World
from loyalty.storage.programs import create_program
from permissions.actor import platform_actor
from tenancy.database import HOME, Transaction
from tenancy.platform import NamedTenant, name_tenant, read_named_tenant
from tenancy.provisioning import (
    KnownTenant,
    ListedTenant,
    NewTenant,
    find_least_cluster,
    insert_tenant,
    lock_listed_tenant,
    place_tenant,
    read_known_tenants,
    read_listed_tenant,
    set_budget,
    set_entitlement,
    set_tenant_state,
)
from tenancy.retry import retry_transaction
from tenancy.tables import ACTIVE, CLOSED, SUSPENDED

NAME_MAX_LENGTH = 120
CREATED_AT_ONCE = 8
"""The number of tenants of one call that are created at the same time."""


class TenantRequest(NamedTuple):
    """A business that joins the platform. ``external_id`` is its id in the platform's own system."""

    name: str
    currency: str
    time_zone: str
    locale: str = "en"
    sandbox: bool = False
    allowed_origins: Sequence[str] = ()
    loyalty_entitled: bool = True
    external_id: str | None = None


class CreatedTenant(NamedTuple):
    """A tenant, as it is now. ``replayed`` says that an earlier call had created it."""

    tenant: ListedTenant
    replayed: bool


class _ExternalIdTaken(Exception):
    """Another call has created the tenant with this external id."""

    def __init__(self, external_id: str) -> None:
        super().__init__(external_id)
        self.external_id = external_id


async def provision_tenant(  # noqa: PLR0913 - what a business says of itself
    world: World,
    *,
    name: str,
    currency: str,
    time_zone: str,
    locale: str,
    sandbox: bool = False,
    allowed_origins: Sequence[str] = (),
    loyalty_entitled: bool = True,
    cluster: str | None = None,
) -> NewTenant:
    """Create a tenant and its program. A sandbox can advance its own clock. Raises InvalidInput with every wrong field.

    The tenant lives in ``cluster``; without one, in the cluster with the fewest tenants.
    """
    request = TenantRequest(name, currency, time_zone, locale, sandbox, allowed_origins, loyalty_entitled)
    tenant = _check_request(request)
    if cluster is not None and cluster not in world.database.clusters:
        raise InvalidInput.one("cluster", reason=f"must be one of {', '.join(world.database.clusters)}")
    await _write_tenant(world, OPERATOR, request, tenant, cluster)
    return tenant


async def create_tenants(
    world: World, by: PlatformCaller, given: Sequence[TenantRequest | LoyaltyError]
) -> list[CreatedTenant | LoyaltyError]:
    """Create tenants. Returns one result for each request, in their order; a wrong one does not affect the others.

    A refusal in the place of a request that could not be read is its result. A request with an ``external_id`` is done
    once: a retry gets the tenant of the first call. Refusals of a request: InvalidInput, IdempotencyConflict (another
    request had this external id). Refusal of the call: InvalidInput.
    """
    if not 1 <= len(given) <= MAX_TENANTS_AT_ONCE:
        raise InvalidInput.one("tenants", reason=f"must have 1 to {MAX_TENANTS_AT_ONCE} entries")
    requests = [
        one._replace(external_id=tidy_optional_id(one.external_id)) if isinstance(one, TenantRequest) else one
        for one in given
    ]
    ids = [one.external_id for one in requests if isinstance(one, TenantRequest)]
    named = [one for one in ids if one is not None and is_storable(one)]
    known = await read_known_tenants(world.database, named)
    gate = asyncio.Semaphore(CREATED_AT_ONCE)

    async def create(place: int, request: TenantRequest | LoyaltyError) -> CreatedTenant | LoyaltyError:
        if isinstance(request, LoyaltyError):
            return request
        path = ("tenants", str(place))
        try:
            if request.external_id in known:
                return _replay(known[request.external_id], request, path)
            async with gate:
                return await create_tenant(world, by, request, path)
        except LoyaltyError as refusal:
            return refusal

    return list(await asyncio.gather(*(create(place, request) for place, request in enumerate(requests))))


async def create_tenant(
    world: World, by: PlatformCaller, request: TenantRequest, path: tuple[str, ...] = ()
) -> CreatedTenant:
    """Create a tenant, once for each external id. Refusals: InvalidInput, IdempotencyConflict, under ``path``."""
    tenant = _check_request(request, path)
    try:
        return CreatedTenant(await _write_tenant(world, by, request, tenant, None), replayed=False)
    except _ExternalIdTaken as taken:
        known = await read_known_tenants(world.database, [taken.external_id])
        if taken.external_id not in known:
            return await _finish_creation(world, by, request, path)
        return _replay(known[taken.external_id], request, path)


async def suspend_tenant(world: World, tenant_id: TenantId, by: PlatformCaller = OPERATOR) -> ListedTenant:
    """Refuse every credential of a tenant from now on. A second call changes nothing.

    Only access stops: points still mature and expire, and holds end in time, as customers were told. Refusals:
    NotFound, TenantClosed.
    """
    return await _change(
        world, tenant_id, by, PlatformActionKind.TENANT_SUSPENDED, lambda tx: set_tenant_state(tx, SUSPENDED)
    )


async def resume_tenant(world: World, tenant_id: TenantId, by: PlatformCaller = OPERATOR) -> ListedTenant:
    """Let the valid credentials of a suspended tenant work again. Refusals: NotFound, TenantClosed."""
    return await _change(
        world, tenant_id, by, PlatformActionKind.TENANT_RESUMED, lambda tx: set_tenant_state(tx, ACTIVE)
    )


async def close_tenant(world: World, tenant_id: TenantId, by: PlatformCaller = OPERATOR) -> ListedTenant:
    """Refuse every credential of a tenant for good. A second call changes nothing. The tenant's data is kept.

    Refusal: NotFound.
    """
    return await _change(
        world,
        tenant_id,
        by,
        PlatformActionKind.TENANT_CLOSED,
        lambda tx: set_tenant_state(tx, CLOSED),
        even_when_closed=True,
    )


async def entitle_tenant(
    world: World, tenant_id: TenantId, by: PlatformCaller = OPERATOR, *, loyalty: bool
) -> ListedTenant:
    """Grant the loyalty module to a tenant, or take it back.

    Without it everything but credentials is refused. The tenant's own switch and its data stay as they are. Refusals:
    NotFound, TenantClosed.
    """
    return await _change(
        world, tenant_id, by, PlatformActionKind.TENANT_ENTITLED, lambda tx: set_entitlement(tx, entitled=loyalty)
    )


async def limit_tenant(
    world: World, tenant_id: TenantId, limits: BudgetLimits | None, by: PlatformCaller = OPERATOR
) -> ListedTenant:
    """Give a tenant a budget of its own, or with None the budget of the settings. Servers learn of it within seconds.

    Refusals: NotFound, TenantClosed, InvalidInput.
    """
    if limits is not None:
        refuse_problems(check_limits(limits))
    return await _change(
        world, tenant_id, by, PlatformActionKind.TENANT_LIMITED, lambda tx: set_budget(tx, *(limits or (None, None)))
    )


async def note_export(world: World, tenant_id: TenantId, by: PlatformCaller = OPERATOR) -> ListedTenant:
    """Note an export of a tenant in the log of the platform and in its own audit log. Refusal: NotFound."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        tenant = await _lock(tx)
        now = world.clock()
        states = {"exported_at": None}, {"exported_at": now}
        await note_tenant_action(
            tx, by, PlatformAction(PlatformActionKind.TENANT_EXPORTED, tenant.name, *states, tenant_id), now
        )
        return tenant


async def _change(
    world: World,
    tenant_id: TenantId,
    by: PlatformCaller,
    kind: PlatformActionKind,
    write: Callable[[Transaction], Awaitable[None]],
    *,
    even_when_closed: bool = False,
) -> ListedTenant:
    """Change a tenant, and write the difference to the logs. Without a difference nothing is written."""

    async def work() -> ListedTenant:
        async with world.database.tenant_transaction(tenant_id) as tx:
            before = await _lock(tx)
            if before.state == CLOSED and not even_when_closed:
                raise TenantClosed
            await write(tx)
            after = await _find(tx)
            if after != before:
                action = PlatformAction(kind, after.name, _show(before), _show(after), tenant_id)
                await note_tenant_action(tx, by, action, world.clock())
            return after

    after = await retry_transaction(work)
    return after._replace(cluster=await world.database.place_of(tenant_id))


async def note_tenant_action(tx: Transaction, by: PlatformCaller, action: PlatformAction, now: datetime) -> None:
    """Write an action to the log of the platform, and to the audit log of the tenant."""
    await note_action(tx, by, action, now)
    change = AuditedChange(AuditSubject.TENANT, str(tx.tenant_id), action.name, action.before, action.after)
    await note_changes(tx, platform_actor(tx.tenant_id, by.subject, by.name), now, [change])


def _show(tenant: ListedTenant) -> dict[str, object]:
    """Return the fields of a tenant that the logs show."""
    shown = ("state", "loyalty_entitled", "budget_points", "budget_per_second")
    return {name: getattr(tenant, name) for name in shown}


def _check_request(request: TenantRequest, path: tuple[str, ...] = ()) -> NewTenant:
    """Return the new tenant of a request. Raises InvalidInput with every wrong field under ``path``."""
    origins, wrong_origins = check_origins(request.allowed_origins, (*path, "allowed_origins"))
    refuse_problems(
        [
            check_text(request.name, (*path, "name"), NAME_MAX_LENGTH),
            _check_known(is_currency(request.currency), (*path, "currency"), "must be an ISO 4217 currency code"),
            _check_known(
                is_time_zone(request.time_zone), (*path, "time_zone"), "must be the name of an IANA time zone"
            ),
            _check_known(is_locale(request.locale), (*path, "locale"), "must be a language tag such as de-AT"),
            *wrong_origins,
            None if request.external_id is None else check_external_id(request.external_id, (*path, "external_id")),
        ],
    )
    return NewTenant(
        TenantId(uuid7()),
        request.name,
        request.currency,
        request.time_zone,
        request.locale,
        request.sandbox,
        tuple(origins),
        request.loyalty_entitled,
    )


def _check_known(known: bool, path: tuple[str, ...], reason: str) -> Problem | None:  # noqa: FBT001 - the result of a check
    """Return a problem with this reason, unless the value is known."""
    return None if known else Problem(path, reason)


async def _write_tenant(
    world: World, by: PlatformCaller, request: TenantRequest, tenant: NewTenant, cluster: str | None
) -> ListedTenant:
    """Choose the cluster of a tenant, and write its first rows there.

    If it is not the home cluster, the directory in the home cluster is written first. So the rows are never in a
    cluster that the directory does not name, even if the process stops in between.
    """
    place = cluster or await find_least_cluster(world.database)
    if place != HOME:
        async with world.database.tenant_transaction(tenant.tenant_id, wherever=True) as tx:
            await _reserve_external_id(tx, request)
            await place_tenant(tx, place)
    return (await _insert(world, by, request, tenant))._replace(cluster=place)


async def _reserve_external_id(tx: Transaction, request: TenantRequest) -> None:
    """Reserve the external id of a request for the tenant of the transaction. Raises _ExternalIdTaken."""
    if request.external_id is not None:
        known = NamedTenant(request.external_id, tx.tenant_id, _fingerprint(request))
        if not await name_tenant(tx, known):
            raise _ExternalIdTaken(request.external_id)


async def _insert(world: World, by: PlatformCaller, request: TenantRequest, tenant: NewTenant) -> ListedTenant:
    """Write the first rows of a tenant, in one transaction."""
    now = world.clock()
    features = [one.name for one in sort_features(NEEDS[Feature.LOYALTY])]
    async with world.database.tenant_transaction(tenant.tenant_id) as tx:
        await _reserve_external_id(tx, request)
        await insert_tenant(tx, tenant, features, now)
        await create_program(tx, default_settings(tenant.currency), now, "provisioning")
        made = tenant._asdict() | {"external_id": request.external_id}
        kind = PlatformActionKind.TENANT_CREATED
        await note_action(tx, by, PlatformAction(kind, tenant.name, None, made, tenant.tenant_id), now)
    return ListedTenant(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        state=ACTIVE,
        loyalty_entitled=tenant.loyalty_entitled,
        sandbox=tenant.sandbox,
        created_at=now,
        budget_points=None,
        budget_per_second=None,
        currency=tenant.currency,
        time_zone=tenant.time_zone,
        locale=tenant.locale,
        external_id=request.external_id,
    )


async def _finish_creation(
    world: World, by: PlatformCaller, request: TenantRequest, path: tuple[str, ...]
) -> CreatedTenant:
    """Finish an earlier call that had only chosen a cluster for its tenant. Refusal: as `_refuse_other`."""
    async with world.database.plain_transaction() as connection:
        named = await read_named_tenant(connection, str(request.external_id))
    _refuse_other(named.fingerprint, request, path)
    begun = _check_request(request, path)._replace(tenant_id=TenantId(named.tenant_id))
    place = await world.database.place_of(begun.tenant_id)
    return CreatedTenant((await _insert(world, by, request, begun))._replace(cluster=place), replayed=False)


def _replay(known: KnownTenant, request: TenantRequest, path: tuple[str, ...]) -> CreatedTenant:
    """Return the tenant that an earlier call with this external id created. Refusal: as `_refuse_other`."""
    _refuse_other(known.fingerprint, request, path)
    return CreatedTenant(known.tenant, replayed=True)


def _refuse_other(known: str, request: TenantRequest, path: tuple[str, ...]) -> None:
    """Raise IdempotencyConflict if the earlier call with this external id had another request."""
    if known != _fingerprint(request):
        raise IdempotencyConflict(str(request.external_id), (*path, "external_id"))


def _fingerprint(request: TenantRequest) -> str:
    """Return the fingerprint of a request, to compare it with a later request of the same external id."""
    return fingerprint(request._replace(allowed_origins=tuple(request.allowed_origins)))


async def _lock(tx: Transaction) -> ListedTenant:
    """Lock the tenant of the transaction, and return it. Refusal: NotFound."""
    tenant = await lock_listed_tenant(tx)
    if tenant is None:
        raise NotFound("tenant", ("id",))
    return tenant


async def _find(tx: Transaction) -> ListedTenant:
    """Return the tenant of the transaction. Refusal: NotFound."""
    tenant = await read_listed_tenant(tx)
    if tenant is None:
        raise NotFound("tenant", ("id",))
    return tenant
