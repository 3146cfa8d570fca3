"""Durations in whole minutes, written as ISO 8601 durations of days, hours and minutes.

Years and months are refused: their length depends on the date on which they begin.
"""

import re

from loyalty.rules.errors import InvalidInput

MINUTES_PER_HOUR = 60
MINUTES_PER_DAY = 24 * MINUTES_PER_HOUR

_DURATION = re.compile(
    r"P(?!$)(?:([0-9]{1,5})W)?(?:([0-9]{1,5})D)?(?:T(?!$)(?:([0-9]{1,5})H)?(?:([0-9]{1,5})M)?(?:0+S)?)?",
    re.ASCII,
)


def parse_minutes(text: str, path: tuple[str, ...]) -> int:
    """Turn a duration such as PT3H or P14D into minutes. Raises InvalidInput for seconds, months and years."""
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise InvalidInput.one(*path, reason="must be weeks, days, hours and minutes, such as P14D or PT3H")
    weeks, days, hours, minutes = (int(part or 0) for part in parts.groups())
    return (7 * weeks + days) * MINUTES_PER_DAY + hours * MINUTES_PER_HOUR + minutes


def format_minutes(minutes: int) -> str:
    """Turn minutes into the shortest duration: 180 is PT3H, 0 is PT0S."""
    days, rest = divmod(minutes, MINUTES_PER_DAY)
    hours, left = divmod(rest, MINUTES_PER_HOUR)
    time = (f"{hours}H" if hours else "") + (f"{left}M" if left else "")
    date = f"{days}D" if days else ""
    return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"
