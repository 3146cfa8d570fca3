"""Tokens for a customer's own app: they give no more than their maker may give, and end with their maker."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.rules.errors import CustomerIsArchived, InvalidInput, Problem, refuse_problems
from loyalty.rules.ids import CustomerId
from loyalty.services.creation import call_once
from loyalty.services.customer import CustomerKey, choose_customer_to_sign_in
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import lock_program_in_force
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow
from permissions.actor import Actor
from permissions.catalog import NEEDED_TO_GRANT, SELF_PERMISSIONS, Permission, join_names
from permissions.policy import require
from tenancy.retry import retry_transaction

MAX_LIFETIME_MINUTES = 24 * 60
OPERATION = "customerTokenCreate"
SHORTEST = timedelta(seconds=1)
"""The shortest lifetime: signed tokens count whole seconds."""


class CustomerTokenRequest(NamedTuple):
    """A customer token as its maker asks for it. Permissions of None mean all that the maker may give."""

    customer: CustomerKey
    lifetime_minutes: int
    permissions: frozenset[Permission] | None = None
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        permissions = None if self.permissions is None else sorted(self.permissions)
        return fingerprint([self.customer.identity(), self.lifetime_minutes, permissions])


class CustomerGrant(NamedTuple):
    """The content of a customer token. It ends at ``ends_by`` at the latest.

    For a call with an idempotency key, ``id`` is the id of the token and ``issued_at`` is its beginning, so that a
    retry gets the same token. For other calls both are None.
    """

    customer: CustomerRow
    customer_id: CustomerId
    permissions: frozenset[Permission]
    lifetime: timedelta
    ends_by: datetime | None
    id: UUID | None = None
    issued_at: datetime | None = None
    replayed: bool = False

    def ended_at(self, now: datetime) -> datetime | None:
        """Return when the token of a first call ended; None if it is still valid.

        A call without an idempotency key always gets None.
        """
        if self.issued_at is None:
            return None
        end = self.issued_at + self.lifetime
        end = min(end, self.ends_by) if self.ends_by else end
        return end if end - now < SHORTEST else None


async def grant_customer_token(world: World, actor: Actor, request: CustomerTokenRequest) -> CustomerGrant:
    """Decide on the permissions and the end of a customer token. Only an idempotency key is written.

    Refusals: InvalidInput, NotFound (customer), AmbiguousCustomer, CustomerIsArchived, IdempotencyConflict.
    """
    require(actor, Permission.CUSTOMERS_SIGN_IN)
    if not 1 <= request.lifetime_minutes <= MAX_LIFETIME_MINUTES:
        raise InvalidInput.one("lifetime_minutes", reason=f"must be between 1 and {MAX_LIFETIME_MINUTES}")
    permissions = request.permissions
    if permissions is None:
        permissions = list_grantable_permissions(actor)
    refuse_problems([_check_permissions(actor, permissions)])
    if actor.expires_at is not None and actor.expires_at - world.clock() < SHORTEST:
        raise InvalidInput.one("lifetime_minutes", reason="must end with your own credential, which ends now")
    found = await choose_customer_to_sign_in(world, actor, request.customer, "customer")
    if found.archived_at is not None:
        raise CustomerIsArchived(found.archived_at)
    token_id, replayed = await _choose_token_id(world, actor, request)
    return CustomerGrant(
        found,
        found.id,
        permissions,
        timedelta(minutes=request.lifetime_minutes),
        ends_by=actor.expires_at,
        id=token_id,
        issued_at=_read_moment(token_id) if token_id else None,
        replayed=replayed,
    )


async def _choose_token_id(world: World, actor: Actor, request: CustomerTokenRequest) -> tuple[UUID | None, bool]:
    """Return the id of the token, and whether it is the id of an earlier call with the same idempotency key.

    The id is None for a call without a key.
    """
    once, token_id = call_once(actor, request.idempotency_key, OPERATION, request.fingerprint()), uuid7()
    if once.call is None:
        return None, False

    async def find_or_keep() -> tuple[UUID, bool]:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await lock_program_in_force(tx)
            made = await once.find_made(tx)
            if made is not None:
                return made, True
            await once.keep(tx, token_id, world.clock())
        return token_id, False

    return await retry_transaction(find_or_keep)


def _read_moment(token_id: UUID) -> datetime:
    """Return when an id was made: the first 48 bits of a UUIDv7 are Unix milliseconds (RFC 9562, 5.7)."""
    return datetime.fromtimestamp((token_id.int >> 80) / 1_000, UTC)


def list_grantable_permissions(actor: Actor) -> frozenset[Permission]:
    """Return the permissions that the actor may give to a customer."""
    return frozenset(given for given, needed in NEEDED_TO_GRANT.items() if needed in actor.permissions)


def _check_permissions(actor: Actor, permissions: frozenset[Permission]) -> Problem | None:
    """Return why the actor must not give these permissions to a customer; None if it may."""
    path = ("permissions",)
    if not permissions:
        return Problem(path, "must name at least one permission")
    if strange := permissions - SELF_PERMISSIONS:
        return Problem(path, f"must be for customers; {join_names(strange)} is not")
    if beyond := permissions - list_grantable_permissions(actor):
        needed = join_names(NEEDED_TO_GRANT[permission] for permission in beyond)
        return Problem(path, f"must not go beyond your own; you lack {needed}")
    return None
