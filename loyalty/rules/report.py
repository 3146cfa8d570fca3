"""The arithmetic of reports: the redemption rate, and the instants of a range of local days."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from loyalty.rules.entry import DisplayColor, EntryKind
from loyalty.rules.entry_kinds import display_color, entry_color
from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import Ratio
from loyalty.rules.rounding import Rounding, divide
from loyalty.rules.zones import begin_of_day, find_time_zone

__all__ = [
    "DisplayColor",
    "EntryKind",
    "ReportRange",
    "day_range",
    "display_color",
    "entry_color",
    "redemption_rate",
    "redemption_ratio",
]

FIRST_REPORT_DAY = date(1970, 1, 1)
LAST_REPORT_DAY = date(9998, 12, 31)
"""One year before the last date that Python knows, so that the day after it exists in every zone."""

MAX_RATE_PERCENT = 2**31 - 1
"""The largest rate: readers take it as a 32-bit number.

Only nonsense reaches it (21 million times more than earned).
"""


class ReportRange(NamedTuple):
    """The range of a report: its instants, its local days, and the zone of these days."""

    starts_at: datetime
    """The first instant of the range."""
    ends_at: datetime
    """The first instant after the range."""
    first_day: date
    after: date
    """The first day after the range."""
    time_zone: str

    def list_begins(self) -> list[datetime]:
        """Return the first instant of each day of the range."""
        zone, days = find_time_zone(self.time_zone), (self.after - self.first_day).days
        return [begin_of_day(self.first_day + timedelta(days=number), zone) for number in range(days)]


def redemption_rate(earned: int, redeemed: int) -> int:
    """Return redeemed ÷ earned in whole percent, rounded up; 0 if nothing was earned or redeemed.

    Both are positive numbers of points. The rate may be above 100.
    """
    if earned <= 0 or redeemed <= 0:
        return 0
    return min(divide(100 * redeemed, earned, Rounding.CEIL), MAX_RATE_PERCENT)


def redemption_ratio(earned: int, redeemed: int) -> Ratio | None:
    """Return redeemed ÷ earned exactly; None if nothing was earned."""
    return Ratio(redeemed, earned) if earned > 0 else None


def day_range(first_day: date, last_day: date, time_zone: str) -> ReportRange:
    """Return a range of local days, both days included. Its instants are aware UTC and half-open.

    A day may have 23 or 25 hours. Raises InvalidInput if the last day is before the first, a day lies outside
    1970–9998, or the zone does not exist.
    """
    zone = find_time_zone(time_zone)
    for name, day in (("from", first_day), ("to", last_day)):
        if not FIRST_REPORT_DAY <= day <= LAST_REPORT_DAY:
            raise InvalidInput.one("range", name, reason=f"must be between {FIRST_REPORT_DAY} and {LAST_REPORT_DAY}")
    if last_day < first_day:
        raise InvalidInput.one("range", "to", reason="must not be before the first day")
    after = last_day + timedelta(days=1)
    return ReportRange(begin_of_day(first_day, zone), begin_of_day(after, zone), first_day, after, time_zone)
