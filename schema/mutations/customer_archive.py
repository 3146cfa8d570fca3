"""``customerArchive``: archive a customer."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.customer_archive import archive_customer
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.customer import Customer, CustomerBy, customer_key


@strawberry.input(description="Who is archived, and why.")
class CustomerArchiveInput:
    customer: CustomerBy = strawberry.field(description="The customer.")
    reason: str | None = strawberry.field(
        default=None, description="At most 500 characters, kept in the archive history for the team."
    )


@strawberry.type(description="The customer, archived.")
class CustomerArchivePayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer.")


@guarded(
    Permission.PURCHASES_RECORD,
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Archive a customer who does not come any more. Points and debt stay, and the customer is left "
    "out of lists and search and has no access. Nothing happens to one who is archived. Refused "
    "while points are set aside at a checkout: ACTIVE_HOLDS.",
)
async def customer_archive(
    info: Info,
    input: Annotated[CustomerArchiveInput, strawberry.argument(description="Who is archived, and why.")],  # noqa: A002
) -> CustomerArchivePayload:
    """Archive a customer in one transaction."""

    async def work() -> Mapping[str, Any]:
        customer = customer_key(input.customer, "customer")
        found = await archive_customer(info.context.world, info.context.actor, customer, input.reason)
        info.context.loaders.clear()
        return {"customer": found}

    return await answer_mutation(CustomerArchivePayload, work)
