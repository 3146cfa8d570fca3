"""A tenant's own identity providers: staff sign in with their tokens, and their claims stand for roles."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.absent import ABSENT, Given, choose_given_or_known
from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.errors import InvalidInput, LimitReached, NotFound, Problem, refuse_problems
from loyalty.rules.ids import TenantId
from loyalty.rules.provider_url import check_provider_url
from loyalty.rules.text import check_text
from loyalty.services.audit import note_changes
from loyalty.services.client_secret import CLIENT_SECRET_MAX_LENGTH, seal_client_secret
from loyalty.services.credential import lock_credentials
from loyalty.services.program import lock_program_in_force
from loyalty.services.world import World
from loyalty.storage.oidc_issuers import (
    OidcIssuerRow,
    change_issuer,
    claim_pair,
    has_issuer,
    hash_of_pair,
    insert_issuer,
    list_issuers,
    read_issuer_of_pair,
    read_issuers,
    read_issuers_by_id,
    remove_issuer,
)
from loyalty.storage.roles import read_held_roles
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import check_role, require, require_person
from permissions.roles import BUILT_IN_ROLES, TeamRole
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

MAX_ISSUERS = 5
MAX_ROLE_VALUES = 50
AUDIENCE_MAX_LENGTH = 255
CLAIM_MAX_LENGTH = 120
VALUE_MAX_LENGTH = 255


_OF_ANOTHER_TENANT = "is used with this issuer by another tenant; register an application of your own at the provider"
_OF_CLIENT = "is or was the signInClientId of another provider of yours with this issuer; register another application"


class RoleValue(NamedTuple):
    """A value of the provider's claim, and its role: a built-in role, or the id of a role of the tenant.

    ``path`` names the field of the role in a refusal.
    """

    value: str
    role: TeamRole | UUID
    path: str = "role"

    @property
    def role_id(self) -> UUID:
        """The id of the role."""
        return BUILT_IN_ROLES[self.role].id if isinstance(self.role, TeamRole) else self.role


class OidcIssuerRequest(NamedTuple):
    """A provider as a person of the team sets it."""

    issuer: str
    audience: str
    role_claim: str
    roles: Sequence[RoleValue]
    client_id: Given[str | None] = ABSENT
    """The tenant's application for sign-in with a browser. Absent keeps it, None switches that sign-in off."""
    client_secret: Given[str | None] = ABSENT
    """The application's secret.

    Absent keeps it if the application stays the same. None is for an application without a secret.
    """


class FoundIssuer(NamedTuple):
    """A provider, and the only tenant that has set it."""

    tenant_id: TenantId
    row: OidcIssuerRow


async def set_oidc_issuer(world: World, actor: Actor, request: OidcIssuerRequest) -> OidcIssuerRow:
    """Set a provider, or change the mapping of a known one.

    Only a person may: a provider set by a token would outlive it. Nobody may map a value to a role with rights that
    they lack. An issuer and audience belong to one tenant, even after it removed them. Refusals: InvalidInput, NotFound
    (role), LimitReached.
    """
    require_person(actor, Permission.TOKENS_MANAGE)
    refuse_problems(_find_problems(world, request))
    now = world.clock()
    row = OidcIssuerRow(
        id=uuid7(),
        issuer=request.issuer,
        audience=request.audience,
        role_claim=request.role_claim,
        roles=[_build_stored_role(one) for one in request.roles],
        version=1,
        created_at=now,
        changed_at=now,
        changed_by=actor.subject,
        made_with=actor.credential,
        removed_at=None,
    )

    async def work() -> OidcIssuerRow:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            by = await lock_credentials(tx, actor, now)
            await _check_roles(tx, by, request.roles)
            before = await read_issuer_of_pair(tx, row.issuer, row.audience)
            await _check_count(tx, before)
            # A secret is sealed with the id of its provider, so the id is chosen first.
            named = row if before else await _claim_audience(world, tx, row)
            with_client = _add_client(world, actor.tenant_id, request, before, named)
            kept = await _keep(world, tx, before, with_client)
            await _claim_client(world, tx, kept)
            await note_changes(tx, actor, now, [_describe_change(before, kept)])
            return kept

    return await retry_transaction(work)


