"""The parts of the stored data about one customer: the sections of an export."""

from loyalty.rules.described_enum import DescribedEnum


class HeldSection(DescribedEnum):
    """A part of what is stored about a customer. More may come."""

    PROFILE = "PROFILE", "Who the customer is; customers who were merged into this one, too."
    ACCOUNT = "ACCOUNT", "The points, and what the tier stands on."
    CONSENT = "CONSENT", "A consent to marketing that was given or withdrawn."
    PROFILE_CHANGE = "PROFILE_CHANGE", "A change of the profile; of category and tags for the team only."
    ARCHIVING = "ARCHIVING", "That the customer was archived, or came back."
    TIER_CHANGE = "TIER_CHANGE", "A change of the tier."
    MERGE = "MERGE", "Another customer who was merged into this one."
    OPENING_BALANCE = "OPENING_BALANCE", "What the customer brought along."
    PURCHASE = "PURCHASE", "A purchase as it is known now."
    PURCHASE_FACT = "PURCHASE_FACT", "A report about a purchase; for the team only."
    ACCRUAL = "ACCRUAL", "What a purchase earned."
    REFUND = "REFUND", "What was refunded of a purchase."
    ENTRY = "ENTRY", "A line of the ledger."
    LOT = "LOT", "A parcel of points, with its expiry."
    ADJUSTMENT = "ADJUSTMENT", "A correction of the points by hand."
    HOLD = "HOLD", "Points that were set aside at a checkout."
    REDEMPTION = "REDEMPTION", "Points that were spent."
    REDEMPTION_RETURN = "REDEMPTION_RETURN", "Spent points that came back."
    GIFT_CARD = "GIFT_CARD", "A gift card that the customer has; for the team one that the customer bought, too."
    GIFT_CARD_ENTRY = "GIFT_CARD_ENTRY", "A line of the ledger of such a gift card."
    GIFT_CARD_HOLD = "GIFT_CARD_HOLD", "Money of such a gift card that was set aside at a checkout."
    GIFT = "GIFT", "A gift card that the customer handed to somebody, or took."
    EVENT = "EVENT", "What the log of events tells about the customer."
