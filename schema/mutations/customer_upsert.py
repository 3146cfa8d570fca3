"""``customerUpsert``: create a customer, or change the facts about one."""

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
from schema.types.customer import Customer, CustomerIdentifierInput
from schema.types.warning import Warnings, show_warnings, warnings_field


@strawberry.input(
    description="What is known about a customer. A field that is left out stays as it is known, null takes it away."
)
class CustomerUpsertInput(PurchaseCustomerInput):
    """More fields than come with a purchase; a value that is none is refused here, as nothing else depends on it."""

    birthday: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="A date such as `1990-05-17`, or without the year `--05-17`, as in vCard 4.0 (RFC 6350).",
    )
    identifiers: list[CustomerIdentifierInput] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Card numbers and the like, at most 20: the list replaces all that are known. One that another "
        "customer has is refused: IDENTIFIER_TAKEN.",
    )
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="The team's own marks, at most 50 of 1 to 50 characters: the list replaces all that are known. "
        "Tags that differ in case or blanks only are one tag.",
    )


@strawberry.type(description="The customer as they are known now.")
class CustomerUpsertPayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer.")
    warnings: Warnings = warnings_field()


@guarded(
    Permission.PURCHASES_RECORD,
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Create a customer, or change what is known about one. Sent again, nothing changes.",
)
async def customer_upsert(
    info: Info,
    input: Annotated[  # noqa: A002
        CustomerUpsertInput, strawberry.argument(description="The customer, and the known facts about them.")
    ],
) -> CustomerUpsertPayload:
    """Create or change a customer in one transaction."""

    async def work() -> Mapping[str, Any]:
        (result,) = await upsert_customers(info.context.world, info.context.actor, [read_profile(input)])
        if isinstance(result, LoyaltyError):
            raise result
        info.context.loaders.clear()
        return {"customer": result, "warnings": show_warnings(profile_of(input).warnings)}

    return await answer_mutation(CustomerUpsertPayload, work)


def read_profile(given: CustomerUpsertInput) -> CustomerProfile:
    """Return the profile of an upsert.

    Raises InvalidInput for values that a purchase would leave out with a warning.
    """
    profile, warnings = profile_of(given)
    wrong = [
        Problem(warning.path, warning.reason.removeprefix("was left out: "))
        for warning in warnings
        if warning.code is WarningCode.LEFT_OUT
    ]
    if wrong:
        raise InvalidInput(wrong)
    return profile