async def remove_oidc_issuer(world: World, actor: Actor, issuer_id: UUID) -> OidcIssuerRow:
    """Remove a provider: its tokens are refused from now on, and the secret of its application is deleted.

    A second call changes nothing. Refusal: NotFound.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await lock_program_in_force(tx, even_when_off=True)
        now = world.clock()
        before = await read_issuers_by_id(tx, [issuer_id])
        row = await remove_issuer(tx, issuer_id, now)
        if row is None:
            raise NotFound("OIDC issuer", ("id",))
        await note_changes(tx, actor, now, [_describe_change(before.get(issuer_id, row), row)])
    return row


async def remove_issuers_made_with(tx: Transaction, by: Actor, credential: str, now: datetime) -> None:
    """Remove the providers that a credential has set. The credential has just been revoked."""
    for before in [one for one in await read_issuers(tx) if one.made_with == credential]:
        row = await remove_issuer(tx, before.id, now)
        if row is not None:
            await note_changes(tx, by, now, [_describe_change(before, row)])


async def page_oidc_issuers(world: World, actor: Actor, _: None, window: Window[TimePlace]) -> list[OidcIssuerRow]:
    """Return a page of the tenant's providers, oldest first."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    rows = await list_issuers().read(world.database.reading(actor.tenant_id), window)
    return [OidcIssuerRow._make(row) for row in rows]


