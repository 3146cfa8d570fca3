"""The refusals about gift cards as clients see them, and the error of the rules that each type shows."""

from collections.abc import Mapping
from datetime import datetime

import strawberry

from loyalty.rules import gift_card_errors as refusals
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.gift_card import GiftCardState
from loyalty.rules.gift_card_errors import GiftCardCodeMistake, GiftCardProductObstacle
from schema.enums import publish_enum
from schema.types.money import Money
from schema.user_error import UserError

publish_enum(GiftCardCodeMistake)
publish_enum(GiftCardProductObstacle)


@strawberry.type(
    description="What was typed is no code of any gift card: a sign is wrong, missing, or in the wrong place. "
    "It does not count as a wrong code."
)
class GiftCardCodeMistyped(UserError):
    mistake: GiftCardCodeMistake = strawberry.field(description="What shows that it is no code.")


@strawberry.type(description="No card of this product can be had, or not by this customer.")
class GiftCardProductUnavailable(UserError):
    product_obstacle: GiftCardProductObstacle = strawberry.field(
        description="Why no card can be had. More reasons may come."
    )


@strawberry.type(
    description="Too many codes that no gift card has were tried: by this caller, in this tenant, or with this "
    "beginning. Or this caller tried too many e-mail addresses, telephone numbers or identifiers that no customer has. "
    "None is looked at until then, a right one neither."
)
class TooManyWrongCodes(UserError):
    retry_at: datetime = strawberry.field(description="When they are looked at again.")


@strawberry.type(description="The gift card was cancelled, or its time is over.")
class GiftCardEnded(UserError):
    card_state: GiftCardState = strawberry.field(description="The state of the card.")


@strawberry.type(description="Less can be spent of the gift card, or is held, than the request takes.")
class GiftCardBalanceTooLow(UserError):
    available_amount: Money = strawberry.field(description="The amount that can be spent.")
    required_amount: Money = strawberry.field(description="The amount that the request takes.")


@strawberry.type(
    description="The gift card would pay more than is left to pay of the recorded purchase. Points, gift cards and "
    "told payments count as paid."
)
class GiftCardAbovePurchase(UserError):
    total_amount: Money = strawberry.field(description="The total of the purchase, less what was refunded.")
    available_amount: Money = strawberry.field(description="What is left to pay.")
    required_amount: Money = strawberry.field(description="The amount that the request takes.")


@strawberry.type(description="Something of the gift card was spent, or is set aside: it cannot be cancelled so.")
class GiftCardInUse(UserError):
    spent_amount: Money = strawberry.field(description="What was spent, and stands in the way; 0 where it does not.")
    held_amount: Money = strawberry.field(description="What is set aside at checkouts.")


@strawberry.type(description="More than is left to give back of a payment with a gift card.")
class ReturnExceedsSpending(UserError):
    returnable_amount: Money = strawberry.field(description="What can still be given back.")
    requested_amount: Money = strawberry.field(description="The amount that was asked for.")


@strawberry.type(description="The card is in the account of a customer; its holder has to give it first.")
class GiftCardHasOwner(UserError):
    """Shows ``loyalty.rules.gift_card_errors.GiftCardHasOwner``."""


GIFT_CARD_DETAILS: Mapping[type[LoyaltyError], tuple[type[UserError], tuple[str, ...]]] = {
    refusals.GiftCardCodeMistyped: (GiftCardCodeMistyped, ("mistake",)),
    refusals.GiftCardProductUnavailable: (GiftCardProductUnavailable, ("product_obstacle",)),
    refusals.TooManyWrongCodes: (TooManyWrongCodes, ("retry_at",)),
    refusals.GiftCardEnded: (GiftCardEnded, ("card_state",)),
    refusals.GiftCardBalanceTooLow: (GiftCardBalanceTooLow, ("available_amount", "required_amount")),
    refusals.GiftCardAbovePurchase: (
        GiftCardAbovePurchase,
        ("total_amount", "available_amount", "required_amount"),
    ),
    refusals.GiftCardInUse: (GiftCardInUse, ("spent_amount", "held_amount")),
    refusals.ReturnExceedsSpending: (ReturnExceedsSpending, ("returnable_amount", "requested_amount")),
    refusals.GiftCardHasOwner: (GiftCardHasOwner, ()),
}
"""The types of these refusals, with the names of their details."""
