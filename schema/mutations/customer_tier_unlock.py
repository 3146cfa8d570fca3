"""``customerTierUnlock``: give a customer's tier back to the rules."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.tier_lock import unlock_tier
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.customer import Customer, CustomerBy, customer_key


@strawberry.input(description="The customer whose tier the rules take over again.")
class CustomerTierUnlockInput:
    customer: CustomerBy = strawberry.field(description="The customer.")


@strawberry.type(description="The customer in the tier that the points reach.")
class CustomerTierUnlockPayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer.")


@guarded(
    Permission.LOYALTY_ADJUST,
    description="Give a tier that was set by hand back to the rules; nothing happens where they have it.",
)
async def customer_tier_unlock(
    info: Info,
    input: Annotated[CustomerTierUnlockInput, strawberry.argument(description="The customer whose tier to unlock.")],  # noqa: A002
) -> CustomerTierUnlockPayload:
    """Unlock a customer's tier in one transaction."""

    async def work() -> Mapping[str, Any]:
        customer = customer_key(input.customer, "customer")
        found = await unlock_tier(info.context.world, info.context.actor, customer)
        info.context.loaders.clear()
        return {"customer": found}

    return await answer_mutation(CustomerTierUnlockPayload, work)
