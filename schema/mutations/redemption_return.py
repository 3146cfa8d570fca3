"""``redemptionReturn``: give spent points back, as a refund does."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.redemption import return_redemption
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.scalars import Points
from schema.types.customer import Customer
from schema.types.redemption import Redemption, RedemptionReturn, return_of


@strawberry.input(description="Which redemption, and how much of it.")
class RedemptionReturnInput:
    redemption: strawberry.ID = strawberry.field(description="A redemption with points left to give back.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    points: Points | None = strawberry.field(
        default=None, description="A part of it, at least 1; by default all that is left."
    )
    reason: str | None = strawberry.field(default=None, description="At most 500 characters.")


@strawberry.type(description="What came back, and where the customer stands with it.")
class RedemptionReturnPayload:
    user_errors: UserErrors = user_errors_field()
    returned: RedemptionReturn | None = strawberry.field(default=None, description="The points that were given back.")
    redemption: Redemption | None = strawberry.field(default=None, description="The redemption after it.")
    customer: Customer | None = strawberry.field(default=None, description="The customer, with the new balance.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: nothing happened this time."
    )


@guarded(
    Permission.REDEMPTIONS_MANAGE,
    description="Give spent points back to the lots they came from, with the expiry they had.",
)
async def redemption_return(
    info: Info,
    input: Annotated[RedemptionReturnInput, strawberry.argument(description="Which redemption.")],  # noqa: A002
) -> RedemptionReturnPayload:
    """Run the operation in one transaction."""

    async def work() -> Mapping[str, Any]:
        returned = await return_redemption(
            info.context.world,
            info.context.actor,
            row_id_of(input.redemption, "Redemption", "redemption"),  # type: ignore[arg-type]
            None if input.points is None else int(input.points),
            input.reason,
            input.idempotency_key,
        )
        info.context.loaders.clear()
        return {**returned._asdict(), "returned": return_of(returned.returned, returned.redemption.currency)}

    return await answer_mutation(RedemptionReturnPayload, work)
