"""The only place where a quotient becomes a whole number. No other code rounds points or money."""

from loyalty.rules.described_enum import DescribedEnum


class Rounding(DescribedEnum):
    """How a fraction of a point becomes a whole one."""

    FLOOR = "FLOOR", "Down, towards minus infinity: 1.9 becomes 1, -1.1 becomes -2."
    HALF_UP = "HALF_UP", "To the nearest; a half goes away from zero: 1.5 becomes 2, -1.5 becomes -2."
    CEIL = "CEIL", "Up, towards plus infinity: 1.1 becomes 2, -1.9 becomes -1."


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Divide whole numbers exactly and round once. Raises ValueError unless the denominator is positive."""
    if denominator <= 0:
        message = "the denominator must be positive"
        raise ValueError(message)
    if rounding is Rounding.FLOOR:
        return numerator // denominator
    if rounding is Rounding.CEIL:
        return -(-numerator // denominator)
    nearest = (2 * abs(numerator) + denominator) // (2 * denominator)
    return nearest if numerator >= 0 else -nearest
