"""The common parts of all refusals that clients see: the interface UserError and the kinds of refusals."""

import strawberry

from loyalty.rules.described_enum import DescribedEnum
from schema.enums import publish_enum


class UserErrorCode(DescribedEnum):
    """The kind of a refusal; each has a type of its own with the details."""

    NOT_FOUND = "NOT_FOUND", "There is no such thing, or not for this caller."
    INVALID_INPUT = "INVALID_INPUT", "A field holds a value that is not allowed."
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT", "The key was used before with another input."
    VERSION_CONFLICT = "VERSION_CONFLICT", "Somebody else changed it meanwhile."
    DUPLICATE_NAME = "DUPLICATE_NAME", "The name is taken."
    DUPLICATE_MINIMUM = "DUPLICATE_MINIMUM", "Another tier begins at the same points."
    PURCHASE_OF_ANOTHER_CUSTOMER = "PURCHASE_OF_ANOTHER_CUSTOMER", "The purchase belongs to another customer."
    STATUS_RUNS_BACKWARDS = "STATUS_RUNS_BACKWARDS", "The purchase has gone further already."
    AMBIGUOUS_REPORT = "AMBIGUOUS_REPORT", "The report returns to an earlier state and may be a late retry."
    INSUFFICIENT_POINTS = "INSUFFICIENT_POINTS", "Fewer points are available than required."
    REDEMPTION_DISABLED = "REDEMPTION_DISABLED", "Points cannot be redeemed in this program."
    BELOW_MINIMUM = "BELOW_MINIMUM", "Fewer points than must be held, or used at once."
    ABOVE_MAXIMUM = "ABOVE_MAXIMUM", "More points than may be used here."
    NOTHING_TO_DISCOUNT = "NOTHING_TO_DISCOUNT", "There is nothing that points could take off."
    HOLD_ENDED = "HOLD_ENDED", "The hold has ended already."
    PURCHASE_ENDED = "PURCHASE_ENDED", "The purchase was called off or refunded."
    PURCHASE_NOT_REASSIGNABLE = "PURCHASE_NOT_REASSIGNABLE", "The purchase cannot move to another customer any more."
    RETURN_EXCEEDS_REDEMPTION = "RETURN_EXCEEDS_REDEMPTION", "More points than are left to give back."
    REFUND_EXCEEDS_PURCHASE = "REFUND_EXCEEDS_PURCHASE", "More is to be refunded than is left."
    PAYMENTS_EXCEED_TOTAL = "PAYMENTS_EXCEED_TOTAL", "More is told and known to be paid for a purchase than its total."
    PAYMENT_OF_ANOTHER_PURCHASE = (
        "PAYMENT_OF_ANOTHER_PURCHASE",
        "A payment names a hold or redemption that does not pay for this purchase.",
    )
    REPORT_BELOW_REFUNDS = (
        "REPORT_BELOW_REFUNDS",
        "A report makes a purchase smaller than what was refunded of it.",
    )
    NOT_A_SANDBOX = "NOT_A_SANDBOX", "Only a sandbox can advance its clock."
    ACTIVE_HOLDS = "ACTIVE_HOLDS", "Points are set aside at a checkout."
    CUSTOMER_IS_ARCHIVED = "CUSTOMER_IS_ARCHIVED", "The customer is archived and has no access."
    OPENING_BALANCE_EXISTS = "OPENING_BALANCE_EXISTS", "The customer brought other points along before."
    LIMIT_REACHED = "LIMIT_REACHED", "One more would pass a limit of the service."
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH", "The amount is in another currency than the program's."
    AMBIGUOUS_CUSTOMER = "AMBIGUOUS_CUSTOMER", "Several customers have what somebody was named by."
    IDENTIFIER_TAKEN = "IDENTIFIER_TAKEN", "Another customer has the identifier."
    GIFT_CARD_PRODUCT_UNAVAILABLE = "GIFT_CARD_PRODUCT_UNAVAILABLE", "No card of this product can be had."
    GIFT_CARD_HAS_OWNER = "GIFT_CARD_HAS_OWNER", "The gift card is in the account of a customer."
    TOO_MANY_WRONG_CODES = "TOO_MANY_WRONG_CODES", "Too many codes that no gift card has were tried."
    GIFT_CARD_CODE_MISTYPED = "GIFT_CARD_CODE_MISTYPED", "What was typed is no code of any gift card."
    GIFT_CARD_ENDED = "GIFT_CARD_ENDED", "The gift card was cancelled, or its time is over."
    GIFT_CARD_BALANCE_TOO_LOW = "GIFT_CARD_BALANCE_TOO_LOW", "Less can be spent of the gift card than required."
    GIFT_CARD_ABOVE_PURCHASE = (
        "GIFT_CARD_ABOVE_PURCHASE",
        "Less is left to pay of the purchase than required.",
    )
    GIFT_CARD_IN_USE = "GIFT_CARD_IN_USE", "Something of the gift card was spent, or is set aside."
    RETURN_EXCEEDS_SPENDING = "RETURN_EXCEEDS_SPENDING", "More than is left to give back of what was spent."
    ALREADY_MEMBER = "ALREADY_MEMBER", "The person is a member already, or is invited."
    LAST_OWNER = "LAST_OWNER", "The last owner who has signed in stays one."
    ROLE_IN_USE = "ROLE_IN_USE", "Members have the role, or a claim stands for it."
    DEPENDENCY_REQUIRED = "DEPENDENCY_REQUIRED", "A feature that is on needs this one."
    INCOMPATIBLE_FEATURE = "INCOMPATIBLE_FEATURE", "A feature that is on excludes this one."
    ADJUSTMENT_LIMIT_REACHED = "ADJUSTMENT_LIMIT_REACHED", "More points than the role may still adjust today."


publish_enum(UserErrorCode)


@strawberry.interface(
    description="Why a mutation refused, in a form that a program can act on. Nothing was written. More types may come."
)
class UserError:
    code: UserErrorCode = strawberry.field(description="The kind of refusal.")
    message: str = strawberry.field(description="A sentence for a developer, in English.")
    path: list[str] | None = strawberry.field(description="The input field that caused it, from the input downwards.")
