"""The secret code of a gift card: anybody with the code may spend the card.

A code is a number of 85 random bits in 17 symbols of Crockford's base 32 (https://www.crockford.com/base32.html). Then
comes Crockford's check symbol, the number modulo 37. It finds a single wrong symbol, and two neighbours that changed
places. A number whose check symbol would be one of `*~$=U` is not used, so a code has letters and digits only.
"""

import re
from typing import Final, NewType
from unicodedata import normalize

from loyalty.rules.gift_card_errors import GiftCardCodeMistake, GiftCardCodeMistyped

GiftCardCode = NewType("GiftCardCode", str)
"""A code in the form that is hashed and encrypted: 18 symbols in capitals, without dashes."""

SYMBOLS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: without I, L and O, which look like 1 and 0, and without U."""

BITS_PER_SYMBOL = 5
RANDOM_SYMBOLS = 17
RANDOM_BITS = RANDOM_SYMBOLS * BITS_PER_SYMBOL
"""The random bits of a code. 5 of 37 check symbols are not used; that costs 0.21 bits."""

CODE_LENGTH = RANDOM_SYMBOLS + 1
GROUP_LENGTH = 6
PREFIX_LENGTH = 4
"""The number of first symbols of a code (20 bits) that are its prefix.

Guesses of many credentials are counted together by the prefix.
"""

SHOWN_SYMBOLS = 4
"""The number of last symbols of a code that are shown with the card."""

TYPED_CODE_MAX_LENGTH = 100
"""The most characters of a typed code, with blanks and dashes."""

_CHECK_MODULUS = 37
_VALUES: Final = {symbol: value for value, symbol in enumerate(SYMBOLS)}
_LOOK_ALIKES: Final = {"O": "0", "I": "1", "L": "1"}
_TYPED: Final = (
    {symbol: symbol for symbol in SYMBOLS}
    | {symbol.lower(): symbol for symbol in SYMBOLS}
    | _LOOK_ALIKES
    | {look_alike.lower(): symbol for look_alike, symbol in _LOOK_ALIKES.items()}
)
"""The symbol for each typed sign."""

_LEFT_OUT = re.compile(r"[-_\u00ad\u2010-\u2015\u2212\u200b\u2060\ufeff\s]+")
"""Blanks of every width, hyphens and dashes: people and programs put them between groups."""


def make_code(number: int) -> GiftCardCode | None:
    """Return the code of a random number, or None if its check symbol is not used.

    Raises ValueError unless the number is below 2 to the power of `RANDOM_BITS`.
    """
    check = number % _CHECK_MODULUS
    if not 0 <= number < 1 << RANDOM_BITS:
        raise ValueError(f"A code is made of {RANDOM_BITS} random bits")
    if check >= len(SYMBOLS):
        return None
    places = range(RANDOM_BITS - BITS_PER_SYMBOL, -1, -BITS_PER_SYMBOL)
    symbols = (SYMBOLS[number >> place & len(SYMBOLS) - 1] for place in places)
    return GiftCardCode("".join(symbols) + SYMBOLS[check])


def normalise_code(text: str, path: tuple[str, ...] = ("code",)) -> GiftCardCode:
    """Return the code that was typed, in any case and with any blanks and dashes; O is read as 0, I and L as 1.

    Raises GiftCardCodeMistyped, which names the mistake.
    """
    if len(text) > TYPED_CODE_MAX_LENGTH:
        raise _build_length_refusal(path)
    typed = _LEFT_OUT.sub("", normalize("NFKC", text))
    symbols = "".join(_TYPED.get(sign, "?") for sign in typed)
    if "?" in symbols:
        raise GiftCardCodeMistyped(
            GiftCardCodeMistake.SYMBOL, "A code has the digits 0 to 9 and the letters A to Z except U.", path
        )
    if len(symbols) != CODE_LENGTH:
        raise _build_length_refusal(path)
    if _decode_number(symbols[:-1]) % _CHECK_MODULUS != _VALUES[symbols[-1]]:
        raise GiftCardCodeMistyped(
            GiftCardCodeMistake.CHECK_SYMBOL, "The code has a typing mistake: compare it again.", path
        )
    return GiftCardCode(symbols)


def group_code(code: GiftCardCode) -> str:
    """Return a code in the form for people: groups of 6 symbols with dashes between."""
    return "-".join(code[start : start + GROUP_LENGTH] for start in range(0, len(code), GROUP_LENGTH))


def last_symbols(code: GiftCardCode) -> str:
    """Return the last symbols of a code, which are shown with the card."""
    return code[-SHOWN_SYMBOLS:]


def code_prefix(code: GiftCardCode) -> str:
    """Return the prefix of a code, by which guesses of many credentials are counted together."""
    return code[:PREFIX_LENGTH]


def _build_length_refusal(path: tuple[str, ...]) -> GiftCardCodeMistyped:
    """Build the refusal of a text with too few or too many symbols."""
    return GiftCardCodeMistyped(GiftCardCodeMistake.LENGTH, f"A code has {CODE_LENGTH} letters and digits.", path)


def _decode_number(symbols: str) -> int:
    """Return the number that symbols of base 32 stand for."""
    number = 0
    for symbol in symbols:
        number = number << BITS_PER_SYMBOL | _VALUES[symbol]
    return number
