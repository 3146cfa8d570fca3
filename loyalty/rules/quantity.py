"""The quantity of a line: whole numbers, or exact decimals such as 1.5 hours. Floats are never used.

A whole quantity is an ``int`` everywhere. So it is stored, compared and shown as before decimals were introduced.
"""

import re
from fractions import Fraction

QUANTITY_MAX_DECIMALS = 3
SCALE = 10**QUANTITY_MAX_DECIMALS

_QUANTITY = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?", re.ASCII)

Quantity = int | Fraction


def parse_quantity(text: str) -> Quantity | None:
    """Turn a decimal text such as "1.5" into a quantity; None for any other text, and for too many decimals.

    Zeros at the end do not count: "2.000" is 2.
    """
    parts = _QUANTITY.fullmatch(text)
    decimals = (parts[2] or "").rstrip("0") if parts else ""
    if parts is None or len(decimals) > QUANTITY_MAX_DECIMALS:
        return None
    return simplify_quantity(Fraction(int(parts[1] + decimals), 10 ** len(decimals)))


def simplify_quantity(quantity: Quantity) -> Quantity:
    """Return a whole quantity as an ``int``, any other unchanged."""
    if isinstance(quantity, int):
        return quantity
    return quantity.numerator if quantity.denominator == 1 else quantity


def format_quantity(quantity: Quantity) -> str:
    """Turn a quantity into its shortest decimal text: 3/2 is "1.5"."""
    if isinstance(quantity, int):
        return str(quantity)
    whole, thousandths = divmod(scale_quantity(quantity), SCALE)
    return f"{whole}.{thousandths:0{QUANTITY_MAX_DECIMALS}d}".rstrip("0").rstrip(".")


def scale_quantity(quantity: Quantity) -> int:
    """Return a quantity in thousandths of a unit. Raises ValueError if it has more decimals."""
    scaled = quantity * SCALE
    if isinstance(scaled, Fraction) and scaled.denominator != 1:
        message = f"{quantity} has more than {QUANTITY_MAX_DECIMALS} decimals"
        raise ValueError(message)
    return int(scaled)


def quantity_document(quantity: Quantity) -> int | str:
    """Return a quantity in stored form: a number if it is whole, else a decimal text."""
    return quantity if isinstance(quantity, int) else format_quantity(quantity)


def quantity_from_document(stored: int | str) -> Quantity:
    """Return a quantity from its stored form. Raises ValueError if it is none."""
    quantity = stored if isinstance(stored, int) else parse_quantity(stored)
    if quantity is None:
        message = f"{stored!r} is no quantity"
        raise ValueError(message)
    return quantity
