"""``redemptionCapture``: spend the points of a hold."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.text import tidy_optional_id
from loyalty.services.redemption import capture_hold
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.scalars import Points
from schema.types.customer import Customer
from schema.types.location import capture_location_input
from schema.types.redemption import Hold, Redemption


@strawberry.input(description="Which hold, and how much of it.")
class RedemptionCaptureInput:
    hold: strawberry.ID = strawberry.field(description="An active hold.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    points: Points | None = strawberry.field(
        default=None, description="A part of the hold, at least 1; the rest goes back. By default all of it."
    )
    location: str | None = capture_location_input()


@strawberry.type(description="The redemption, and where the customer stands after it.")
class RedemptionCapturePayload:
    user_errors: UserErrors = user_errors_field()
    redemption: Redemption | None = strawberry.field(default=None, description="What was spent.")
    hold: Hold | None = strawberry.field(default=None, description="The hold, captured.")
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: nothing happened this time."
    )


@guarded(
    Permission.REDEMPTIONS_MANAGE,
    description="Spend the points of a hold, or a part of them: when the purchase is paid, and for good.",
)
async def redemption_capture(
    info: Info,
    input: Annotated[RedemptionCaptureInput, strawberry.argument(description="Which hold.")],  # noqa: A002
) -> RedemptionCapturePayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        hold_id = row_id_of(input.hold, "Hold", "hold")
        points = None if input.points is None else int(input.points)
        captured = await capture_hold(
            info.context.world,
            info.context.actor,
            hold_id,  # type: ignore[arg-type]
            points,
            input.idempotency_key,
            tidy_optional_id(input.location),
        )
        info.context.loaders.clear()
        return captured._asdict()

    return await answer_mutation(RedemptionCapturePayload, work)
