"""``customersUpsert``: up to 1,000 customers at once, one result each."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import InvalidInput, LoyaltyError
from loyalty.services.batch import yield_slices
from loyalty.services.profile import MAX_BATCH, upsert_customers
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation, user_errors
from schema.guard import guarded
from schema.input_values import unreadable_problems
from schema.mutations.customer_upsert import CustomerUpsertInput, CustomerUpsertPayload, read_profile
from schema.mutations.payload import UserErrors, user_errors_field
from schema.mutations.purchase_record import profile_of
from schema.types.warning import Warnings, show_warnings, warnings_field


@strawberry.input(description="At most 1,000 customers.")
class CustomersUpsertInput:
    items: list[CustomerUpsertInput] = strawberry.field(
        description="1 to 1,000 customers; one who stands there again is told by the newest of all."
    )


@strawberry.type(description="One result for each item, in their order.")
class CustomersUpsertPayload:
    user_errors: UserErrors = user_errors_field()
    results: list[CustomerUpsertPayload] | None = strawberry.field(
        default=None, description="A refused item harms no other. Paths in a result begin below its item."
    )
    warnings: Warnings = warnings_field()


@guarded(
    Permission.PURCHASES_RECORD,
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Create or change up to 1,000 customers; each has a result of its own.",
    batch="items",
)
async def customers_upsert(
    info: Info,
    input: Annotated[CustomersUpsertInput, strawberry.argument(description="The customers.")],  # noqa: A002
) -> CustomersUpsertPayload:
    """Create or change customers in one transaction, for any number of items."""

    async def work() -> Mapping[str, Any]:
        if not 1 <= len(input.items) <= MAX_BATCH:
            raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_BATCH} items")
        read = [_read(item) async for item in yield_slices(input.items)]
        profiles = [one for one in read if isinstance(one, CustomerProfile)]
        upserted = await upsert_customers(info.context.world, info.context.actor, profiles) if profiles else []
        info.context.loaders.clear()
        answers = iter(upserted)
        results = [one if isinstance(one, LoyaltyError) else next(answers) for one in read]
        return {
            "results": [_payload(*each) async for each in yield_slices(zip(results, input.items, strict=True))],
            "warnings": show_warnings(
                warning.below("items", str(position))
                for position, (item, result) in enumerate(zip(input.items, results, strict=True))
                if not isinstance(result, LoyaltyError)
                for warning in profile_of(item).warnings
            ),
        }

    return await answer_mutation(CustomersUpsertPayload, work)


def _read(item: CustomerUpsertInput) -> CustomerProfile | LoyaltyError:
    problems = unreadable_problems(item)
    if problems:
        return InvalidInput(problems)
    try:
        return read_profile(item)
    except LoyaltyError as refusal:
        return refusal


def _payload(result: Any, item: CustomerUpsertInput) -> CustomerUpsertPayload:
    if isinstance(result, LoyaltyError):
        return CustomerUpsertPayload(user_errors=user_errors(result))
    return CustomerUpsertPayload(user_errors=[], customer=result, warnings=show_warnings(profile_of(item).warnings))
