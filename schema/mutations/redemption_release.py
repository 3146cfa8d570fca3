"""``redemptionRelease``: give the points of a hold back."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.ids import HoldId
from loyalty.services.redemption import release_hold
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.customer import Customer
from schema.types.redemption import Hold


@strawberry.input(description="Which hold, and why it ends.")
class RedemptionReleaseInput:
    hold: strawberry.ID = strawberry.field(description="A hold that was not captured.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    reason: str | None = strawberry.field(
        default=None, description="Why, for the team only (`Hold.endedReason`); at most 500 characters."
    )


@strawberry.type(description="The hold, and where the customer stands without it.")
class RedemptionReleasePayload:
    user_errors: UserErrors = user_errors_field()
    hold: Hold | None = strawberry.field(default=None, description="The hold as it ended.")
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when the points had gone back before: nothing happened this time."
    )


@guarded(
    Permission.REDEMPTIONS_MANAGE,
    Permission.SELF_REDEEM,
    description="Give the points of a hold back. One that has given them back already is answered as it is.",
)
async def redemption_release(
    info: Info,
    input: Annotated[RedemptionReleaseInput, strawberry.argument(description="Which hold.")],  # noqa: A002
) -> RedemptionReleasePayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        hold_id = row_id_of(input.hold, "Hold", "hold")
        released = await release_hold(
            info.context.world,
            info.context.actor,
            HoldId(hold_id),
            input.idempotency_key,
            input.reason,
        )
        info.context.loaders.clear()
        return released._asdict()

    return await answer_mutation(RedemptionReleasePayload, work)
