"""``purchasesRecord``: up to 1,000 purchases at once, one result each."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput, LoyaltyError
from loyalty.services.batch import yield_slices
from loyalty.services.purchase import MAX_BATCH, record_purchases
from loyalty.services.purchase_recording import RecordedPurchase
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation, user_errors
from schema.guard import guarded
from schema.input_values import unreadable_problems
from schema.mutations.payload import UserErrors, user_errors_field
from schema.mutations.purchase_record import (
    PurchaseRecordInput,
    PurchaseRecordPayload,
    ToldReport,
    answer_of,
    read_report,
)
from schema.types.warning import Warnings, show_warnings, warnings_field


@strawberry.input(description="Purchases to record.")
class PurchasesRecordInput:
    items: list[PurchaseRecordInput] = strawberry.field(description="1 to 1,000 purchases.")


@strawberry.type(description="One result for each purchase, in the same order. A refused one harms no other.")
class PurchasesRecordPayload:
    user_errors: UserErrors = user_errors_field()
    results: list[PurchaseRecordPayload] | None = strawberry.field(
        default=None, description="One for each item. Paths in a result begin below its item."
    )
    warnings: Warnings = warnings_field()


@guarded(
    Permission.PURCHASES_RECORD,
    prepares=True,
    description="Record up to 1,000 purchases, in as few statements as one.",
    batch="items",
)
async def purchases_record(
    info: Info,
    input: Annotated[PurchasesRecordInput, strawberry.argument(description="The purchases.")],  # noqa: A002
) -> PurchasesRecordPayload:
    """Record purchases. An unreadable item is refused by itself, and the others are recorded."""

    async def work() -> Mapping[str, Any]:
        if not 1 <= len(input.items) <= MAX_BATCH:
            raise InvalidInput.one("items", reason=f"must have between 1 and {MAX_BATCH} items")
        read = [_read(item) async for item in yield_slices(input.items)]
        recordings = [one.recording for one in read if isinstance(one, ToldReport)]
        recorded = await record_purchases(info.context.world, info.context.actor, recordings) if recordings else []
        info.context.loaders.clear()
        info.context.loaders.know_accruals(recorded)
        answers = iter(recorded)
        results = [(one, one if isinstance(one, LoyaltyError) else next(answers)) for one in read]
        return {
            "results": [_payload(*each) async for each in yield_slices(results)],
            "warnings": show_warnings(
                warning
                for position, (told, result) in enumerate(results)
                if isinstance(told, ToldReport) and told.warnings and not isinstance(result, LoyaltyError)
                for warning in told.warnings_below("items", str(position), "customer")
            ),
        }

    return await answer_mutation(PurchasesRecordPayload, work)


def _read(item: PurchaseRecordInput) -> ToldReport | LoyaltyError:
    problems = unreadable_problems(item)
    if problems:
        return InvalidInput(problems)
    try:
        return read_report(item)
    except LoyaltyError as refusal:
        return refusal


def _payload(told: ToldReport | LoyaltyError, result: RecordedPurchase | LoyaltyError) -> PurchaseRecordPayload:
    if isinstance(result, LoyaltyError):
        return PurchaseRecordPayload(user_errors=user_errors(result))
    warnings = show_warnings(told.warnings_below("customer") if isinstance(told, ToldReport) else [])
    return PurchaseRecordPayload(**answer_of(result), user_errors=[], warnings=warnings)
