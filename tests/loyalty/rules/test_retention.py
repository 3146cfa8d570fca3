"""Who is kept, when a setting begins, and how months are counted: tables of cases, and the calendar by hypothesis."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.account import Account
from loyalty.rules.ids import CustomerId
from loyalty.rules.retention import (
    ACTIVITY_STEP,
    MAX_RETENTION_MONTHS,
    MIN_RETENTION_MONTHS,
    NO_RETENTION,
    NOTICE_DAYS,
    Keepers,
    RetentionSettings,
    check_retention,
    find_begin,
    find_due_time,
    find_end,
    is_kept,
    mark_active,
    subtract_months,
)

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
THEN = NOON.replace(year=2024)
GONE = Account(CustomerId(UUID(int=1)), active_at=THEN)
"""Somebody who was active exactly 24 months before noon, and has nothing."""

CASES: dict[str, tuple[Account, Keepers, bool]] = {
    "nothing left, and exactly the months": (GONE, Keepers(), False),
    "a moment less than the months": (replace(GONE, active_at=THEN + MOMENT), Keepers(), True),
    "points to spend": (replace(GONE, available=1), Keepers(), True),
    "pending points": (replace(GONE, pending=1), Keepers(), True),
    "points on hold": (replace(GONE, held=1), Keepers(), True),
    "money on a gift card": (GONE, Keepers(gift_card_minor=1), True),
    "a purchase still to come": (GONE, Keepers(open_purchases=1), True),
    "a gift to be handed over later": (GONE, Keepers(open_gifts=1), True),
    "debt": (replace(GONE, debt=50), Keepers(), False),
    "points earned in a life": (replace(GONE, lifetime_earned=5_000, qualifying=5_000), Keepers(), False),
    "archived": (replace(GONE, archived_at=NOON), Keepers(), False),
    "merged or erased": (replace(GONE, active_at=None), Keepers(), True),
}


@pytest.mark.parametrize("case", CASES)
def test_points_and_money_keep_a_customer(case: str) -> None:
    account, keepers, kept = CASES[case]
    assert is_kept(account, keepers, 24, NOON) is kept


BEGIN = datetime(2026, 7, 1, tzinfo=UTC)
IN_NOTICE = NOON + timedelta(days=NOTICE_DAYS)
BEGINS: dict[str, tuple[RetentionSettings, RetentionSettings, datetime | None, datetime | None]] = {
    "switched on": (NO_RETENTION, RetentionSettings(24), None, IN_NOTICE),
    "shorter": (RetentionSettings(24), RetentionSettings(23), BEGIN, IN_NOTICE),
    "longer": (RetentionSettings(24), RetentionSettings(25), BEGIN, BEGIN),
    "the same": (RetentionSettings(24), RetentionSettings(24), BEGIN, BEGIN),
    "switched off": (RetentionSettings(24), NO_RETENTION, BEGIN, None),
    "the other one as well": (RetentionSettings(24), RetentionSettings(24, 12), BEGIN, IN_NOTICE),
    "one of two switched off": (RetentionSettings(24, 12), RetentionSettings(24), BEGIN, BEGIN),
    "one longer, the other shorter": (RetentionSettings(24, 12), RetentionSettings(36, 6), BEGIN, IN_NOTICE),
}


@pytest.mark.parametrize("case", BEGINS)
def test_only_a_stricter_setting_waits_for_the_days_of_notice(case: str) -> None:
    former, wanted, former_begin, begin = BEGINS[case]
    assert find_begin(former, wanted, former_begin, NOON) == begin


@pytest.mark.parametrize("name", ["inactive_months", "profile_history_months"])
def test_months_have_bounds(name: str) -> None:
    for months in (None, MIN_RETENTION_MONTHS, MAX_RETENTION_MONTHS):
        assert check_retention(RetentionSettings(**{name: months})) == []
    for months in (0, -24, MIN_RETENTION_MONTHS - 1, MAX_RETENTION_MONTHS + 1):
        (problem,) = check_retention(RetentionSettings(**{name: months}))
        assert (problem.path, problem.reason) == ((name,), "must be between 6 and 120")


@pytest.mark.parametrize(
    ("at", "months", "before"),
    [
        ("2026-08-31T12:00", 6, "2026-02-28T12:00"),
        ("2028-08-31T12:00", 6, "2028-02-29T12:00"),
        ("2026-01-31T12:00", 12, "2025-01-31T12:00"),
        ("2026-01-01T00:00", 13, "2024-12-01T00:00"),
    ],
)
def test_months_are_those_of_the_calendar(at: str, months: int, before: str) -> None:
    here = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert subtract_months(here, months) == datetime.fromisoformat(before).replace(tzinfo=UTC)


@given(
    since=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    months=st.integers(MIN_RETENTION_MONTHS, MAX_RETENTION_MONTHS),
)
def test_the_end_is_the_first_instant_that_is_so_many_months_later(since: datetime, months: int) -> None:
    """What the query shows as due is what the sweep finds due, to the microsecond."""
    end = find_end(since, months)
    assert subtract_months(end, months) >= since
    assert subtract_months(end - MOMENT, months) < since


def test_nobody_is_due_before_the_setting_begins() -> None:
    assert find_due_time(NOON, 6, BEGIN) == datetime(2026, 12, 15, 12, tzinfo=UTC)
    assert find_due_time(datetime(2020, 1, 1, tzinfo=UTC), 6, BEGIN) == BEGIN


def test_activity_is_noted_once_a_day() -> None:
    within = NOON + ACTIVITY_STEP - MOMENT
    account = replace(GONE, active_at=NOON)
    assert mark_active(account, within) is account
    assert mark_active(account, NOON + ACTIVITY_STEP).active_at == NOON + ACTIVITY_STEP


@pytest.mark.parametrize("change", [{"active_at": None}, {"archived_at": NOON}])
def test_whoever_is_archived_merged_or_erased_is_not_active(change: dict[str, datetime | None]) -> None:
    account = replace(GONE, **change)  # type: ignore[arg-type]
    assert mark_active(account, NOON) is account
