"""The range of points: whole numbers that every JSON reader keeps exactly."""

from loyalty.rules.errors import Problem

MAX_POINTS = 9_007_199_254_740_991
"""2^53 - 1, the largest whole number that a JSON reader with doubles keeps exactly (RFC 8259, section 6)."""


def check_points(value: int, path: tuple[str, ...] = ("points",), minimum: int = 1) -> Problem | None:
    """Return what is wrong with a number of points that must lie in minimum..MAX_POINTS, or None."""
    if minimum <= value <= MAX_POINTS:
        return None
    return Problem(path, f"must be between {minimum} and {MAX_POINTS}")
