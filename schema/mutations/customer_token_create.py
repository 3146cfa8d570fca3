"""``customerTokenCreate``: a short-lived credential for a customer's app."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.services.customer import find_customer
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answered
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.customer import Customer, CustomerBy, customer_key

DEFAULT_LIFETIME_MINUTES = 60
MAX_LIFETIME_MINUTES = 24 * 60


@strawberry.input(description="For whom, and for how long.")
class CustomerTokenCreateInput:
    customer: CustomerBy = strawberry.field(description="The customer.")
    lifetime_minutes: int = strawberry.field(
        default=DEFAULT_LIFETIME_MINUTES, description="1 to 1,440 minutes; default 60."
    )


@strawberry.type(description="A bearer credential that sees this customer and nobody else.")
class CustomerTokenCreatePayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer.")
    token: str | None = strawberry.field(default=None, description="The bearer credential, a JWT.")
    expires_at: datetime | None = strawberry.field(default=None, description="When it ends.")


@guarded(
    Permission.TOKENS_MANAGE,
    description="Make a short-lived credential for a customer's own app. It cannot be revoked, so keep it short.",
)
async def customer_token_create(
    info: Info,
    input: Annotated[CustomerTokenCreateInput, strawberry.argument(description="For whom.")],  # noqa: A002
) -> CustomerTokenCreatePayload:
    """Signed by the service's own issuer."""

    async def work() -> Mapping[str, Any]:
        if not 1 <= input.lifetime_minutes <= MAX_LIFETIME_MINUTES:
            raise InvalidInput.one("lifetime_minutes", reason=f"must be between 1 and {MAX_LIFETIME_MINUTES}")
        actor = info.context.actor
        found = await find_customer(info.context.world, actor, customer_key(input.customer, "customer"), "customer")
        if found is None:
            raise NotFound("customer", ("customer",))
        lifetime = timedelta(minutes=input.lifetime_minutes)
        token, expires_at = info.context.services.sign_customer_token(actor.tenant_id, found.id, lifetime)
        return {"customer": found, "token": token, "expires_at": expires_at}

    return await answered(CustomerTokenCreatePayload, work)
