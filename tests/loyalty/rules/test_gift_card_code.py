"""The secret code of a gift card: typed in any form, and no single mistake goes unnoticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.gift_card_code import (
    CODE_LENGTH,
    RANDOM_BITS,
    SYMBOLS,
    TYPED_CODE_MAX_LENGTH,
    GiftCardCode,
    code_prefix,
    group_code,
    last_symbols,
    make_code,
    normalise_code,
)
from loyalty.rules.gift_card_errors import GiftCardCodeMistake, GiftCardCodeMistyped

CHECKS = SYMBOLS + "*~$=U"
"""Crockford's check symbols, by what the number leaves over when divided by 37."""

CODES = st.integers(0, 2**RANDOM_BITS - 1).map(make_code).filter(lambda code: code is not None)


def mistake_of(text: str) -> GiftCardCodeMistake | None:
    """Return what is wrong with a typed code."""
    try:
        normalise_code(text)
    except GiftCardCodeMistyped as refusal:
        return refusal.mistake
    return None


def a_code() -> GiftCardCode:
    code = make_code(0x1F2E3D4C5B6A798877666)
    assert code is not None
    return code


def test_a_code_has_at_least_80_random_bits() -> None:
    assert RANDOM_BITS >= 80
    given_out = sum(make_code(number) is not None for number in range(37 * 1_000))
    assert given_out == 32 * 1_000, "leaving out 5 of 37 check symbols costs 0.21 bits"


@given(number=st.integers(0, 2**RANDOM_BITS - 1))
def test_a_code_is_its_number_in_crockfords_base_32_with_his_check_symbol(number: int) -> None:
    code, check = make_code(number), CHECKS[number % 37]
    if check not in SYMBOLS:
        assert code is None
        return
    assert code is not None
    assert len(code) == CODE_LENGTH
    assert code[-1] == check
    assert int("".join(f"{SYMBOLS.index(symbol):05b}" for symbol in code[:-1]), 2) == number


@pytest.mark.parametrize("number", [-1, 2**RANDOM_BITS])
def test_a_code_is_made_of_its_random_bits_only(number: int) -> None:
    with pytest.raises(ValueError, match="85 random bits"):
        make_code(number)


def test_people_read_groups_of_six_and_others_see_the_last_four() -> None:
    code = a_code()
    assert group_code(code) == f"{code[:6]}-{code[6:12]}-{code[12:]}"
    assert last_symbols(code) == code[14:]
    assert code_prefix(code) == code[:4]


@given(code=CODES, data=st.data())
def test_case_blanks_dashes_and_look_alikes_do_not_matter(code: GiftCardCode, data: st.DataObject) -> None:
    """C-24, SB-18: a code is typed from a screen, a card or a voice."""
    looks = {"0": "0OoО０"[:3], "1": "1IiLl"}
    between = st.text(" -\t\n\u00a0\u2009\u2011\u2013\u2014\u2212\u200b", max_size=2)
    typed = "".join(
        data.draw(between) + data.draw(st.sampled_from(looks.get(symbol, symbol + symbol.lower()))) for symbol in code
    )
    assert normalise_code(typed) == code
    assert normalise_code(group_code(code)) == code


def test_wide_letters_of_a_japanese_keyboard_are_read() -> None:
    code = a_code()
    wide = "".join(chr(ord(symbol) + 0xFEE0) for symbol in code)
    assert normalise_code(wide) == code


@given(code=CODES, data=st.data())
def test_notices_every_wrong_symbol(code: GiftCardCode, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, CODE_LENGTH - 1))
    wrong = data.draw(st.sampled_from(SYMBOLS.replace(code[place], "")))
    assert mistake_of(code[:place] + wrong + code[place + 1 :]) is GiftCardCodeMistake.CHECK_SYMBOL


@given(code=CODES, place=st.integers(0, CODE_LENGTH - 2))
def test_notices_two_neighbours_that_changed_places(code: GiftCardCode, place: int) -> None:
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert mistake_of(swapped) is (None if swapped == code else GiftCardCodeMistake.CHECK_SYMBOL)


@pytest.mark.parametrize(
    ("typed", "mistake"),
    [
        ("", GiftCardCodeMistake.LENGTH),
        (" - ", GiftCardCodeMistake.LENGTH),
        (a_code()[:-1], GiftCardCodeMistake.LENGTH),
        (a_code() + "0", GiftCardCodeMistake.LENGTH),
        (a_code() + " " * TYPED_CODE_MAX_LENGTH, GiftCardCodeMistake.LENGTH),
        ("U" + a_code()[1:], GiftCardCodeMistake.SYMBOL),
        ("u" + a_code()[1:], GiftCardCodeMistake.SYMBOL),
        ("*" + a_code()[1:], GiftCardCodeMistake.SYMBOL),
        ("?" + a_code()[1:], GiftCardCodeMistake.SYMBOL),
        ("ß" + a_code()[1:], GiftCardCodeMistake.SYMBOL),
        ("ı" + a_code()[1:], GiftCardCodeMistake.SYMBOL),
        ("\x00" + a_code()[1:], GiftCardCodeMistake.SYMBOL),
        ("\ud800" + a_code()[1:], GiftCardCodeMistake.SYMBOL),
    ],
)
def test_says_what_is_wrong_with_a_typed_code(typed: str, mistake: GiftCardCodeMistake) -> None:
    assert mistake_of(typed) is mistake


def test_a_refusal_names_the_field_that_was_sent_and_never_the_code() -> None:
    with pytest.raises(GiftCardCodeMistyped) as refused:
        normalise_code("SECRET" + a_code()[6:], ("gift_cards", "0", "code"))
    assert refused.value.path == ("gift_cards", "0", "code")
    assert "SECRET" not in str(refused.value)
