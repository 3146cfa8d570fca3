"""The instants that callers may send: with an offset, and far enough from the ends of the calendar.

Zones and delays move an instant by up to a year. An instant at the very end of the calendar could not be moved.
"""

from datetime import UTC, datetime

from loyalty.rules.errors import Problem

FIRST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(9998, 1, 1, tzinfo=UTC)


def check_instant(value: datetime | None, path: tuple[str, ...]) -> Problem | None:
    """Return what is wrong with an instant; None if it is right, or if there is no instant."""
    if value is None:
        return None
    if value.utcoffset() is None:
        return Problem(path, "must have an offset")
    if not FIRST_INSTANT <= value <= LAST_INSTANT:
        return Problem(path, f"must be between {FIRST_INSTANT:%Y-%m-%d} and {LAST_INSTANT:%Y-%m-%d}")
    return None
