"""Credentials for a customer's own app: they give what their maker holds, and end with their maker."""

from datetime import datetime, timedelta
from typing import NamedTuple

from loyalty.rules.errors import InvalidInput, NotFound, Problem, refuse_problems
from loyalty.rules.ids import CustomerId
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow
from permissions.actor import Actor
from permissions.catalog import NEEDED_TO_GRANT, SELF_PERMISSIONS, Permission, join_names
from permissions.policy import require

MAX_LIFETIME_MINUTES = 24 * 60
SHORTEST = timedelta(seconds=1)
"""Signed tokens count whole seconds."""


class CustomerTokenRequest(NamedTuple):
    """A customer token as its maker asks for it; None for the permissions is all that the maker may give."""

    customer: CustomerKey
    lifetime_minutes: int
    permissions: frozenset[Permission] | None = None


class CustomerGrant(NamedTuple):
    """What a customer token will say; it ends at ``ends_by`` at the latest."""

    customer: CustomerRow
    customer_id: CustomerId
    permissions: frozenset[Permission]
    lifetime: timedelta
    ends_by: datetime | None


async def grant_customer_token(world: World, actor: Actor, request: CustomerTokenRequest) -> CustomerGrant:
    """Decide what a customer token may do, and until when; nothing is written.

    Refusals: InvalidInput, NotFound (customer), AmbiguousCustomer.
    """
    require(actor, Permission.CUSTOMERS_SIGN_IN)
    require(actor, Permission.LOYALTY_READ)
    if not 1 <= request.lifetime_minutes <= MAX_LIFETIME_MINUTES:
        raise InvalidInput.one("lifetime_minutes", reason=f"must be between 1 and {MAX_LIFETIME_MINUTES}")
    permissions = request.permissions
    if permissions is None:
        permissions = grantable(actor)
    refuse_problems([_problem_of_permissions(actor, permissions)])
    if actor.expires_at is not None and actor.expires_at - world.clock() < SHORTEST:
        raise InvalidInput.one("lifetime_minutes", reason="must end with your own credential, which ends now")
    found = await find_customer(world, actor, request.customer, "customer")
    if found is None:
        raise NotFound("customer", ("customer",))
    return CustomerGrant(
        found, found.id, permissions, timedelta(minutes=request.lifetime_minutes), ends_by=actor.expires_at
    )


def grantable(actor: Actor) -> frozenset[Permission]:
    """What the actor may give to a customer."""
    return frozenset(given for given, needed in NEEDED_TO_GRANT.items() if needed in actor.permissions)


def _problem_of_permissions(actor: Actor, permissions: frozenset[Permission]) -> Problem | None:
    path = ("permissions",)
    if not permissions:
        return Problem(path, "must name at least one permission")
    if strange := permissions - SELF_PERMISSIONS:
        return Problem(path, f"must be for customers; {join_names(strange)} is not")
    if beyond := permissions - grantable(actor):
        needed = join_names(NEEDED_TO_GRANT[permission] for permission in beyond)
        return Problem(path, f"must not go beyond your own; you lack {needed}")
    return None
