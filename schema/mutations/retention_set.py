"""``retentionSet``: set how long personal data is kept."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.retention import RetentionChange, set_retention
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.given import sent
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.retention import Retention


@strawberry.input(description="How long personal data is kept. What is left out stays as it is.")
class RetentionSetInput:
    inactive_months: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="After how many months without activity a customer is erased, 6 to 120; null for never.",
    )
    profile_history_months: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="After how many months a change in the profile history is deleted, 6 to 120; null for never.",
    )


@strawberry.type(description="The retention as it is kept.")
class RetentionSetPayload:
    user_errors: UserErrors = user_errors_field()
    retention: Retention | None = strawberry.field(default=None, description="The settings, and when they begin.")


@guarded(
    Permission.CUSTOMERS_ERASE,
    description=(
        "Set how long personal data is kept. A setting that is new or shorter than before begins 30 days later, and "
        "nothing is removed until then; null ends it at once. Customers with points, money on a gift card, or a "
        "purchase or a gift still to come are kept."
    ),
    even_when_off=True,
)
async def retention_set(
    info: Info,
    input: Annotated[RetentionSetInput, strawberry.argument(description="The settings to change.")],  # noqa: A002
) -> RetentionSetPayload:
    """Set them. The same settings again change nothing."""

    async def work() -> Mapping[str, Any]:
        change = RetentionChange(sent(input.inactive_months), sent(input.profile_history_months))
        return {"retention": await set_retention(info.context.world, info.context.actor, change)}

    return await answer_mutation(RetentionSetPayload, work)
