"""Refusals that only gift cards have. Like all refusals they know neither HTTP nor GraphQL, and change nothing."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Refused

if TYPE_CHECKING:
    from loyalty.rules.money import Money


class GiftCardCodeMistake(DescribedEnum):
    """What shows that a typed code of a gift card is no code at all."""

    LENGTH = "LENGTH", "It has too few or too many symbols."
    SYMBOL = "SYMBOL", "It holds a sign that no code has."
    CHECK_SYMBOL = "CHECK_SYMBOL", "Its check symbol does not fit: two signs changed places, or one is wrong."


class GiftCardCodeMistyped(Refused):
    """What was typed is no code of any gift card: a sign is wrong, missing, or in the wrong place."""

    code: ClassVar[str] = "GIFT_CARD_CODE_MISTYPED"

    def __init__(self, mistake: GiftCardCodeMistake, sentence: str, path: tuple[str, ...] = ("code",)) -> None:
        super().__init__(sentence, path)
        self.mistake = mistake


class GiftCardProductObstacle(DescribedEnum):
    """Why no card of a product can be had. More may come."""

    INACTIVE = "INACTIVE", "The product is switched off, or archived."
    NOT_FOR_POINTS = "NOT_FOR_POINTS", "Points cannot buy it."
    DAY_PASSED = "DAY_PASSED", "Its cards are valid until a day that is over."
    SOLD_OUT = "SOLD_OUT", "As many cards as its stock allows are issued."
    LIMIT_PER_CUSTOMER = "LIMIT_PER_CUSTOMER", "The customer has got as many of its cards as one customer may."


class GiftCardProductUnavailable(Refused):
    """No card of this product can be had, or not by this customer; `product_obstacle` says why."""

    code: ClassVar[str] = "GIFT_CARD_PRODUCT_UNAVAILABLE"

    def __init__(self, obstacle: GiftCardProductObstacle, path: tuple[str, ...] = ("product",)) -> None:
        super().__init__(f"No card of this product can be had. {obstacle.description}", path)
        self.product_obstacle = obstacle


class TooManyWrongCodes(Refused):
    """Too many codes that no card has were tried, or names that no customer has: none is looked at until `retry_at`."""

    code: ClassVar[str] = "TOO_MANY_WRONG_CODES"
    transient: ClassVar[bool] = True

    def __init__(self, retry_at: datetime, path: tuple[str, ...] = ("code",)) -> None:
        super().__init__(f"Too many wrong codes or names were tried. Try again at {retry_at.isoformat()}.", path)
        self.retry_at = retry_at


class GiftCardEnded(Refused):
    """The card was cancelled, or its time is over: nothing of it can be spent, and nothing comes back to it."""

    code: ClassVar[str] = "GIFT_CARD_ENDED"

    def __init__(self, state: str, path: tuple[str, ...] = ("gift_card",)) -> None:
        super().__init__(f"The gift card is {state}.", path)
        self.card_state = state


class GiftCardBalanceTooLow(Refused):
    """Less can be spent of the card than the request takes."""

    code: ClassVar[str] = "GIFT_CARD_BALANCE_TOO_LOW"

    def __init__(self, available: "Money", required: "Money", path: tuple[str, ...] = ("amount",)) -> None:
        super().__init__(f"{required} are required, {available} of the gift card can be spent.", path)
        self.available_amount = available
        self.required_amount = required


class GiftCardAbovePurchase(Refused):
    """The card would pay more than is left to pay of the recorded purchase, beside all that pays for it already."""

    code: ClassVar[str] = "GIFT_CARD_ABOVE_PURCHASE"

    def __init__(
        self, total: "Money", available: "Money", required: "Money", path: tuple[str, ...] = ("amount",)
    ) -> None:
        super().__init__(
            f"The purchase costs {total}, of which {available} are left to pay: the gift card cannot pay {required}.",
            path,
        )
        self.total_amount = total
        self.available_amount = available
        self.required_amount = required


class GiftCardInUse(Refused):
    """Something of the card was spent, or is set aside at a checkout, so it cannot be cancelled."""

    code: ClassVar[str] = "GIFT_CARD_IN_USE"

    def __init__(self, spent: "Money", held: "Money", path: tuple[str, ...] = ("gift_card",)) -> None:
        super().__init__(f"{spent} of the gift card are spent and {held} are set aside.", path)
        self.spent_amount = spent
        self.held_amount = held


class ReturnExceedsSpending(Refused):
    """More than is left to give back of what a capture spent."""

    code: ClassVar[str] = "RETURN_EXCEEDS_SPENDING"

    def __init__(self, returnable: "Money", requested: "Money", path: tuple[str, ...] = ("amount",)) -> None:
        super().__init__(f"{returnable} can still be given back, not {requested}.", path)
        self.returnable_amount = returnable
        self.requested_amount = requested


class GiftCardHasOwner(Refused):
    """The card is in the account of a customer; only a card that was given, or belongs to its code, can be taken."""

    code: ClassVar[str] = "GIFT_CARD_HAS_OWNER"

    def __init__(self, path: tuple[str, ...] = ("code",)) -> None:
        super().__init__("The gift card is in the account of a customer. Its holder has to give it first.", path)
