"""Refusals that only gift cards have. Like all refusals they know neither HTTP nor GraphQL, and change nothing."""

from typing import ClassVar

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Refused


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
