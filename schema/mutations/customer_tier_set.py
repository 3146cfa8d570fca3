"""``customerTierSet``: put a customer into a tier by hand."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.services.tier_lock import TierLockRequest, lock_tier
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.customer import Customer, CustomerBy, customer_key


@strawberry.input(description="A tier that is set by hand, whatever the points are.")
class CustomerTierSetInput:
    customer: CustomerBy = strawberry.field(description="The customer whose tier to set.")
    tier: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="The tier; write null for none."
    )
    until: datetime | None = strawberry.field(
        default=None, description="When the rules take over again; without it, when the tier is unlocked."
    )
    note: str | None = strawberry.field(default=None, description="For the team only; at most 500 characters.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )


@strawberry.type(description="The customer in that tier.")
class CustomerTierSetPayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(default=None, description="The customer.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: nothing happened this time."
    )


@guarded(
    Permission.LOYALTY_ADJUST,
    description="Put a customer into a tier and keep them there, until a time or until `customerTierUnlock`. Points "
    "go on counting meanwhile.",
)
async def customer_tier_set(
    info: Info,
    input: Annotated[CustomerTierSetInput, strawberry.argument(description="The customer and the tier.")],  # noqa: A002
) -> CustomerTierSetPayload:
    """Put a customer into a tier in one transaction."""

    async def work() -> Mapping[str, Any]:
        if input.tier is strawberry.UNSET:
            raise InvalidInput.one("tier", reason="must be given; null puts the customer into no tier")
        request = TierLockRequest(
            customer=customer_key(input.customer, "customer"),
            tier_id=None if input.tier is None else row_id_of(input.tier, "Tier", "tier"),  # type: ignore[arg-type]
            until=input.until,
            note=input.note,
            idempotency_key=input.idempotency_key,
        )
        locked = await lock_tier(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return locked._asdict()

    return await answer_mutation(CustomerTierSetPayload, work)
