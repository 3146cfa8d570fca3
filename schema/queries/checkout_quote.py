"""``checkoutQuote``: the discount that points can give, while the customer is still choosing."""

from typing import Annotated

import strawberry

from loyalty.rules.errors import LoyaltyError, NotFound
from loyalty.services.checkout import quote_checkout
from loyalty.services.checkout_cards import MAX_QUOTED_CARDS, NamedCard, card_path
from loyalty.services.customer import CustomerKey
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded
from schema.scalars import Points
from schema.types.checkout import CheckoutInput, PurchaseKeyInput, checkout_of
from schema.types.checkout_quote import CheckoutQuote, quote_of
from schema.types.customer import CustomerBy, payer_key
from schema.types.gift_card import GiftCardBy, gift_card_key

NOBODY = CustomerKey(external_id="")
"""An id that cannot exist. The quote is the same as for any unknown customer."""


@strawberry.input(description="A checkout, and whose it is.")
class CheckoutQuoteInput(CheckoutInput):
    customer: CustomerBy | None = strawberry.field(
        default=None, description="The customer whose points count; a customer may leave it out and is meant then."
    )
    purchase: PurchaseKeyInput | None = strawberry.field(
        default=None,
        description="The purchase that this will be, or is. Its limits count what points pay of it already. Points "
        "that it has earned itself cannot pay for it; points that a hold of the customer sets aside for it can.",
    )
    points: Points | None = strawberry.field(
        default=None, description="How many the customer wants to use; null applies what the program proposes."
    )
    gift_cards: list[GiftCardBy] | None = strawberry.field(
        default=None,
        description="Gift cards that pay what is left after points, in this order. Anybody may name a card by its "
        "code; customers may name by id only a card that they have. "
        f"At most {MAX_QUOTED_CARDS}. Each wrong code counts as in `giftCardLookup`.",
    )


@guarded(
    Permission.REDEMPTIONS_MANAGE,
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="What a checkout costs, and what points and gift cards pay of it. Refused points and cards are not "
    "applied, and `refusal` says why.",
)
async def checkout_quote(
    info: Info,
    input: Annotated[CheckoutQuoteInput, strawberry.argument(description="The checkout to price.")],  # noqa: A002
) -> CheckoutQuote:
    """Quote a checkout with two statements; one more for gift cards, and one for each code."""
    wanted = None if input.points is None else int(input.points)
    context = info.context
    quote = await quote_checkout(
        context.world,
        context.actor,
        _payer(info, input),
        checkout_of(input, input.purchase),
        wanted,
        [_find_named_card(by, position) for position, by in enumerate(input.gift_cards or ())],
    )
    return quote_of(quote)


def _payer(info: Info, given: CheckoutQuoteInput) -> CustomerKey:
    try:
        return payer_key(info, given.customer)
    except NotFound:
        return NOBODY


def _find_named_card(by: GiftCardBy, position: int) -> NamedCard:
    """Return the id or the code of the card in the input, or the refusal if it has none.

    The other cards are still quoted.
    """
    try:
        return gift_card_key(by, *card_path(position))
    except LoyaltyError as refusal:
        return refusal
