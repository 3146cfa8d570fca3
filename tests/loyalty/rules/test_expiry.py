"""When points expire: at the end of a local day, whatever the clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.expiry import (
    DEFAULT_NOTICE_DAYS,
    NEVER,
    ExpiryKind,
    ExpiryPolicy,
    Period,
    due_notice,
    end_of_day,
    expires_at,
    inactivity_days,
    next_notice_at,
    validate_expiry,
    validate_notices,
)
from tests.loyalty.rules.clocks import ZONES, changes_of

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)


def last_day(policy: ExpiryPolicy, at: datetime = NOON, zone: ZoneInfo = BERLIN) -> date:
    """Return the last local day on which the points can be spent."""
    expiry = expires_at(policy, at, zone)
    assert expiry is not None
    return (expiry - MOMENT).astimezone(zone).date()


def lasting(months: int = 0, days: int = 0) -> ExpiryPolicy:
    return ExpiryPolicy(ExpiryKind.FIXED_DURATION, months=months, days=days)


def with_period(period: Period, after: int = 0) -> ExpiryPolicy:
    return ExpiryPolicy(ExpiryKind.END_OF_PERIOD, period=period, periods_after=after)


def yearly(month: int, day: int, at_least: int = 0) -> ExpiryPolicy:
    return ExpiryPolicy(ExpiryKind.FIXED_DATE, month=month, day=day, days=at_least)


def test_points_never_expire_unless_somebody_says_so() -> None:
    """F-26: not 45 days, and not 0 for "never"."""
    assert ExpiryPolicy() == NEVER
    assert expires_at(NEVER, NOON, BERLIN) is None


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (lasting(months=12), date(2027, 3, 4)),
        (lasting(days=30), date(2026, 4, 3)),
        (lasting(months=1, days=1), date(2026, 4, 5)),
        (with_period(Period.MONTH), date(2026, 3, 31)),
        (with_period(Period.QUARTER), date(2026, 3, 31)),
        (with_period(Period.YEAR), date(2026, 12, 31)),
        (with_period(Period.YEAR, 1), date(2027, 12, 31)),
        (with_period(Period.QUARTER, 3), date(2026, 12, 31)),
        (yearly(12, 31), date(2026, 12, 31)),
        (yearly(3, 4), date(2026, 3, 4)),
        (yearly(3, 3), date(2027, 3, 3)),
        (yearly(3, 10, at_least=30), date(2027, 3, 10)),
        (yearly(2, 29), date(2027, 2, 28)),
        (ExpiryPolicy(ExpiryKind.INACTIVITY, days=90), date(2026, 6, 2)),
    ],
)
def test_the_last_day_of_points_that_come_on_a_day_in_march(policy: ExpiryPolicy, expected: date) -> None:
    """PB-13, F-24."""
    assert last_day(policy) == expected


@pytest.mark.parametrize(
    ("at", "months", "expected"),
    [
        (datetime(2026, 1, 31, 12, tzinfo=UTC), 1, date(2026, 2, 28)),
        (datetime(2027, 12, 31, 12, tzinfo=UTC), 2, date(2028, 2, 29)),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), 12, date(2029, 2, 28)),
    ],
)
def test_a_month_that_is_shorter_ends_earlier(at: datetime, months: int, expected: date) -> None:
    assert last_day(lasting(months=months), at) == expected


def test_the_day_is_that_of_the_tenant() -> None:
    """F-24: half past eleven in the evening in New York is another day than in Berlin."""
    at = datetime(2026, 12, 31, 22, 30, tzinfo=UTC)
    assert last_day(with_period(Period.YEAR), at, BERLIN) == date(2026, 12, 31)
    later = at + timedelta(hours=1)
    assert last_day(with_period(Period.YEAR), later, BERLIN) == date(2027, 12, 31)
    assert last_day(with_period(Period.YEAR), later, ZoneInfo("America/New_York")) == date(2026, 12, 31)


def test_the_instant_is_the_first_of_the_next_day() -> None:
    """F-24: not the start of the last day, and not a second after its end."""
    assert expires_at(lasting(days=1), NOON, BERLIN) == datetime(2026, 3, 5, 23, tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
def test_the_clocks_change_and_a_day_is_a_day(zone: str) -> None:
    """F-24, invariant 12: all changes from 2024 to 2030, before, on and after the day."""
    place = ZoneInfo(zone)
    for change in changes_of(zone):
        for days in range(-2, 3):
            at = change + days * DAY
            today = at.astimezone(place).date()
            for ahead in (0, 1, 2):
                expiry = expires_at(ExpiryPolicy(ExpiryKind.INACTIVITY, days=ahead), at, place)
                assert expiry is not None
                assert (expiry - MOMENT).astimezone(place).date() == today + ahead * DAY
                assert expiry.astimezone(place).date() == today + (ahead + 1) * DAY


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware
    st.sampled_from(
        [
            lasting(months=7, days=3),
            with_period(Period.MONTH, 2),
            with_period(Period.QUARTER),
            yearly(6, 30, at_least=10),
            ExpiryPolicy(ExpiryKind.INACTIVITY, days=1),
        ]
    ),
    st.sampled_from(ZONES),
)
def test_points_can_be_spent_on_the_day_they_come(at: datetime, policy: ExpiryPolicy, zone: str) -> None:
    expiry = expires_at(policy, at, ZoneInfo(zone))
    assert expiry is not None
    assert expiry > at


# ── notices ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("days_left", "expected"), [(40, 10), (30.5, 0.5), (30, 23), (7.5, 0.5), (7, 6), (1.5, 0.5), (1, None), (0.5, None)]
)
def test_the_next_notice(days_left: float, expected: float | None) -> None:
    """F-27: 30, 7 and 1 days before; never twice for one of them."""
    after = next_notice_at(NOON, DEFAULT_NOTICE_DAYS, NOON - timedelta(days=days_left), BERLIN)
    assert after == (None if expected is None else NOON - timedelta(days=days_left) + timedelta(days=expected))


@pytest.mark.parametrize(
    ("days_left", "expected"), [(31, None), (30, 30), (8, 30), (7, 7), (1, 1), (0.1, 1), (0, None)]
)
def test_which_notice_is_due(days_left: float, expected: int | None) -> None:
    since, now = NOON - 40 * DAY, NOON - timedelta(days=days_left)
    assert due_notice(NOON, DEFAULT_NOTICE_DAYS, since, now, BERLIN) == expected


def test_a_notice_that_was_due_before_is_not_sent_with_a_wrong_number_of_days() -> None:
    """With 30 added to the days of notice, no notice says 30 days when 7 are left."""
    week = NOON - 7 * DAY
    assert due_notice(NOON, (30,), week, week, BERLIN) is None
    assert due_notice(NOON, (30, 7), week, week, BERLIN) == 7


@pytest.mark.parametrize("days", [1, 3, 30, 365])
def test_notices_come_at_midnight_also_when_the_clocks_change(days: int) -> None:
    """F-24: the clocks in Berlin go forward on 29 March 2026, and back on 25 October."""
    for last in (date(2026, 3, 29), date(2026, 4, 1), date(2026, 10, 26)):
        expiry = end_of_day(last, BERLIN)
        told = next_notice_at(expiry, (days,), NOON - 400 * DAY, BERLIN)
        assert told is not None
        assert told.astimezone(BERLIN).replace(tzinfo=None) == datetime.combine(last + DAY - days * DAY, time())


def test_points_that_never_expire_have_no_notice() -> None:
    assert next_notice_at(None, DEFAULT_NOTICE_DAYS, NOON, BERLIN) is None
    assert next_notice_at(NOON, (), NOON - DAY, BERLIN) is None


@pytest.mark.parametrize("days", [(0,), (366,), (7, 7), tuple(range(1, 12))])
def test_impossible_notices_are_refused(days: tuple[int, ...]) -> None:
    assert [problem.path for problem in validate_notices(days)] == [("notice_days",)]
    assert validate_notices(DEFAULT_NOTICE_DAYS) == []


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (lasting(), ()),
        (lasting(months=121), ("months",)),
        (lasting(days=3_661), ("days",)),
        (lasting(months=1, days=-1), ("days",)),
        (ExpiryPolicy(ExpiryKind.INACTIVITY, days=0), ("days",)),
        (with_period(Period.MONTH, 41), ("periods_after",)),
        (yearly(13, 1), ("month",)),
        (yearly(1, 0), ("day",)),
        (yearly(1, 32), ("day",)),
        (yearly(1, 1, at_least=-1), ("minimum_days",)),
    ],
)
def test_an_impossible_policy_names_the_field(policy: ExpiryPolicy, field: tuple[str, ...]) -> None:
    (problem,) = validate_expiry(policy)
    assert problem.path == ("expiry", policy.kind.lower(), *field)


@pytest.mark.parametrize(
    "policy",
    [NEVER, lasting(months=120), lasting(days=3_660), with_period(Period.YEAR, 40), yearly(12, 31, at_least=3_660)],
)
def test_the_longest_lives_are_possible(policy: ExpiryPolicy) -> None:
    assert validate_expiry(policy) == []
    expires_at(policy, datetime(9900, 1, 1, tzinfo=UTC), BERLIN)


@pytest.mark.parametrize(
    ("local", "policy", "expected"),
    [
        ("2026-03-28T23:59:59", lasting(days=1), date(2026, 3, 29)),
        ("2026-03-29T00:00:00", lasting(days=1), date(2026, 3, 30)),
        ("2026-12-31T23:59:59", with_period(Period.YEAR), date(2026, 12, 31)),
        ("2027-01-01T00:00:00", with_period(Period.YEAR), date(2027, 12, 31)),
        ("2026-03-31T23:59:59", with_period(Period.QUARTER), date(2026, 3, 31)),
        ("2026-04-01T00:00:00", with_period(Period.QUARTER), date(2026, 6, 30)),
        ("2026-10-31T23:59:59", with_period(Period.MONTH), date(2026, 10, 31)),
        ("2026-11-01T00:00:00", with_period(Period.MONTH), date(2026, 11, 30)),
        ("2026-12-01T23:59:59", yearly(12, 31, at_least=30), date(2026, 12, 31)),
        ("2026-12-02T00:00:00", yearly(12, 31, at_least=30), date(2027, 12, 31)),
        ("2026-12-30T12:00:00", yearly(12, 31, at_least=0), date(2026, 12, 31)),
        ("2028-02-29T23:59:59", yearly(2, 29), date(2028, 2, 29)),
    ],
)
def test_a_second_earlier_or_later(local: str, policy: ExpiryPolicy, expected: date) -> None:
    """F-24: the day of points is that on which they come, to the second, where the tenant is."""
    at = datetime.fromisoformat(local).replace(tzinfo=BERLIN).astimezone(UTC)
    assert last_day(policy, at) == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("policy", [lasting(months=6), with_period(Period.MONTH), yearly(3, 31)], ids=str)
def test_a_second_before_the_expiry_is_the_last_day(zone: str, policy: ExpiryPolicy) -> None:
    """F-24: across every change of the clocks, forward and back."""
    place = ZoneInfo(zone)
    for change in changes_of(zone):
        for seconds in (-1, 0, 1):
            expiry = expires_at(policy, change + timedelta(seconds=seconds), place)
            assert expiry is not None
            before, after = ((expiry + timedelta(seconds=it)).astimezone(place).date() for it in (-1, 0))
            assert after == before + DAY


def test_only_inactivity_lives_on_by_activity() -> None:
    assert inactivity_days(ExpiryPolicy(ExpiryKind.INACTIVITY, days=90)) == 90
    assert inactivity_days(lasting(days=90)) is None
