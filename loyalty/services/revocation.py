"""Revoke signed tokens: a single one, or all of a person or customer."""

from collections.abc import Sequence
from datetime import datetime

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.errors import NotFound, refuse_problems
from loyalty.rules.ids import TenantId, TokenId
from loyalty.rules.text import check_text
from loyalty.services.audit import note_changes
from loyalty.services.credential import end_made_credentials
from loyalty.services.customer import CustomerKey, resolve_customer
from loyalty.services.customer_lookup import limit_lookups
from loyalty.services.oidc_issuer import remove_issuers_made_with
from loyalty.services.program import lock_program_in_force
from loyalty.services.world import World
from loyalty.storage.api_tokens import ApiTokenRow, read_api_tokens_by_id
from loyalty.storage.credentials import Revocation, read_standing, revoke_signed
from permissions.actor import Actor, subject_of_token, system_actor
from permissions.catalog import Permission
from permissions.policy import allows, require
from tenancy.database import Transaction

NAME_MAX_LENGTH = 255
"""The most characters of a subject, or of the id of a signed token."""


async def revoke_signed_token(world: World, tenant_id: TenantId, token_id: str, revoked_by: str) -> list[ApiTokenRow]:
    """End one signed token, with the customer tokens, API tokens and OIDC issuers that it made. Return the API tokens.

    It is for operators, so no permission is checked. Refusals: InvalidInput, NotFound (tenant).
    """
    refuse_problems([check_text(token_id, ("id",), NAME_MAX_LENGTH)])
    async with world.database.tenant_transaction(tenant_id) as tx:
        await lock_program_in_force(tx, even_when_off=True)
        now = world.clock()
        by = system_actor(tenant_id, revoked_by)
        await _revoke(tx, by, Revocation("TOKEN", token_id), now)
        await remove_issuers_made_with(tx, by, f"jwt:{token_id}", now)
        return await end_made_credentials(tx, by, f"jwt:{token_id}", now)


async def revoke_subject(world: World, tenant_id: TenantId, subject: str, revoked_by: str) -> datetime:
    """End all signed tokens of a subject that were issued until now, and the customer tokens that these made.

    API tokens stay: they belong to the tenant. A person who signs in again gets a valid token, after a second at the
    latest. It is for operators, so no permission is checked. Refusals: InvalidInput, NotFound (tenant).
    """
    refuse_problems([check_text(subject, ("subject",), NAME_MAX_LENGTH)])
    return await _revoke_subjects(world, system_actor(tenant_id, revoked_by), [subject])


async def revoke_tokens_of_subject(world: World, actor: Actor, subject: str) -> datetime:
    """End all signed tokens of a person of the team, who is named by their subject.

    Return the time: all tokens that were issued until then have ended. Refusal: InvalidInput.
    """
    require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    refuse_problems([check_text(subject, ("of", "subject"), NAME_MAX_LENGTH)])
    return await _revoke_subjects(world, actor, [subject])


async def revoke_tokens_made_by(world: World, actor: Actor, token_id: TokenId) -> datetime:
    """End all customer tokens that an API token made. The API token stays and can make new ones. Return the time.

    A system may do so for its own token. Refusal: NotFound (API token).
    """
    is_own = actor.token_id == token_id and allows(actor, Permission.CUSTOMERS_SIGN_IN)
    if not is_own:
        require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
    if token_id not in await read_api_tokens_by_id(world.database.reading(actor.tenant_id), [token_id]):
        raise NotFound("API token", ("of", "api_token"))
    return await _revoke_subjects(world, actor, [subject_of_token(token_id)])


async def revoke_tokens_of_customer(world: World, actor: Actor, customer: CustomerKey) -> datetime:
    """End all signed tokens of a customer. Return the time.

    An actor who may sign customers in may do so. An actor who manages tokens must be able to read customers, too.
    Refusals: NotFound, AmbiguousCustomer.
    """
    if not allows(actor, Permission.CUSTOMERS_SIGN_IN):
        require(actor, Permission.TOKENS_MANAGE, even_when_off=True)
        require(actor, Permission.LOYALTY_READ, even_when_off=True)
    path = ("of", "customer")
    async with (
        limit_lookups(world, actor, customer.name_shared_key(), *path),
        world.database.tenant_transaction(actor.tenant_id) as tx,
    ):
        customer_id = await resolve_customer(tx, customer, *path)
        standing = await read_standing(tx, customer_id=customer_id)
    # A token names the customer at its making, who may have been merged since.
    former = standing.former_ids if standing else frozenset()
    return await _revoke_subjects(world, actor, [str(one) for one in (customer_id, *former)])


async def _revoke_subjects(world: World, by: Actor, subjects: Sequence[str]) -> datetime:
    """End all signed tokens of subjects, in one transaction. Return the time."""
    async with world.database.tenant_transaction(by.tenant_id) as tx:
        await lock_program_in_force(tx, even_when_off=True)
        now = world.clock()
        for subject in subjects:
            await revoke_tokens_in(tx, by, subject, now)
    return now


async def revoke_tokens_in(tx: Transaction, by: Actor, subject: str, now: datetime) -> None:
    """End all signed tokens of a subject that were issued until now, within a larger transaction."""
    await _revoke(tx, by, Revocation("SUBJECT", subject), now)


async def _revoke(tx: Transaction, by: Actor, revocation: Revocation, now: datetime) -> None:
    """Write a revocation, and note it in the audit log."""
    await revoke_signed(tx, revocation, now, by.subject)
    before, after = ({"of": revocation.scope, "revoked_until": moment} for moment in (None, now))
    change = AuditedChange(AuditSubject.SIGNED_TOKENS, revocation.name, revocation.name, before, after)
    await note_changes(tx, by, now, [change])
