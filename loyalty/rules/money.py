"""Money as whole minor units with a currency, and exact ratios of money, points and factors.

Nothing here is a float: texts become whole numbers directly, ratios stay pairs, and only `rounding` rounds.
"""

import re
from dataclasses import dataclass
from math import gcd

from loyalty.rules.errors import InvalidInput
from loyalty.rules.rounding import Rounding, divide

AMOUNT_MAX_DIGITS = 15
MAX_AMOUNT_MINOR = 10**AMOUNT_MAX_DIGITS - 1
"""Amounts have at most 15 digits in minor units: exact in JSON readers with doubles, and far inside a bigint."""

AMOUNT_MAX_LENGTH = 40
"""The longest text of an amount, with zeros that change nothing; the scalar of the API has the same limit."""

FACTOR_MAX_DECIMALS = 4

# ISO 4217:2015 with its amendments to January 2026, active currencies and funds by their number of minor digits.
# Metals, bond market units, test and "no currency" codes (XAU, XBA, XTS, XXX …) have no minor unit and are left out.
_CODES_BY_MINOR_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
        COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
        INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
        MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
        STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS = {code: digits for digits, codes in _CODES_BY_MINOR_DIGITS.items() for code in codes.split()}

_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents for EUR, whole yen for JPY) and its ISO 4217 code. May be negative."""

    amount_minor: int
    currency: str

    def __str__(self) -> str:
        return f"{format_amount(self.amount_minor, self.currency)} {self.currency}"


@dataclass(frozen=True, slots=True)
class PointValue:
    """The value of points as a ratio: `points` points are worth `money`. Both must be positive."""

    points: int
    money: Money


@dataclass(frozen=True, slots=True)
class Ratio:
    """An exact factor, kept in lowest terms so that equal factors are equal values.

    Raises ValueError unless the denominator is positive.
    """

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if self.denominator <= 0:
            message = "the denominator must be positive"
            raise ValueError(message)
        divisor = gcd(self.numerator, self.denominator)
        object.__setattr__(self, "numerator", self.numerator // divisor)
        object.__setattr__(self, "denominator", self.denominator // divisor)


def is_currency(code: str) -> bool:
    """Tell whether a text is an active ISO 4217 code, in capitals, of a currency that has amounts."""
    return code in MINOR_DIGITS


def minor_digits(currency: str, path: tuple[str, ...] = ("currency",)) -> int:
    """Return how many decimals a currency has (0, 2, 3 or 4 by ISO 4217). Raises InvalidInput for an unknown code."""
    digits = MINOR_DIGITS.get(currency)
    if digits is None:
        raise InvalidInput.one(*path, reason="must be an ISO 4217 currency code")
    return digits


def parse_amount(text: str, currency: str, path: tuple[str, ...] = ("amount",)) -> int:
    """Turn a decimal text such as "12.30" into minor units.

    Allowed are ASCII digits with an optional leading minus, and at most as many decimals as the currency has; zeros at
    the end do not count. Not allowed are an exponent, a plus sign, separators, and a point without digits on both
    sides. There are at most 15 digits in minor units. Raises InvalidInput at `path`.
    """
    digits = minor_digits(currency)
    return _parse_scaled(text, digits, f"{currency} has {digits} decimals", path)


def format_amount(amount_minor: int, currency: str) -> str:
    """Turn minor units into a decimal text with all decimals of the currency: 1230 EUR is "12.30"."""
    digits = minor_digits(currency)
    if not digits:
        return str(amount_minor)
    sign = "-" if amount_minor < 0 else ""
    text = str(abs(amount_minor)).zfill(digits + 1)
    return f"{sign}{text[:-digits]}.{text[-digits:]}"


def value_of(points: int, point_value: PointValue) -> Money:
    """Return the value of a number of points, rounded down to the minor unit."""
    money = point_value.money
    return Money(divide(points * money.amount_minor, point_value.points, Rounding.FLOOR), money.currency)


def parse_factor(text: str, path: tuple[str, ...] = ("factor",)) -> Ratio:
    """Turn a decimal text such as "1.5" into an exact ratio. At most 4 decimals are allowed, in the form of amounts."""
    scaled = _parse_scaled(text, FACTOR_MAX_DECIMALS, f"at most {FACTOR_MAX_DECIMALS} decimals are allowed", path)
    return Ratio(scaled, 10**FACTOR_MAX_DECIMALS)


def format_factor(factor: Ratio) -> str:
    """Turn a ratio of `parse_factor` into its shortest decimal text: 3/2 is "1.5", 2/1 is "2".

    Raises ValueError for a ratio that needs more than 4 decimals, such as 1/3.
    """
    scale = 10**FACTOR_MAX_DECIMALS
    scaled, rest = divmod(factor.numerator * scale, factor.denominator)
    if rest:
        message = f"{factor.numerator}/{factor.denominator} has more than {FACTOR_MAX_DECIMALS} decimals"
        raise ValueError(message)
    sign = "-" if scaled < 0 else ""
    whole, decimals = divmod(abs(scaled), scale)
    return f"{sign}{whole}.{decimals:0{FACTOR_MAX_DECIMALS}d}".rstrip("0").rstrip(".")


def _parse_scaled(text: str, decimals: int, decimals_reason: str, path: tuple[str, ...]) -> int:
    """Turn a decimal text into a whole number of units of 10^-``decimals``: "12.3" with 2 decimals is 1230.

    Zeros at the end do not count. ``decimals_reason`` is the end of the refusal of too many decimals.
    """
    parts = _AMOUNT.fullmatch(text) if len(text) <= AMOUNT_MAX_LENGTH else None
    if parts is None:
        reason = f'must be a decimal number of at most {AMOUNT_MAX_DIGITS} digits such as "12.30"'
        raise InvalidInput.one(*path, reason=reason)
    sign, whole, fraction = parts[1], parts[2], (parts[3] or "").rstrip("0")
    if len(fraction) > decimals:
        raise InvalidInput.one(*path, reason=f"has too many decimals: {decimals_reason}")
    scaled = int(whole + fraction.ljust(decimals, "0"))
    if scaled > MAX_AMOUNT_MINOR:
        raise InvalidInput.one(*path, reason=f"must have at most {AMOUNT_MAX_DIGITS} digits, decimals included")
    return -scaled if sign else scaled
