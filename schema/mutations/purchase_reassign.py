"""``purchaseReassign``: move a purchase from the customer it was recorded for to the right customer."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.purchase_reassign import ReassignRequest, reassign_purchase
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.scalars import Points
from schema.types.checkout import PurchaseBy, purchase_name
from schema.types.customer import Customer, CustomerBy, customer_key
from schema.types.purchase import Accrual, Purchase


@strawberry.input(description="A purchase and the customer it belongs to.")
class PurchaseReassignInput:
    purchase: PurchaseBy = strawberry.field(description="The purchase that was recorded for the wrong customer.")
    target: CustomerBy = strawberry.field(description="The right customer, who must be known already.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    reason: str | None = strawberry.field(default=None, description="Why, for the team; at most 500 characters.")


@strawberry.type(description="The purchase, and both customers after it has moved.")
class PurchaseReassignPayload:
    user_errors: UserErrors = user_errors_field()
    purchase: Purchase | None = strawberry.field(default=None, description="The purchase of the right customer.")
    accrual: Accrual | None = strawberry.field(
        default=None, description="What it earned for the right customer; null when never evaluated."
    )
    customer: Customer | None = strawberry.field(default=None, description="The right customer, with the new balance.")
    source: Customer | None = strawberry.field(
        default=None, description="The customer it was recorded for, with the balance after it lost these points."
    )
    taken_points: Points | None = strawberry.field(
        default=None, description="How many points the source lost, pending ones included."
    )
    given_points: Points | None = strawberry.field(
        default=None,
        description="How many points the right customer got, pending ones included: what the frozen rules give with "
        "their own category and tier.",
    )
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: nothing happened this time."
    )


@guarded(
    Permission.LOYALTY_ADJUST,
    description="Move a purchase that was recorded for the wrong person to the right customer, with what it earned, as "
    "if it had been recorded for that one. Refused when something of its points was used, when points pay for it, and "
    "after a refund. Later reports must name the right customer.",
)
async def purchase_reassign(
    info: Info,
    input: Annotated[PurchaseReassignInput, strawberry.argument(description="The purchase and the right customer.")],  # noqa: A002
) -> PurchaseReassignPayload:
    """Move the purchase in one transaction."""

    async def work() -> Mapping[str, Any]:
        request = ReassignRequest(
            purchase=purchase_name(input.purchase, "purchase"),
            target=customer_key(input.target, "target"),
            reason=input.reason,
            idempotency_key=input.idempotency_key,
        )
        moved = await reassign_purchase(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return moved._asdict()

    return await answer_mutation(PurchaseReassignPayload, work)
