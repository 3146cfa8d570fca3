"""``customerUnarchive``: bring an archived customer back."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.customer_archive import unarchive_customer
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.customer import Customer, CustomerBy, customer_key


@strawberry.input(description="Who comes back, and why.")
class CustomerUnarchiveInput:
    customer: CustomerBy = strawberry.field(description="The customer.")
    reason: str | None = strawberry.field(
        default=None, description="At most 500 characters, kept in the archive history for the team."
    )


@strawberry.type(description="The customer, not archived any more.")
class CustomerUnarchivePayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer.")


@guarded(
    Permission.PURCHASES_RECORD,
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Bring an archived customer back into lists and search, with access again. Nothing happens to "
    "one who is not archived.",
)
async def customer_unarchive(
    info: Info,
    input: Annotated[CustomerUnarchiveInput, strawberry.argument(description="Who comes back, and why.")],  # noqa: A002
) -> CustomerUnarchivePayload:
    """Bring a customer back in one transaction."""

    async def work() -> Mapping[str, Any]:
        customer = customer_key(input.customer, "customer")
        found = await unarchive_customer(info.context.world, info.context.actor, customer, input.reason)
        info.context.loaders.clear()
        return {"customer": found}

    return await answer_mutation(CustomerUnarchivePayload, work)
