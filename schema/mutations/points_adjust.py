"""``pointsAdjust``: add or remove points by hand."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import strawberry

from loyalty.rules.account import Overdraft
from loyalty.rules.adjustment import AdjustmentReason, Direction, sign_points
from loyalty.rules.text import tidy_optional_id
from loyalty.services.adjustment import AdjustmentRequest, adjust_points
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.scalars import Points
from schema.types.customer import Customer, CustomerBy, customer_key
from schema.types.event import TierUpgrade, tier_upgrade_of
from schema.types.ledger import Adjustment
from schema.types.location import location_input


@strawberry.input(
    description="A correction by hand: either a signed `amount`, or a `direction` with positive `points`."
)
class PointsAdjustInput:
    customer: CustomerBy = strawberry.field(description="The customer whose points to change.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    amount: Points | None = strawberry.field(default=None, description="Signed: -50 removes 50. Not 0.")
    direction: Direction | None = strawberry.field(default=None, description="With `points`, in place of `amount`.")
    points: Points | None = strawberry.field(default=None, description="With `direction`; at least 1.")
    reason: AdjustmentReason = strawberry.field(
        default=AdjustmentReason.OTHER, description="The reason for the correction."
    )
    internal_note: str | None = strawberry.field(
        default=None, description="For the team only; at most 2,000 characters."
    )
    customer_description: str | None = strawberry.field(
        default=None, description="What the customer reads; at most 500 characters."
    )
    qualifying: bool | None = strawberry.field(
        default=None,
        description="Whether it counts for the tier. By default additions do, and removals only as a CORRECTION.",
    )
    expires_on: date | None = strawberry.field(
        default=None, description="The last local day of points that are added; by default as the program says."
    )
    location: str | None = location_input()
    overdraft: Overdraft = strawberry.field(
        default=Overdraft.REJECT, description="What happens when more is removed than is available."
    )


@strawberry.type(description="The correction, and where the customer stands after it.")
class PointsAdjustPayload:
    user_errors: UserErrors = user_errors_field()
    adjustment: Adjustment | None = strawberry.field(default=None, description="The correction.")
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    tier_upgrade: TierUpgrade | None = strawberry.field(default=None, description="Set when the customer came up.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: nothing happened this time."
    )


@guarded(
    Permission.LOYALTY_ADJUST,
    Permission.POINTS_ADJUST,
    description=(
        "Add or remove a customer's points by hand. Who holds POINTS_ADJUST alone moves so many points a day as their "
        "role allows (`AdjustmentLimitReached`)."
    ),
)
async def points_adjust(
    info: Info,
    input: Annotated[PointsAdjustInput, strawberry.argument(description="The correction.")],  # noqa: A002
) -> PointsAdjustPayload:
    """Adjust points in one transaction: entry, lots, account, tier, events and the key."""

    async def work() -> Mapping[str, Any]:
        request = AdjustmentRequest(
            customer=customer_key(input.customer, "customer"),
            points=sign_points(input.amount, input.direction, input.points),
            reason=input.reason,
            internal_note=input.internal_note,
            customer_description=input.customer_description,
            qualifying=input.qualifying,
            overdraft=input.overdraft,
            idempotency_key=input.idempotency_key,
            expires_on=input.expires_on,
            points_field="points" if input.amount is None else "amount",
            location=tidy_optional_id(input.location),
        )
        adjusted = await adjust_points(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return {
            "adjustment": adjusted.adjustment,
            "customer": adjusted.customer,
            "tier_upgrade": tier_upgrade_of(adjusted.tier_change),
            "replayed": adjusted.replayed,
        }

    return await answer_mutation(PointsAdjustPayload, work)
