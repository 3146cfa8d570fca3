"""``customerMerge``: merge one customer (the source) into another (the target)."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.customer_merge import MergeRequest, merge_customers
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.types.customer import Customer, CustomerBy, customer_key
from schema.types.moving import CustomerMerge


@strawberry.input(description="Which customer is merged into which.")
class CustomerMergeInput:
    source: CustomerBy = strawberry.field(
        description="The source: nothing is left of it afterwards, and every id of it leads to the target."
    )
    target: CustomerBy = strawberry.field(description="The target: it takes over everything.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation."
    )
    reason: str | None = strawberry.field(default=None, description="At most 500 characters.")


@strawberry.type(description="The merge, and the customer who has taken over.")
class CustomerMergePayload:
    user_errors: UserErrors = user_errors_field()
    merge: CustomerMerge | None = strawberry.field(default=None, description="The merge, with the points that moved.")
    customer: Customer | None = strawberry.field(default=None, description="The target, with everything.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when this key had been answered before: nothing happened this time."
    )


@guarded(
    Permission.LOYALTY_ADJUST,
    description="Merge a customer into another one. Points move with their dates; debt, pending points, purchases and "
    "what counts for the tier move too. It cannot be undone.",
)
async def customer_merge(
    info: Info,
    input: Annotated[CustomerMergeInput, strawberry.argument(description="Which customer is merged into which.")],  # noqa: A002
) -> CustomerMergePayload:
    """Merge two customers in one transaction."""

    async def work() -> Mapping[str, Any]:
        request = MergeRequest(
            source=customer_key(input.source, "source"),
            target=customer_key(input.target, "target"),
            reason=input.reason,
            idempotency_key=input.idempotency_key,
        )
        merged = await merge_customers(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return merged._asdict()

    return await answer_mutation(CustomerMergePayload, work)
