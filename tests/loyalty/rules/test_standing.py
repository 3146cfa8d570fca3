"""What a tier stands on under each policy, and what time does to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from loyalty.rules.account import Account, CountedIn, Overdraft, credit, debit, expire_points, take_back
from loyalty.rules.expiry import Period
from loyalty.rules.standing import (
    apply_time,
    count_qualifying,
    find_counting_window,
    measure_fall,
    measure_standing,
    name_measure,
    next_start,
    previous_start,
    recount_windows,
    settle_standing,
    window_start,
)
from loyalty.rules.tiers import DEFAULT_TIERING, Downgrade, TierBasis, TierPolicy, tier_for, validate_tiering
from tests.loyalty.rules.builders import account, tier

BERLIN = ZoneInfo("Europe/Berlin")
LIFETIME, WINDOW, BALANCE = TierBasis.LIFETIME_EARNED, TierBasis.EARNED_IN_WINDOW, TierBasis.BALANCE
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
JANUARY = datetime(2025, 12, 31, 23, tzinfo=UTC)
NEXT_JANUARY = datetime(2026, 12, 31, 23, tzinfo=UTC)
LADDER = (tier(0, "Regular"), tier(500, "Silver"), tier(1_000, "Gold"))
MOMENT = timedelta(microseconds=1)


def by_window(**changes: Any) -> TierPolicy:
    """Return the policy that counts what is earned in a year, and reviews it at the end."""
    return replace(TierPolicy(WINDOW), **changes)


def begun(policy: TierPolicy, previous: int = 0, points: int = 0, **numbers: Any) -> Account:
    """Return an account of somebody whose windows were counted just now."""
    return recount_windows(policy, account(**numbers), (points, previous), NOW, BERLIN)


def earn(policy: TierPolicy, before: Account, points: int, now: datetime = NOW) -> Account:
    """Return the account after a purchase with so many points."""
    opened = apply_time(policy, before, now, BERLIN)
    return settle_standing(policy, opened, credit(opened, points, earned=True, qualifying=True).account, now, BERLIN)


def wait(policy: TierPolicy, before: Account, now: datetime) -> Account:
    """Return the account as time has changed it, when somebody looks at it now."""
    return settle_standing(policy, before, apply_time(policy, before, now, BERLIN), now, BERLIN)


@pytest.mark.parametrize("policy", [TierPolicy(LIFETIME), by_window(), TierPolicy(BALANCE)], ids=lambda it: it.basis)
@pytest.mark.parametrize("minimum", [500, 1_000])
@pytest.mark.parametrize(("beyond", "reaches"), [(-1, False), (0, True), (1, True)])
def test_a_tier_begins_at_its_minimum_whatever_counts(
    policy: TierPolicy,
    minimum: int,
    beyond: int,
    reaches: bool,  # noqa: FBT001
) -> None:
    """BK-34, F-29: just below, at and just above each minimum, in one purchase."""
    standing = earn(policy, begun(policy), minimum + beyond).standing
    current = tier_for(LADDER, standing)
    assert current is not None
    assert (current.min_points >= minimum) is reaches


@pytest.mark.parametrize(
    ("policy", "kept"),
    [(TierPolicy(LIFETIME), 600), (by_window(), 600), (TierPolicy(BALANCE), 600)],
    ids=lambda it: getattr(it, "basis", it),
)
def test_spending_and_expiry_lower_nothing_at_once(policy: TierPolicy, kept: int) -> None:
    """BK-33, C-07, F-30: not even where the balance counts, before its review."""
    rich = earn(policy, begun(policy), 600)
    spent = debit(rich, 500, overdraft=Overdraft.REJECT, qualifying=False).account
    assert settle_standing(policy, rich, spent, NOW, BERLIN).standing == kept
    assert settle_standing(policy, rich, expire_points(rich, 500), NOW, BERLIN).standing == kept


@pytest.mark.parametrize("policy", [TierPolicy(LIFETIME), by_window(), TierPolicy(BALANCE)], ids=lambda it: it.basis)
@pytest.mark.parametrize("downgrade", Downgrade)
def test_corrections_and_reversals_lower_it_at_once(policy: TierPolicy, downgrade: Downgrade) -> None:
    """C-07: under every policy."""
    policy = replace(policy, downgrade=downgrade)
    rich = earn(policy, begun(policy), 600)
    corrected = debit(rich, 101, overdraft=Overdraft.REJECT, qualifying=True).account
    assert settle_standing(policy, rich, corrected, NOW, BERLIN).standing == 499
    reversed_ = take_back(rich, 101, overdraft=Overdraft.REJECT).account
    assert settle_standing(policy, rich, reversed_, NOW, BERLIN).standing == 499


def test_qualifying_points_follow_the_policy() -> None:
    """BK-92: the points that lead to the next tier."""
    all_of_it = account(qualifying=900, available=50, held=5, window_points=300, previous_window_points=400)
    for basis, points in ((LIFETIME, 900), (WINDOW, 300), (BALANCE, 55)):
        assert count_qualifying(TierPolicy(basis), all_of_it) == points


@pytest.mark.parametrize(
    ("previous", "points", "best"),
    [
        (500, 300, 500),
        (300, 500, 500),
        (500, -100, 400),
        (100, -300, -200),
        (0, -5, -5),
    ],
)
def test_the_better_of_two_windows_counts(previous: int, points: int, best: int) -> None:
    """C-07: a correction that takes more than the open window has takes the rest from the last one."""
    assert measure_standing(by_window(), begun(by_window(), previous, points)) == best


# ── windows ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("window", "at", "zone", "start", "following"),
    [
        (Period.YEAR, "2026-03-04T12:00Z", "Europe/Berlin", "2025-12-31T23:00Z", "2026-12-31T23:00Z"),
        (Period.YEAR, "2025-12-31T23:00Z", "Europe/Berlin", "2025-12-31T23:00Z", "2026-12-31T23:00Z"),
        (Period.YEAR, "2025-12-31T22:59Z", "Europe/Berlin", "2024-12-31T23:00Z", "2025-12-31T23:00Z"),
        # In March and in October the clocks change: a window is not so many hours.
        (Period.MONTH, "2026-03-31T12:00Z", "Europe/Berlin", "2026-02-28T23:00Z", "2026-03-31T22:00Z"),
        (Period.MONTH, "2026-10-31T12:00Z", "Europe/Berlin", "2026-09-30T22:00Z", "2026-10-31T23:00Z"),
        (Period.QUARTER, "2026-05-31T12:00Z", "Europe/Berlin", "2026-03-31T22:00Z", "2026-06-30T22:00Z"),
        (Period.QUARTER, "2026-12-31T12:00Z", "America/New_York", "2026-10-01T04:00Z", "2027-01-01T05:00Z"),
        (Period.MONTH, "2026-03-01T09:59Z", "Pacific/Kiritimati", "2026-02-28T10:00Z", "2026-03-31T10:00Z"),
        (Period.MONTH, "2024-02-29T12:00Z", "UTC", "2024-02-01T00:00Z", "2024-03-01T00:00Z"),
        # Midnight of the 1st does not exist: the clocks go from 23:59:59 to 01:00.
        (Period.MONTH, "2024-03-31T00:00Z", "Asia/Beirut", "2024-02-29T22:00Z", "2024-03-31T21:00Z"),
    ],
)
def test_windows_begin_at_local_midnight(window: Period, at: str, zone: str, start: str, following: str) -> None:
    """C-12: parts of the calendar where the tenant is, also when the clocks change."""
    begins = datetime.fromisoformat(start)
    assert window_start(window, datetime.fromisoformat(at), ZoneInfo(zone)) == begins
    assert next_start(window, begins, ZoneInfo(zone)) == datetime.fromisoformat(following)
    assert previous_start(window, datetime.fromisoformat(following), ZoneInfo(zone)) == begins


def test_a_window_turns_when_somebody_looks() -> None:
    """EARNED_IN_WINDOW: what was earned becomes what was earned before; after one more year it is nothing."""
    policy = by_window()
    rich = earn(policy, begun(policy), 600)
    assert wait(policy, rich, NEXT_JANUARY - MOMENT) == rich
    year_after = wait(policy, rich, NEXT_JANUARY)
    assert (year_after.window_points, year_after.previous_window_points) == (0, 600)
    assert (year_after.window_started_at, year_after.standing) == (NEXT_JANUARY, 600)
    two_years_after = wait(policy, year_after, NEXT_JANUARY.replace(year=2027))
    assert (two_years_after.window_points, two_years_after.previous_window_points, two_years_after.standing) == (
        0,
        0,
        0,
    )
    assert wait(policy, rich, NEXT_JANUARY.replace(year=2999)).standing == 0


def test_a_tier_is_kept_by_the_better_of_both_windows_and_for_the_days_of_grace() -> None:
    """EARNED_IN_WINDOW, AT_WINDOW_END: 600 in 2026 last until 2027 is over and ten days longer."""
    policy = by_window(grace_days=10)
    rich = earn(policy, begun(policy), 600)
    less = earn(policy, rich, 100, NEXT_JANUARY + timedelta(days=40))
    assert (less.standing, less.window_points) == (600, 100)
    ends = NEXT_JANUARY.replace(year=2027)
    assert wait(policy, less, ends).standing == 600
    assert wait(policy, less, ends + timedelta(days=10) - MOMENT).standing == 600
    assert wait(policy, less, ends + timedelta(days=10)).standing == 100


def test_time_lowers_nothing_with_never() -> None:
    """EARNED_IN_WINDOW, NEVER: what was reached once stays, but for corrections."""
    policy = by_window(downgrade=Downgrade.NEVER)
    rich = earn(policy, begun(policy), 600)
    later = wait(policy, rich, NEXT_JANUARY.replace(year=2040))
    assert (later.standing, later.window_points, later.tier_review_at) == (600, 0, None)
    taken = take_back(later, 200, overdraft=Overdraft.ALLOW_NEGATIVE, counted_in=CountedIn.OLDER).account
    assert settle_standing(policy, later, taken, NOW.replace(year=2040), BERLIN).standing == 400


def test_a_balance_falls_only_at_the_review() -> None:
    """BALANCE, AT_WINDOW_END: what is spent in March is looked at when the year and the grace are over."""
    policy = TierPolicy(BALANCE, grace_days=5)
    rich = earn(policy, begun(policy), 600)
    assert rich.tier_review_at is None
    spent = settle_standing(
        policy, rich, debit(rich, 500, overdraft=Overdraft.REJECT, qualifying=False).account, NOW, BERLIN
    )
    review = NEXT_JANUARY + timedelta(days=5)
    assert (spent.standing, spent.tier_review_at) == (600, review)
    assert wait(policy, spent, review - MOMENT).standing == 600
    reviewed = wait(policy, spent, review)
    assert (reviewed.standing, reviewed.tier_review_at) == (100, None)
    never = replace(policy, downgrade=Downgrade.NEVER)
    assert wait(never, settle_standing(never, rich, spent, NOW, BERLIN), review.replace(year=2040)).standing == 600


def test_the_end_of_a_lock_is_no_review() -> None:
    """BALANCE: a lock that ends in April leaves what is due in January."""
    policy = TierPolicy(BALANCE)
    april = NOW + timedelta(days=30)
    rich = earn(policy, begun(policy), 600)
    poor = debit(rich, 500, overdraft=Overdraft.REJECT, qualifying=False).account
    locked = settle_standing(policy, rich, replace(poor, tier_locked=True, tier_locked_until=april), NOW, BERLIN)
    assert locked.tier_review_at == april
    freed = wait(policy, locked, april)
    assert (freed.tier_locked, freed.standing, freed.tier_review_at) == (False, 600, NEXT_JANUARY)


@pytest.mark.parametrize(
    ("credited_at", "where"),
    [
        (NOW, CountedIn.OPEN),
        (JANUARY, CountedIn.OPEN),
        (JANUARY - MOMENT, CountedIn.PREVIOUS),
        (JANUARY.replace(year=2024), CountedIn.PREVIOUS),
        (JANUARY.replace(year=2024) - MOMENT, CountedIn.OLDER),
    ],
)
def test_taken_back_points_leave_the_window_that_counted_them(credited_at: datetime, where: CountedIn) -> None:
    """C-07: so a refund never hits what was honestly earned in another window."""
    policy = by_window()
    rich = begun(policy, previous=500, points=300, available=900, qualifying=900, lifetime_earned=900)
    assert find_counting_window(policy, rich, credited_at, BERLIN) is where
    after = take_back(rich, 200, overdraft=Overdraft.REJECT, counted_in=where).account
    assert (after.window_points, after.previous_window_points, after.qualifying) == {
        CountedIn.OPEN: (100, 500, 700),
        CountedIn.PREVIOUS: (300, 300, 700),
        CountedIn.OLDER: (300, 500, 700),
    }[where]


def test_without_windows_none_is_counted() -> None:
    plain = account(available=100, qualifying=100, lifetime_earned=100)
    assert find_counting_window(DEFAULT_TIERING, plain, NOW, BERLIN) is CountedIn.OPEN
    assert credit(plain, 50, earned=True, qualifying=True).account.window_points == 0


def test_a_standing_that_another_policy_measured_waits_to_be_counted_anew() -> None:
    """F-31: until the job has come by, only corrections change it."""
    old = begun(by_window(), points=300, available=300, qualifying=300, lifetime_earned=300)
    policy = TierPolicy(BALANCE)
    earned = earn(policy, old, 1_000)
    assert earned.standing == 300
    mistake = settle_standing(
        policy, old, debit(old, 50, overdraft=Overdraft.REJECT, qualifying=True).account, NOW, BERLIN
    )
    assert mistake.standing == 250
    again = recount_windows(policy, earned, (0, 0), NOW, BERLIN)
    assert (again.standing, again.standing_by, again.window_started_at) == (1_300, name_measure(policy), None)


@pytest.mark.parametrize(("window", "most"), [(Period.MONTH, 27), (Period.QUARTER, 89), (Period.YEAR, 364)])
def test_grace_ends_before_the_window_does(window: Period, most: int) -> None:
    for days in (0, most):
        assert validate_tiering(TierPolicy(WINDOW, window, grace_days=days)) == []
    for days in (-1, most + 1):
        (problem,) = validate_tiering(TierPolicy(WINDOW, window, grace_days=days))
        assert problem.path == ("tiering", "grace_days")


@pytest.mark.parametrize(
    ("raised", "came_at", "fall"),
    [
        (6, NOW, 6),
        (20, NOW, 10),
        # Nobody counted, or a review has passed since: all that is taken counts.
        (None, NOW, 10),
        (6, None, 10),
        (6, JANUARY - MOMENT, 10),
        (6, JANUARY, 6),
    ],
)
def test_a_standing_falls_by_what_points_had_raised_it(raised: int | None, came_at: datetime | None, fall: int) -> None:
    policy = by_window(downgrade=Downgrade.AT_WINDOW_END)
    assert measure_fall(policy, 10, raised, came_at, NOW, BERLIN) == fall
