from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import assume, example, given
from hypothesis import strategies as st

from loyalty.rules.earning_rule import WEEKDAYS
from loyalty.rules.report import day_range
from loyalty.rules.zones import is_time_zone
from tests.loyalty.rules.builders import earn, facts, policy
from tests.properties.strategies import ZONES

MICROSECOND = timedelta(microseconds=1)
DAYS = st.dates(date(1990, 1, 1), date(2037, 12, 31))
CHANGES = {
    "Europe/Berlin": (date(2025, 3, 30), date(2025, 10, 26)),
    "America/New_York": (date(2025, 3, 9), date(2025, 11, 2)),
    "Australia/Lord_Howe": (date(2025, 4, 6), date(2025, 10, 5)),
    "America/Santiago": (date(2025, 4, 5), date(2025, 9, 7)),
}
every_zone = st.sampled_from(sorted(zone for zone in available_timezones() if is_time_zone(zone)))
days_of_change = st.sampled_from([(zone, day) for zone, days in CHANGES.items() for day in days])


@given(days_of_change, st.integers(-36 * 3600, 36 * 3600))
def test_the_weekday_is_the_local_one_around_every_change_of_clocks(change: tuple[str, date], seconds: int) -> None:
    """BK-18, C-05: for a day and a half before and after midnight of a day on which clocks change."""
    zone, day = change
    at = datetime.combine(day, time.min, UTC) + timedelta(seconds=seconds)
    weekday = earn(facts(1, starts_at=at), program=policy(time_zone=zone)).weekday
    assert weekday is WEEKDAYS[at.astimezone(ZoneInfo(zone)).date().isoweekday() - 1]


@given(st.sampled_from(ZONES), DAYS, st.integers(0, 86_399))
def test_a_whole_local_day_has_one_weekday(zone: str, day: date, second: int) -> None:
    """BK-18, BK-54: weekdays and report days begin and end at the same instants."""
    start_at, end_at = day_range(day, day, zone)
    within = min(start_at + timedelta(seconds=second), end_at - MICROSECOND)
    for at in (start_at, within, end_at - MICROSECOND):
        assert earn(facts(1, starts_at=at), program=policy(time_zone=zone)).weekday is WEEKDAYS[day.weekday()]


@given(every_zone, DAYS)
@example("America/Scoresbysund", date(2024, 3, 31))  # clocks go forward to midnight
@example("Africa/Cairo", date(2025, 4, 25))  # at midnight
@example("Asia/Beirut", date(2025, 3, 30))
def test_a_day_begins_where_the_day_before_ends(zone: str, day: date) -> None:
    """BK-54, F-24: no instant is in two days, none is in no day, in every zone of the world."""
    start_at, end_at = day_range(day, day, zone)
    assume(start_at < end_at)  # a zone that crosses the date line skips a day
    local = ZoneInfo(zone)
    assert start_at.astimezone(local).date() == day
    assert (start_at - MICROSECOND).astimezone(local).date() < day
    assert (end_at - MICROSECOND).astimezone(local).date() == day
    assert end_at.astimezone(local).date() > day


@given(every_zone, DAYS, st.integers(0, 400))
def test_a_range_is_its_days_one_after_another(zone: str, day: date, length: int) -> None:
    """BK-54: both days included."""
    last = day + timedelta(days=length)
    start_at, end_at = day_range(day, last, zone)
    assert start_at == day_range(day, day, zone)[0]
    assert end_at == day_range(last, last, zone)[1]
