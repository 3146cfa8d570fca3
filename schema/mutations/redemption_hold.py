"""``redemptionHold``: set points aside at a checkout."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.durations import parse_minutes
from loyalty.rules.redemption import CaptureOn
from loyalty.rules.text import tidy_optional_id
from loyalty.services.hold import HoldRequest
from loyalty.services.redemption import hold_points
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.scalars import Duration, Points
from schema.types.checkout import CheckoutInput, PurchaseKeyInput, checkout_of
from schema.types.customer import Customer, CustomerBy, payer_key
from schema.types.location import location_input
from schema.types.redemption import Hold


@strawberry.input(description="A checkout, whose it is, and how many points to set aside.")
class RedemptionHoldInput(CheckoutInput):
    purchase: PurchaseKeyInput = strawberry.field(
        description="The purchase that this will be, or is. All active holds and redemptions of it count against its "
        "limits. Where it is recorded its total counts, unless the checkout says less. Points that it has earned "
        "itself cannot pay for it."
    )
    points: Points = strawberry.field(
        description="At least 1. Points that would take nothing more off are left with the customer."
    )
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    customer: CustomerBy | None = strawberry.field(
        default=None, description="The customer whose points count; a customer may leave it out and is meant then."
    )
    time_to_live: Duration | None = strawberry.field(
        default=None, description="After which it ends by itself: PT1M to P7D; by default the program's."
    )
    capture_on: CaptureOn = strawberry.field(
        default=CaptureOn.CALL,
        description="`PAID` lets the recording of the payment spend the points: the report of its purchase as PAID or "
        "COMPLETED captures the hold, as far as it fits the recorded total.",
    )
    location: str | None = location_input()
    replaces: strawberry.ID | None = strawberry.field(
        default=None, description="An active hold of the same customer that is released in the same moment."
    )


@strawberry.type(description="The hold, and where the customer stands with it.")
class RedemptionHoldPayload:
    user_errors: UserErrors = user_errors_field()
    hold: Hold | None = strawberry.field(default=None, description="The hold.")
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: nothing happened this time."
    )


@guarded(
    Permission.REDEMPTIONS_MANAGE,
    Permission.SELF_REDEEM,
    description="Set points aside at a checkout. They count as spent until the hold is captured, released or over.",
)
async def redemption_hold(
    info: Info,
    input: Annotated[RedemptionHoldInput, strawberry.argument(description="The checkout.")],  # noqa: A002
) -> RedemptionHoldPayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        request = HoldRequest(
            customer=payer_key(info, input.customer),
            points=int(input.points),
            checkout=checkout_of(input, input.purchase),
            minutes=parse_minutes(input.time_to_live, ("time_to_live",)) if input.time_to_live else None,
            replaces=None if input.replaces is None else row_id_of(input.replaces, "Hold", "replaces"),  # type: ignore[arg-type]
            idempotency_key=input.idempotency_key,
            capture_on=input.capture_on,
            location=tidy_optional_id(input.location),
        )
        held = await hold_points(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return held._asdict()

    return await answer_mutation(RedemptionHoldPayload, work)
