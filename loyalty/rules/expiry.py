"""When points expire, and when notices of the expiry are due.

Points can be spent until the end of a local day of the tenant. They expire at the first instant of the next day.
"""

import calendar
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import InvalidInput, Problem
from loyalty.rules.zones import begin_of_day

MAX_MONTHS = 120
MAX_DAYS = 3_660
MAX_PERIODS_AFTER = 40
MAX_NOTICES = 10
MAX_NOTICE_DAYS = 365
DEFAULT_MINIMUM_DAYS = 30
"""The least number of days that points live before a fixed date, unless the policy says otherwise."""
MONTHS_PER_YEAR = 12
LAST_DAY = 31
ONE_DAY = timedelta(days=1)
LAST_EXPIRY_DAY = date(9998, 12, 31)
"""One year before the last date that Python knows, so that the day after it exists in every zone."""


class ExpiryKind(DescribedEnum):
    """By which rule points expire."""

    NONE = "NONE", "Never."
    FIXED_DURATION = "FIXED_DURATION", "So many months and days after they became spendable."
    END_OF_PERIOD = (
        "END_OF_PERIOD",
        ("With a calendar month, quarter or year: that in which they became spendable, or a later one."),
    )
    FIXED_DATE = "FIXED_DATE", "On a day of the year, the next one that leaves them at least so many days."
    INACTIVITY = "INACTIVITY", "So many days after their owner last earned or redeemed."


class Period(DescribedEnum):
    """A part of the calendar, in the tenant's time zone."""

    MONTH = "MONTH", "A month."
    QUARTER = "QUARTER", "Three months, from January on."
    YEAR = "YEAR", "A year."


MONTHS_OF_PERIOD = {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: MONTHS_PER_YEAR}


@dataclass(frozen=True, slots=True)
class ExpiryPolicy:
    """When points expire. The kind decides which of the numbers count.

    FIXED_DURATION: `months` and `days`. END_OF_PERIOD: `period` and `periods_after`. FIXED_DATE: `month` and `day` of
    the year, at least `days` in the future; a day that a month does not have is the last day of the month. INACTIVITY:
    `days`.
    """

    kind: ExpiryKind = ExpiryKind.NONE
    months: int = 0
    days: int = 0
    period: Period = Period.YEAR
    periods_after: int = 0
    month: int = MONTHS_PER_YEAR
    day: int = LAST_DAY


NEVER = ExpiryPolicy()

DEFAULT_NOTICE_DAYS = (30, 7, 1)
"""How many days before the expiry the notices are due."""


