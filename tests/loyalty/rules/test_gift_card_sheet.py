from datetime import date

import pytest

from loyalty.rules.gift_card_sheet import (
    DEFAULT_CARD_COLOR,
    WORDS,
    check_card_color,
    describe_validity,
    describe_value,
    words_of,
)
from loyalty.rules.money import Money


@pytest.mark.parametrize(
    ("locale", "title"),
    [
        ("de-AT", "Gutschein"),
        ("DE", "Gutschein"),
        ("pl-PL", "Karta podarunkowa"),
        ("en-GB", "Gift card"),
        ("ja-JP", "Gift card"),
    ],
)
def test_the_words_are_those_of_the_language_or_english(locale: str, title: str) -> None:
    assert words_of(locale).title == title


@pytest.mark.parametrize(
    ("locale", "value", "day"),
    [
        ("en-US", "25.00 EUR", "Valid until 2029-12-31"),
        ("de-DE", "25,00 EUR", "Gültig bis 31.12.2029"),
        ("fr-FR", "25,00 EUR", "Valable jusqu’au 31/12/2029"),
    ],
)
def test_amounts_and_days_are_written_as_the_language_does(locale: str, value: str, day: str) -> None:
    words = words_of(locale)
    assert describe_value(Money(2_500, "EUR"), words) == value
    assert describe_validity(date(2029, 12, 31), words) == day


def test_yen_have_no_decimals_and_some_cards_never_expire() -> None:
    assert describe_value(Money(2_500, "JPY"), words_of("de")) == "2500 JPY"
    assert {describe_validity(None, words) for words in WORDS.values()} == {
        words.valid_for_ever for words in WORDS.values()
    }


@pytest.mark.parametrize("color", ["red", "#FFF", "#12345G", "#1F3A5F ", "1F3A5F", "#1f3a5f"])
def test_refuses_what_is_no_colour(color: str) -> None:
    problem = check_card_color(color)
    assert problem is not None
    assert problem.path == ("gift_card_color",)
    assert check_card_color(DEFAULT_CARD_COLOR) is None
