from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from loyalty.rules.earning import Conditions, Weekday, compile_rules, evaluate
from loyalty.rules.earning_rule import WEEKDAYS
from loyalty.rules.report import day_range
from loyalty.rules.zones import is_time_zone
from tests.loyalty.rules.builders import earn, facts, policy, rule
from tests.loyalty.rules.clocks import ZONES as CLOCKS
from tests.loyalty.rules.clocks import changes_of
from tests.properties.strategies import ZONES

MICROSECOND, SECOND = timedelta(microseconds=1), timedelta(seconds=1)
DAYS = st.dates(date(1990, 1, 1), date(2037, 12, 31))
A_DAY_AND_A_HALF = timedelta(hours=36)
every_zone = st.sampled_from(sorted(zone for zone in available_timezones() if is_time_zone(zone)))


def around(change: datetime) -> Iterator[datetime]:
    """Yield every half hour of the three days around a change, and the seconds before and after it."""
    yield from (change + timedelta(minutes=30 * number) for number in range(-72, 73))
    yield from (change - SECOND, change - MICROSECOND, change + SECOND)


def local_day(at: datetime, change: datetime, zone: ZoneInfo) -> date:
    """Return the day on the wall, by nothing but the two offsets and the instant between them."""
    offset = (change if at >= change else change - SECOND).astimezone(zone).utcoffset()
    assert offset is not None
    return (at + offset).date()


def test_there_are_changes_enough() -> None:
    """30 zones, 7 years: a zone database without them would prove nothing."""
    changes = {zone: len(changes_of(zone)) for zone in CLOCKS}
    assert len(changes) == 30
    assert sum(changes.values()) >= 300
    assert sum(count >= 13 for count in changes.values()) >= 20


@pytest.mark.parametrize("zone", CLOCKS)
def test_the_weekday_is_the_local_one_around_every_change_of_clocks(zone: str) -> None:
    """BK-18, C-05: for a day and a half before and after every change from 2024 to 2030; rules of a weekday as well."""
    place = ZoneInfo(zone)
    sundays = compile_rules(
        policy(time_zone=zone), (rule(1, conditions=Conditions(weekdays=frozenset({Weekday.SUN}))),), ()
    )
    for change in changes_of(zone):
        for at in around(change):
            expected = WEEKDAYS[local_day(at, change, place).weekday()]
            evaluation = evaluate(sundays, facts(1, starts_at=at), at)
            assert evaluation.weekday is expected, at
            assert bool(evaluation.points) is (expected is Weekday.SUN), at


@pytest.mark.parametrize("zone", CLOCKS)
def test_every_instant_around_a_change_of_clocks_is_in_one_report_day(zone: str) -> None:
    """BK-54: the days of a range share nothing and leave nothing out, so what they sum up is what the range sums up."""
    place = ZoneInfo(zone)
    for change in changes_of(zone):
        instants = [at for at in around(change) if abs(at - change) <= A_DAY_AND_A_HALF]
        days = sorted({local_day(at, change, place) for at in instants})
        ranges = {day: day_range(day, day, zone)[:2] for day in days}
        for at in instants:
            assert [day for day, (start_at, end_at) in ranges.items() if start_at <= at < end_at] == [
                local_day(at, change, place)
            ]
        start_at, end_at, *_ = day_range(days[0], days[-1], zone)
        assert sum((end - start for start, end in ranges.values()), timedelta()) == end_at - start_at


@given(st.sampled_from(ZONES), DAYS, st.integers(0, 86_399))
def test_a_whole_local_day_has_one_weekday(zone: str, day: date, second: int) -> None:
    """BK-18, BK-54: weekdays and report days begin and end at the same instants."""
    start_at, end_at, *_ = day_range(day, day, zone)
    within = min(start_at + timedelta(seconds=second), end_at - MICROSECOND)
    for at in (start_at, within, end_at - MICROSECOND):
        assert earn(facts(1, starts_at=at), program=policy(time_zone=zone)).weekday is WEEKDAYS[day.weekday()]


@given(every_zone, DAYS)
@example("America/Scoresbysund", date(2024, 3, 31))  # clocks go forward to midnight
@example("Africa/Cairo", date(2025, 4, 25))  # at midnight
@example("Asia/Beirut", date(2025, 3, 30))
def test_a_day_begins_where_the_day_before_ends(zone: str, day: date) -> None:
    """BK-54, F-24: no instant is in two days, none is in no day, in every zone of the world."""
    start_at, end_at, *_ = day_range(day, day, zone)
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
    start_at, end_at, *_ = day_range(day, last, zone)
    assert start_at == day_range(day, day, zone)[0]
    assert end_at == day_range(last, last, zone)[1]
