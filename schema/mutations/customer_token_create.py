"""``customerTokenCreate``: a short-lived credential for a customer's app."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from loyalty.services.customer_token import CustomerTokenRequest, grant_customer_token
from permissions.catalog import Permission, sort_permissions
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.types.customer import Customer, CustomerBy, customer_key

DEFAULT_LIFETIME_MINUTES = 60


@strawberry.input(description="For whom, and for how long.")
class CustomerTokenCreateInput:
    customer: CustomerBy = strawberry.field(description="The customer.")
    lifetime_minutes: int = strawberry.field(
        default=DEFAULT_LIFETIME_MINUTES, description="1 to 1,440 minutes; default 60."
    )
    permissions: list[Permission] | None = strawberry.field(
        default=None,
        description=(
            "What it may do: SELF_READ, and SELF_REDEEM where you hold REDEMPTIONS_MANAGE yourself. "
            "Left out or null: all of these that you may give."
        ),
    )
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="A bearer credential that sees this customer and nobody else.")
class CustomerTokenCreatePayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer.")
    token: str | None = strawberry.field(
        default=None,
        description="The bearer credential, a JWT. A retry gets the same one, and null when it has ended by now.",
    )
    permissions: list[Permission] | None = strawberry.field(default=None, description="What the token may do.")
    expires_at: datetime | None = strawberry.field(
        default=None,
        description="When it ends: after its lifetime, or with the credential that made it if that is sooner.",
    )
    replayed: bool | None = replayed_field()


@guarded(
    Permission.CUSTOMERS_SIGN_IN,
    description=(
        "Make a short-lived credential for a customer's own app. It ends at once when the credential that made it is "
        "revoked, or with signedTokensRevoke. To refresh it, make another one."
    ),
)
async def customer_token_create(
    info: Info,
    input: Annotated[CustomerTokenCreateInput, strawberry.argument(description="The customer who signs in.")],  # noqa: A002
) -> CustomerTokenCreatePayload:
    """Make a customer token, signed by the service's own issuer."""

    async def work() -> Mapping[str, Any]:
        actor = info.context.actor
        request = CustomerTokenRequest(
            customer_key(input.customer, "customer"),
            input.lifetime_minutes,
            None if input.permissions is None else frozenset(input.permissions),
            input.idempotency_key,
        )
        grant = await grant_customer_token(info.context.world, actor, request)
        token, expires_at = None, grant.ended_at(info.context.world.clock())
        if expires_at is None:
            token, expires_at = info.context.services.sign_customer_token(actor, grant)
        return {
            "customer": grant.customer,
            "token": token,
            "permissions": sort_permissions(grant.permissions),
            "expires_at": expires_at,
            "replayed": grant.replayed,
        }

    return await answer_mutation(CustomerTokenCreatePayload, work)
