"""``openingBalancesImport``: import customers with the points that they had elsewhere."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput, LoyaltyError
from loyalty.rules.opening import OpeningNumbers
from loyalty.services.batch import yield_slices
from loyalty.services.opening_balance import MAX_BATCH, Opening, OpeningResult, import_opening_balances
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation, user_errors
from schema.guard import guarded
from schema.input_values import unreadable_problems
from schema.mutations.payload import UserErrors, user_errors_field
from schema.mutations.purchase_record import PurchaseCustomerInput, customer_warnings, profile_of
from schema.scalars import Points
from schema.types.customer import Customer
from schema.types.event import TierUpgrade, tier_upgrade_of
from schema.types.moving import OpeningBalance
from schema.types.warning import Warnings, show_warnings, warnings_field


@strawberry.input(description="What one customer brings along.")
class OpeningBalanceInput:
    customer: PurchaseCustomerInput = strawberry.field(description="Who; created or refreshed.")
    points: Points = strawberry.field(
        description="To spend; 0 for a customer who has none, below 0 for points that are owed."
    )
    lifetime_points: Points | None = strawberry.field(
        default=None, description="All that was ever earned, 0 or more; by default `points`, or 0 where they are owed."
    )
    qualifying_points: Points | None = strawberry.field(
        default=None, description="What counts for the tier; by default as `lifetimePoints`."
    )
    expires_on: date | None = strawberry.field(
        default=None, description="The last local day of the points; by default as the program says."
    )
    earned_on: date | None = strawberry.field(
        default=None,
        description="The local day on which the points were earned, 1970 or later; today by default. They are as old "
        "as that, and without `expiresOn` the program's expiry counts from there.",
    )


@strawberry.input(description="At most 1,000 customers.")
class OpeningBalancesImportInput:
    items: list[OpeningBalanceInput] = strawberry.field(description="The opening balances, one for each customer.")


@strawberry.type(description="What became of one item.")
class OpeningBalanceResult:
    user_errors: UserErrors = strawberry.field(description="Why nothing happened; empty when it did.")
    opening_balance: OpeningBalance | None = strawberry.field(
        default=None, description="The opening balance that was recorded."
    )
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    tier_upgrade: TierUpgrade | None = strawberry.field(
        default=None, description="The upgrade, when the customer came into a higher tier."
    )
    replayed: bool | None = strawberry.field(
        default=None, description="True when the same opening balance was imported before: nothing happened."
    )
    warnings: Warnings = warnings_field()


@strawberry.type(description="One result for each item, in their order.")
class OpeningBalancesImportPayload:
    user_errors: UserErrors = user_errors_field()
    results: list[OpeningBalanceResult] | None = strawberry.field(
        default=None, description="A refused item harms no other. Paths in a result begin below its item."
    )
    warnings: Warnings = warnings_field()


@guarded(
    Permission.LOYALTY_ADJUST,
    prepares=True,
    description="Import customers with the points they had elsewhere, once for each: sent again, nothing happens.",
    batch="items",
)
async def opening_balances_import(
    info: Info,
    input: Annotated[  # noqa: A002
        OpeningBalancesImportInput, strawberry.argument(description="The customers with their opening balances.")
    ],
) -> OpeningBalancesImportPayload:
    """Import opening balances in one transaction, for any number of items."""

    async def work() -> Mapping[str, Any]:
        if not 1 <= len(input.items) <= MAX_BATCH:
            raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_BATCH} items")
        read = [_opening(item) async for item in yield_slices(input.items)]
        openings = [one for one in read if not isinstance(one, LoyaltyError)]
        opened = await import_opening_balances(info.context.world, info.context.actor, openings) if openings else []
        info.context.loaders.clear()
        answers = iter(opened)
        results = [one if isinstance(one, LoyaltyError) else next(answers) for one in read]
        return {
            "results": [_result(*each) async for each in yield_slices(zip(results, input.items, strict=True))],
            "warnings": show_warnings(
                warning
                for position, (item, result) in enumerate(zip(input.items, results, strict=True))
                if not isinstance(result, LoyaltyError)
                for warning in customer_warnings(item.customer, "items", str(position))
            ),
        }

    return await answer_mutation(OpeningBalancesImportPayload, work)


def _opening(given: OpeningBalanceInput) -> Opening | LoyaltyError:
    problems = unreadable_problems(given)
    if problems:
        return InvalidInput(problems)
    # A mistake in the points is reported at the field of the points, not at numbers that the caller left out.
    lifetime = max(0, given.points) if given.lifetime_points is None else given.lifetime_points
    qualifying = max(0, lifetime) if given.qualifying_points is None else given.qualifying_points
    numbers = OpeningNumbers(int(given.points), int(lifetime), int(qualifying))
    return Opening(profile_of(given.customer).profile, numbers, given.expires_on, given.earned_on)


def _result(result: OpeningResult, item: OpeningBalanceInput) -> Any:
    if isinstance(result, LoyaltyError):
        return OpeningBalanceResult(user_errors=user_errors(result))
    return OpeningBalanceResult(
        user_errors=[],
        opening_balance=result.balance,  # type: ignore[arg-type]
        customer=result.customer,  # type: ignore[arg-type]
        tier_upgrade=tier_upgrade_of(result.tier_change),
        replayed=result.replayed,
        warnings=show_warnings(customer_warnings(item.customer)),
    )
