"""``customerErase``: erase a person for good."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.customer_erase import EraseRequest, erase_customer
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, replayed_field, user_errors_field
from schema.types.customer import Customer, CustomerBy, customer_key


@strawberry.input(description="The customer to erase.")
class CustomerEraseInput:
    customer: CustomerBy = strawberry.field(
        description="The customer. Customers who were merged into this one are erased with it."
    )
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters. The same key never counts twice for one caller and operation. Do not put a "
        "name or an address into it: a key that holds one is erased, too."
    )


@strawberry.type(description="The customer without a person.")
class CustomerErasePayload:
    user_errors: UserErrors = user_errors_field()
    customer: Customer | None = strawberry.field(
        default=None, description="The nameless customer, who keeps points and history."
    )
    replayed: bool | None = replayed_field()


@guarded(
    Permission.CUSTOMERS_ERASE,
    prepares=True,
    description="Erase all that names a customer: name, addresses, telephone number, birthday, identifiers, tags, "
    "external id, notes and reasons. Points, purchases and sums stay with a customer without a name, who is archived, "
    "whom nobody can name any more, and whose points expire as they would have. Refused while points are set aside at "
    "a checkout: ACTIVE_HOLDS. It cannot be undone.",
)
async def customer_erase(
    info: Info,
    input: Annotated[CustomerEraseInput, strawberry.argument(description="The customer to erase.")],  # noqa: A002
) -> CustomerErasePayload:
    """Erase a person in one transaction."""

    async def work() -> Mapping[str, Any]:
        request = EraseRequest(customer_key(input.customer, "customer"), input.idempotency_key)
        erased = await erase_customer(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return erased._asdict()

    return await answer_mutation(CustomerErasePayload, work)