async def count_oidc_issuers(world: World, actor: Actor, _: None) -> int:
    """Return the number of the tenant's providers."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    return await list_issuers().count(world.database.reading(actor.tenant_id))


async def load_oidc_issuers(world: World, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, OidcIssuerRow]:
    """Return the providers among ``ids``."""
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    return await read_issuers_by_id(world.database.reading(actor.tenant_id), ids)


async def find_oidc_issuer(world: World, issuer: str, audience: str) -> FoundIssuer | None:
    """Return the provider with this issuer and audience; None if no tenant has set it, or it was removed.

    It is called before the caller is known. It looks up one hash in the directory, and then reads within that tenant.
    """
    found = await world.database.tenant_of_token(hash_of_pair(issuer, audience))
    if found is None:
        return None
    tenant_id, issuer_id = found
    row = (await read_issuers_by_id(world.database.reading(tenant_id), [issuer_id])).get(issuer_id)
    return None if row is None else FoundIssuer(tenant_id, row)


async def find_provider(world: World, tenant_id: TenantId, issuer_id: UUID) -> FoundIssuer | None:
    """Return the provider with this id, if staff may sign in there with a browser; else None.

    It is called before the caller is known: the address of the sign-in has both ids.
    """
    row = (await read_issuers_by_id(world.database.reading(tenant_id), [issuer_id])).get(issuer_id)
    return FoundIssuer(tenant_id, row) if row is not None and row.client_id is not None else None


def _add_client(
    world: World, tenant_id: TenantId, request: OidcIssuerRequest, known: OidcIssuerRow | None, row: OidcIssuerRow
) -> OidcIssuerRow:
    """Return the row with the tenant's application at the provider.

    A secret belongs to one application, and goes with it. Refusal: InvalidInput.
    """
    known_id = known.client_id if known else None
    client_id = choose_given_or_known(request.client_id, known_id)
    secret: bytes | None = None
    if isinstance(request.client_secret, str):
        if client_id is None:
            raise InvalidInput.one("sign_in_client_secret", reason="must come with a signInClientId")
        secret = seal_client_secret(world, tenant_id, known.id if known else row.id, request.client_secret)
    elif request.client_secret is ABSENT and known is not None and client_id == known_id:
        secret = known.client_secret
    return row._replace(client_id=client_id, client_secret=secret)


async def _claim_client(world: World, tx: Transaction, row: OidcIssuerRow) -> None:
    """Claim the issuer and client id for the tenant, as an issuer and audience are claimed. Refusal: InvalidInput."""
    if row.client_id is None or row.client_id == row.audience:
        return
    claimed = await _claim(world, tx, "sign_in_client_id", row.issuer, row.client_id, row.id)
    if await claim_pair(tx, row.issuer, row.client_id, claimed):
        return
    if not await _leads_to_tenant(world, tx, row.issuer, row.client_id):
        raise InvalidInput.one("sign_in_client_id", reason=_OF_ANOTHER_TENANT)


async def _claim(world: World, tx: Transaction, field: str, issuer: str, audience: str, issuer_id: UUID) -> UUID:
    """Return the provider's id for an issuer and audience, the same in all clusters. Raises InvalidInput at ``field``.

    It differs from ``issuer_id`` if an earlier call of this tenant has claimed them.
    """
    claimed = await world.database.claim(tx.tenant_id, hash_of_pair(issuer, audience), issuer_id)
    if claimed is None:
        raise InvalidInput.one(field, reason=_OF_ANOTHER_TENANT)
    return claimed


async def _leads_to_tenant(world: World, tx: Transaction, issuer: str, audience: str) -> bool:
    """Tell whether an issuer and audience belong to the tenant of the transaction."""
    found = await world.database.tenant_of_token(hash_of_pair(issuer, audience))
    return found is not None and found[0] == tx.tenant_id


def _describe_change(before: OidcIssuerRow | None, after: OidcIssuerRow) -> AuditedChange:
    """Return the change of a provider for the audit log."""
    states = (None if row is None else _show_issuer(row) for row in (before, after))
    return AuditedChange(AuditSubject.OIDC_ISSUER, str(after.id), after.issuer, *states)


def _show_issuer(row: OidcIssuerRow) -> dict[str, Any]:
    """Return the state of a provider that the audit log keeps. The secret is not shown, only whether there is one."""
    shown = ("issuer", "audience", "role_claim", "made_with", "removed_at")
    roles = [f"{one['value']}: {one.get('role') or one['role_id']}" for one in row.roles]
    told = {name: getattr(row, name) for name in shown}
    # Named as `OidcIssuer` names them.
    client = {"sign_in_client_id": row.client_id, "has_sign_in_client_secret": row.client_secret is not None}
    return {**told, **client, "roles": roles}


async def _check_count(tx: Transaction, known: OidcIssuerRow | None) -> None:
    """Raise LimitReached if one more provider would be in force."""
    is_new = known is None or known.removed_at is not None
    if is_new and len(await read_issuers(tx)) >= MAX_ISSUERS:
        raise LimitReached("OIDC issuers", MAX_ISSUERS)


async def _claim_audience(world: World, tx: Transaction, row: OidcIssuerRow) -> OidcIssuerRow:
    """Return a new provider with the id that belongs to its issuer and audience in all clusters.

    Refusal: InvalidInput.
    """
    claimed = await _claim(world, tx, "audience", row.issuer, row.audience, row.id)
    if claimed != row.id and await has_issuer(tx, claimed):
        raise InvalidInput.one("audience", reason=_OF_CLIENT)
    return row._replace(id=claimed)


async def _keep(world: World, tx: Transaction, known: OidcIssuerRow | None, row: OidcIssuerRow) -> OidcIssuerRow:
    """Write a provider: change the ``known`` one, or insert a new one. Refusal: InvalidInput.

    It refuses an issuer and audience that another provider has already.
    """
    if known is not None:
        return await change_issuer(tx, known.id, row)
    if not await insert_issuer(tx, row):
        is_own = await _leads_to_tenant(world, tx, row.issuer, row.audience)
        raise InvalidInput.one("audience", reason=_OF_CLIENT if is_own else _OF_ANOTHER_TENANT)
    return row


def _build_stored_role(one: RoleValue) -> dict[str, str]:
    """Return a value of the claim and its role in stored form."""
    named = {"role": one.role.name} if isinstance(one.role, TeamRole) else {"role_id": str(one.role)}
    return {"value": one.value, **named}


async def _check_roles(tx: Transaction, by: Actor, mapped: Sequence[RoleValue]) -> None:
    """Refuse to map a value to a role with rights that the person lacks. Refusals: InvalidInput, NotFound (role)."""
    held = await read_held_roles(tx, [one.role_id for one in mapped])
    problems: list[Problem | None] = []
    for index, one in enumerate(mapped):
        path = ("roles", str(index), one.path)
        if one.role_id not in held:
            raise NotFound("role", path)
        problems.append(check_role(by, held[one.role_id], path))
    refuse_problems(problems)


def _find_problems(world: World, request: OidcIssuerRequest) -> list[Problem | None]:
    """Return the problems of a request to set a provider, without a look at the database.

    None stands for a check that found nothing. `refuse_problems` leaves it out.
    """
    problems = [
        check_provider_url(request.issuer, ("issuer",), private=world.private_providers),
        check_text(request.audience, ("audience",), AUDIENCE_MAX_LENGTH),
        check_text(request.role_claim, ("role_claim",), CLAIM_MAX_LENGTH),
        *_find_client_problems(request),
    ]
    if not 1 <= len(request.roles) <= MAX_ROLE_VALUES:
        return [*problems, Problem(("roles",), f"must have 1 to {MAX_ROLE_VALUES} entries")]
    seen: set[str] = set()
    for index, one in enumerate(request.roles):
        place = ("roles", str(index))
        problems.append(check_text(one.value, (*place, "value"), VALUE_MAX_LENGTH))
        if one.value in seen:
            problems.append(Problem((*place, "value"), "must not be there twice"))
        seen.add(one.value)
    return problems


def _find_client_problems(request: OidcIssuerRequest) -> list[Problem | None]:
    """Return the problems of the application in a request; None stands for a check that found nothing."""
    problems: list[Problem | None] = []
    if isinstance(request.client_id, str):
        problems.append(check_text(request.client_id, ("sign_in_client_id",), AUDIENCE_MAX_LENGTH))
    secret = request.client_secret
    if isinstance(secret, str):
        problems.append(check_text(secret, ("sign_in_client_secret",), CLIENT_SECRET_MAX_LENGTH))
        if not (secret.isascii() and secret.isprintable()):
            problems.append(Problem(("sign_in_client_secret",), "must hold printable ASCII only"))
    return problems