def expires_at(policy: ExpiryPolicy, at: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when points expire: the first instant at which they cannot be spent; None for never.

    ``at`` is when the points came in, or when their owner was last active. Both instants are aware UTC.
    """
    last_day = _find_last_day(policy, at.astimezone(zone).date())
    return None if last_day is None else end_of_day(last_day, zone)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant after a local day, in aware UTC."""
    return begin_of_day(day + ONE_DAY, zone)


def end_of_last_day(last_day: date, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the expiry instant for a last day that a caller has chosen.

    Raises InvalidInput for a day that is over, or too far in the future.
    """
    if not now.astimezone(zone).date() <= last_day <= LAST_EXPIRY_DAY:
        raise InvalidInput.one("expires_on", reason="must be today or later, where the tenant is")
    return end_of_day(last_day, zone)


def last_day_before(expiry: datetime, zone: ZoneInfo) -> date:
    """Return the last day of points that expire at an instant."""
    return (expiry - timedelta(microseconds=1)).astimezone(zone).date()


def inactivity_days(policy: ExpiryPolicy) -> int | None:
    """Return after how many days without activity points expire; None for every other kind of policy."""
    return policy.days if policy.kind is ExpiryKind.INACTIVITY else None


def notice_at(expiry: datetime, days: int, zone: ZoneInfo) -> datetime:
    """Return the instant that is so many local days before the expiry, at the local time of the expiry."""
    return (expiry.astimezone(zone) - timedelta(days=days)).astimezone(UTC)


def next_notice_at(
    expiry: datetime | None, notice_days: Iterable[int], after: datetime, zone: ZoneInfo
) -> datetime | None:
    """Return when the next notice after an instant is due; None if no notice is left."""
    if expiry is None:
        return None
    moments = (notice_at(expiry, days, zone) for days in notice_days)
    return min((moment for moment in moments if moment > after), default=None)


def due_notice(
    expiry: datetime, notice_days: Iterable[int], since: datetime, now: datetime, zone: ZoneInfo
) -> int | None:
    """Return the number of days of the notice that is due now; None if no notice is due, or the points have expired.

    `since` is when the oldest notice that was not told yet was due. If several notices came due since then, the last
    one is returned: the numbers of days of the earlier ones are wrong by now.
    """
    if now >= expiry:
        return None
    return min((days for days in notice_days if since <= notice_at(expiry, days, zone) <= now), default=None)


def validate_expiry(policy: ExpiryPolicy, path: tuple[str, ...] = ("expiry",)) -> list[Problem]:
    """Return everything wrong with a policy: at most 120 months, 3,660 days and 40 periods; a valid month and day."""
    return [problem for problem in _policy_problems(policy, path) if problem is not None]


def validate_notices(notice_days: tuple[int, ...]) -> list[Problem]:
    """Return everything wrong with the days of notice: at most 10 different ones of 1 to 365 days."""
    path = ("notice_days",)
    if len(notice_days) > MAX_NOTICES or len(set(notice_days)) < len(notice_days):
        return [Problem(path, f"must be at most {MAX_NOTICES} different numbers")]
    if any(not 1 <= days <= MAX_NOTICE_DAYS for days in notice_days):
        return [Problem(path, f"must be between 1 and {MAX_NOTICE_DAYS} days")]
    return []


def _find_last_day(policy: ExpiryPolicy, today: date) -> date | None:
    """Return the last day of points that come in ``today`` (a local day); None if they never expire."""
    match policy.kind:
        case ExpiryKind.NONE:
            return None
        case ExpiryKind.FIXED_DURATION:
            return add_months(today, policy.months) + timedelta(days=policy.days)
        case ExpiryKind.INACTIVITY:
            return today + timedelta(days=policy.days)
        case ExpiryKind.END_OF_PERIOD:
            length = MONTHS_OF_PERIOD[policy.period]
            first = today.replace(day=1, month=(today.month - 1) // length * length + 1)
            return add_months(first, length * (1 + policy.periods_after)) - ONE_DAY
        case ExpiryKind.FIXED_DATE:
            earliest = today + timedelta(days=policy.days)
            this_year = _clamp_date(earliest.year, policy.month, policy.day)
            return this_year if this_year >= earliest else _clamp_date(earliest.year + 1, policy.month, policy.day)


def add_months(day: date, months: int) -> date:
    """Return the same day so many months later (earlier if negative), or the last day of a shorter month."""
    year, month = divmod(day.year * MONTHS_PER_YEAR + day.month - 1 + months, MONTHS_PER_YEAR)
    return _clamp_date(year, month + 1, day.day)


def _clamp_date(year: int, month: int, day: int) -> date:
    """Return a date. If the month has fewer days, return its last day."""
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))


def _policy_problems(policy: ExpiryPolicy, path: tuple[str, ...]) -> Iterator[Problem | None]:
    """Yield the problems of a policy, and None for checks that find none."""
    here = (*path, policy.kind.lower())
    match policy.kind:
        case ExpiryKind.FIXED_DURATION:
            if not policy.months and not policy.days:
                yield Problem(here, "must have months or days")
            yield _check_range(policy.months, 0, MAX_MONTHS, (*here, "months"))
            yield _check_range(policy.days, 0, MAX_DAYS, (*here, "days"))
        case ExpiryKind.END_OF_PERIOD:
            yield _check_range(policy.periods_after, 0, MAX_PERIODS_AFTER, (*here, "periods_after"))
        case ExpiryKind.FIXED_DATE:
            yield _check_range(policy.month, 1, MONTHS_PER_YEAR, (*here, "month"))
            yield _check_range(policy.day, 1, LAST_DAY, (*here, "day"))
            yield _check_range(policy.days, 0, MAX_DAYS, (*here, "minimum_days"))
        case ExpiryKind.INACTIVITY:
            yield _check_range(policy.days, 1, MAX_DAYS, (*here, "days"))


def _check_range(value: int, least: int, most: int, path: tuple[str, ...]) -> Problem | None:
    return None if least <= value <= most else Problem(path, f"must be between {least} and {most}")
