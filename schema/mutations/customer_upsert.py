"""``customerUpsert``: create a customer, or change what is known about one."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import InvalidInput, LoyaltyError, Problem
from loyalty.rules.warning import WarningCode
from loyalty.services.profile import upsert_customers
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.mutations.purchase_record import PurchaseCustomerInput, profile_of
from schema.types.customer import Customer
from schema.types.warning import Warnings, shown_warnings, warnings_field


@strawberry.input(
    description="What is known about a customer. A field that is left out stays as it is known, null takes it away."
)
class CustomerUpsertInput(PurchaseCustomerInput):
    """The same fields as come with a purchase; a value that is none is refused here, as nothing else depends on it."""


@strawberry.type(description="The customer as they are known now.")
class CustomerUpsertPayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer.")
    warnings: Warnings = warnings_field()


@guarded(
    Permission.PURCHASES_RECORD,
    Permission.LOYALTY_MANAGE,
    description="Create a customer, or change what is known about one. Sent again, nothing changes.",
)
async def customer_upsert(
    info: Info,
    input: Annotated[CustomerUpsertInput, strawberry.argument(description="Who, and what is known.")],  # noqa: A002
) -> CustomerUpsertPayload:
    """One transaction."""

    async def work() -> Mapping[str, Any]:
        (result,) = await upsert_customers(info.context.world, info.context.actor, [read_profile(input)])
        if isinstance(result, LoyaltyError):
            raise result
        info.context.loaders.clear()
        return {"customer": result, "warnings": shown_warnings(profile_of(input).warnings)}

    return await answer_mutation(CustomerUpsertPayload, work)


def read_profile(given: CustomerUpsertInput) -> CustomerProfile:
    """The profile of an upsert; InvalidInput for values that a purchase would leave out with a warning."""
    profile, warnings = profile_of(given)
    wrong = [
        Problem(warning.path, warning.reason.removeprefix("was left out: "))
        for warning in warnings
        if warning.code is WarningCode.LEFT_OUT
    ]
    if wrong:
        raise InvalidInput(wrong)
    return profile
