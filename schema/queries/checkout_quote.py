"""``checkoutQuote``: what points can take off, while the customer is still choosing."""

from typing import Annotated

import strawberry

from loyalty.rules.errors import NotFound
from loyalty.services.checkout import quote_checkout
from loyalty.services.customer import CustomerKey
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded
from schema.scalars import Points
from schema.types.checkout import CheckoutInput, PurchaseKeyInput, checkout_of
from schema.types.customer import CustomerBy, payer_key
from schema.types.redemption import CheckoutQuote, quote_of

NOBODY = CustomerKey(external_id="")
"""Who is named by an id that cannot exist: the quote is the same as for any unknown customer."""


@strawberry.input(description="A checkout, and whose it is.")
class CheckoutQuoteInput(CheckoutInput):
    customer: CustomerBy | None = strawberry.field(
        default=None, description="Whose points; may be left out by a customer, who is meant then."
    )
    purchase: PurchaseKeyInput | None = strawberry.field(
        default=None,
        description="The purchase that this will be, or is. Its limits count what points pay of it already. Points "
        "that it has earned itself cannot pay for it; points that a hold of the customer sets aside for it can.",
    )
    points: Points | None = strawberry.field(
        default=None, description="How many the customer wants to use; null applies what the program proposes."
    )


@guarded(
    Permission.REDEMPTIONS_MANAGE,
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="What a checkout costs with points. Refused points are not applied, and `refusal` says why.",
)
async def checkout_quote(
    info: Info,
    input: Annotated[CheckoutQuoteInput, strawberry.argument(description="What is to be paid.")],  # noqa: A002
) -> CheckoutQuote:
    """Three statements."""
    wanted = None if input.points is None else int(input.points)
    context = info.context
    quote = await quote_checkout(
        context.world, context.actor, _payer(info, input), checkout_of(input, input.purchase), wanted
    )
    return quote_of(quote)


def _payer(info: Info, given: CheckoutQuoteInput) -> CustomerKey:
    try:
        return payer_key(info, given.customer)
    except NotFound:
        return NOBODY
