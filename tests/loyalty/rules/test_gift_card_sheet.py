from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.gift_card_sheet import (
    DEFAULT_CARD_COLOR,
    WORDS,
    check_card_color,
    color_parts,
    describe_validity,
    describe_value,
    text_color,
    words_of,
)
from loyalty.rules.money import Money

READABLE = 4.5
"""The least contrast of text that level AA of WCAG 2.2 asks for."""


def luminance(color: str) -> float:
    """As the recommendation writes it, apart from our own code."""
    parts = [part / 255 for part in color_parts(color)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@given(st.integers(0, 0xFFFFFF))
def test_text_can_be_read_on_every_colour(number: int) -> None:
    color = f"#{number:06X}"
    chosen = text_color(color)
    assert contrast(color, chosen) >= READABLE
    assert contrast(color, chosen) == max(contrast(color, "#000000"), contrast(color, "#FFFFFF"))


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
