"""Refusals on the wire that only gift cards have, and which refusal of the rules each type shows."""

from collections.abc import Mapping
from datetime import datetime

import strawberry

from loyalty.rules import gift_card_errors as refusals
from loyalty.rules.errors import LoyaltyError
from loyalty.rules.gift_card_errors import GiftCardCodeMistake, GiftCardProductObstacle
from schema.enums import publish_enum
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
    product_obstacle: GiftCardProductObstacle = strawberry.field(description="Why. More may come.")


@strawberry.type(
    description="Too many codes that no gift card has were tried: by this caller, in this tenant, or with this "
    "beginning. No code is looked at until then, a right one neither."
)
class TooManyWrongCodes(UserError):
    retry_at: datetime = strawberry.field(description="When codes are looked at again.")


GIFT_CARD_DETAILS: Mapping[type[LoyaltyError], tuple[type[UserError], tuple[str, ...]]] = {
    refusals.GiftCardCodeMistyped: (GiftCardCodeMistyped, ("mistake",)),
    refusals.GiftCardProductUnavailable: (GiftCardProductUnavailable, ("product_obstacle",)),
    refusals.TooManyWrongCodes: (TooManyWrongCodes, ("retry_at",)),
}
"""The types of these refusals, with the names of their details."""
