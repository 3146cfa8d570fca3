"""Amounts in another currency than the program's: the caller's exact rate, and the rule that converts amounts."""

import re
from dataclasses import dataclass

from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import Ratio, minor_digits
from loyalty.rules.rounding import Rounding, divide

RATE_MAX_DECIMALS = 10
RATE_MAX_DIGITS = 9
"""Digits before the point."""

_RATE = re.compile(rf"([0-9]{{1,{RATE_MAX_DIGITS}}})(?:\.([0-9]{{1,{RATE_MAX_DECIMALS}}}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The total of a purchase in its own currency, and the exchange rate that converted it.

    `rate` is the value of one unit of that currency in units of the program's currency. The rate stays if a later
    report tells the total in the program's currency; then `total_minor` is None.
    """

    currency: str
    rate: Ratio
    total_minor: int | None


def parse_rate(text: str, path: tuple[str, ...] = ("exchange_rate",)) -> Ratio:
    """Turn a decimal text such as "0.9512" into an exact rate. Raises InvalidInput for any other text, and for 0."""
    parts = _RATE.fullmatch(text)
    decimals = (parts[2] or "") if parts else ""
    scaled = int(parts[1] + decimals) if parts else 0
    if not scaled:
        reason = (
            f'must be above 0, such as "0.9512", with at most {RATE_MAX_DIGITS} digits and {RATE_MAX_DECIMALS} decimals'
        )
        raise InvalidInput.one(*path, reason=reason)
    return Ratio(scaled, 10 ** len(decimals))


def format_rate(rate: Ratio) -> str:
    """Turn a rate of `parse_rate` into its shortest decimal text: 19/20 is "0.95"."""
    whole, rest = divmod(rate.numerator * 10**RATE_MAX_DECIMALS // rate.denominator, 10**RATE_MAX_DECIMALS)
    return f"{whole}.{rest:0{RATE_MAX_DECIMALS}d}".rstrip("0").rstrip(".")


def convert_minor(amount_minor: int, rate: Ratio, source: str, target: str) -> int:
    """Convert minor units of the currency `source` into minor units of `target`, rounded to the nearest one.

    A half goes up. `rate` is the value of one unit of `source` in units of `target`.
    """
    numerator = amount_minor * rate.numerator * 10 ** minor_digits(target)
    return divide(numerator, rate.denominator * 10 ** minor_digits(source), Rounding.HALF_UP)
