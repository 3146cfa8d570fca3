"""The standing of an account, and what time does to it.

An account's `standing` is the number that decides its tier: the highest tier whose minimum it reaches, unless the tier
is locked. The standing rises at once with the points that count. Corrections and reversals lower it at once. Time
lowers it only if the program says so: at a review, when a window and the days of grace after it are over.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from loyalty.rules.account import BY_LIFETIME, Account, CountedIn
from loyalty.rules.expiry import MONTHS_OF_PERIOD, MONTHS_PER_YEAR, Period
from loyalty.rules.tiers import Downgrade, TierBasis, TierPolicy
from loyalty.rules.zones import begin_of_day


def name_measure(policy: TierPolicy) -> str:
    """Return the name of the way in which a policy measures standings, such as `BALANCE`.

    An account keeps the name with its standing (`standing_by`). If the names differ, the standing is counted again.
    """
    return f"{policy.basis} {policy.window}" if policy.basis is TierBasis.EARNED_IN_WINDOW else policy.basis.value


def is_measured(policy: TierPolicy, account: Account) -> bool:
    """Tell whether an account's standing is measured as the policy says.

    After a change of the policy it is not, until the re-tiering job has reached the account.
    """
    return account.standing_by == name_measure(policy)


def count_qualifying(policy: TierPolicy, account: Account) -> int:
    """Return the points that lead to the next tier, as the customer is shown them."""
    match policy.basis:
        case TierBasis.LIFETIME_EARNED:
            return account.qualifying
        case TierBasis.EARNED_IN_WINDOW:
            return account.window_points
        case TierBasis.BALANCE:
            return account.balance


def measure_standing(policy: TierPolicy, account: Account) -> int:
    """Return the standing that an account's points reach now.

    With windows it is the higher number of two: the points of the open window, and those of the window before it. If
    corrections took more than was earned in the open window, the rest is subtracted from the window before it.
    """
    if policy.basis is not TierBasis.EARNED_IN_WINDOW:
        return count_qualifying(policy, account)
    return max(account.window_points, account.previous_window_points + min(0, account.window_points))


def settle_standing(
    policy: TierPolicy, before: Account, after: Account, now: datetime, zone: ZoneInfo, *, kept: int = 0
) -> Account:
    """Return the account after a movement, with its new standing and the time of its next review.

    `kept` are points that the movement takes but that never raised the standing, so they do not lower it either.
    """
    if after.closed:
        return replace(after, standing=0, tier_review_at=None)
    if policy.basis is TierBasis.LIFETIME_EARNED and after.standing_by == BY_LIFETIME:
        # Nearly every program takes this way at every movement, so it must be quick: it computes no dates.
        until = after.tier_locked_until
        return replace(after, standing=after.qualifying, tier_review_at=until)
    corrected = after.standing - max(0, before.qualifying - after.qualifying - kept)
    if not is_measured(policy, after):
        standing = corrected
    elif _is_reviewed(policy, after, now, zone):
        standing = measure_standing(policy, after)
    else:
        standing = max(corrected, measure_standing(policy, after))
    after = replace(after, standing=standing)
    return replace(after, tier_review_at=_next_review_at(policy, after, now, zone))


def find_kept_standing(policy: TierPolicy, account: Account) -> int | None:
    """Return the standing that an account only has because time has not lowered it yet, else None.

    None means that the account's points reach the standing today. While a job still counts the standings again, the
    account's own standing is returned.
    """
    if not is_measured(policy, account):
        return account.standing
    return account.standing if account.standing > measure_standing(policy, account) else None


def merge_standings(policy: TierPolicy, target: Account, source_kept: int | None) -> int:
    """Return the standing with which a target goes on after a merge, before its new standing is settled.

    A standing is kept only if time has not lowered it yet: the higher one of source and target. Without such a standing
    it is 0 (or the target's own below 0), and settling raises it to what the points of both reach together.
    """
    kept = [one for one in (find_kept_standing(policy, target), source_kept) if one is not None]
    return max(kept, default=min(0, target.standing))


def is_reviewed_since(policy: TierPolicy, at: datetime, now: datetime, zone: ZoneInfo) -> bool:
    """Tell whether a review has passed since an instant. If so, the standing is what was reached at that review."""
    return policy.downgrade is Downgrade.AT_WINDOW_END and at < _last_review_at(policy, now, zone)


def measure_fall(
    policy: TierPolicy, points: int, raised: int | None, came_at: datetime | None, now: datetime, zone: ZoneInfo
) -> int:
    """Return by how much the standing may fall when points are taken back: by as much as they had raised it.

    `raised` is by how much they had raised it; None if that was not counted. `came_at` is when the points came. A
    review since then has measured the standing with all of the points, so it may fall by all that are taken.
    """
    if raised is None or came_at is None or is_reviewed_since(policy, came_at, now, zone):
        return points
    return min(points, raised)


def apply_time(policy: TierPolicy, account: Account, now: datetime, zone: ZoneInfo) -> Account:
    """Return the account after the changes that time alone makes.

    They are the end of a lock, new windows, and a review of the standing.
    """
    if account.tier_locked_until is not None and account.tier_locked_until <= now:
        account = replace(account, tier_locked=False, tier_locked_until=None)
    if not is_measured(policy, account):
        return account
    if policy.basis is TierBasis.EARNED_IN_WINDOW:
        return _turn_windows(policy, account, now, zone)
    if policy.basis is TierBasis.BALANCE and policy.downgrade is Downgrade.AT_WINDOW_END:
        # `tier_review_at` may be the end of a lock, which does not review the standing. So a review must have passed at
        # that time or later.
        due_at = account.tier_review_at
        if due_at is not None and due_at <= _last_review_at(policy, now, zone):
            return replace(account, standing=account.balance)
    return account


def recount_windows(
    policy: TierPolicy, account: Account, in_windows: tuple[int, int], now: datetime, zone: ZoneInfo
) -> Account:
    """Return the account with its standing measured anew, as the policy says.

    `in_windows` are the points of the open window, and those of the window before it.
    """
    by_window = policy.basis is TierBasis.EARNED_IN_WINDOW
    points, previous = in_windows if by_window else (0, 0)
    after = replace(
        account,
        window_started_at=window_start(policy.window, now, zone) if by_window else None,
        window_points=points,
        previous_window_points=previous,
        standing_by=name_measure(policy),
    )
    return replace(after, standing=measure_standing(policy, after))


def find_counting_window(policy: TierPolicy, account: Account, at: datetime | None, zone: ZoneInfo) -> CountedIn:
    """Tell in which tier window of an account points were counted that were credited at an instant.

    It is the open window if the instant is None, or if the account has no windows.
    """
    started_at = account.window_started_at
    if started_at is None or at is None or at >= started_at:
        return CountedIn.OPEN
    return CountedIn.PREVIOUS if at >= previous_start(policy.window, started_at, zone) else CountedIn.OLDER


def window_start(window: Period, at: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant of the window that an instant belongs to, in aware UTC."""
    return begin_of_day(_first_day(window, at.astimezone(zone).date()), zone)


def next_start(window: Period, started_at: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant of the window after the one that begins at ``started_at``, in aware UTC."""
    return begin_of_day(_first_day(window, _local_day(started_at, zone), 1), zone)


def previous_start(window: Period, started_at: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant of the window before the one that begins at ``started_at``, in aware UTC."""
    return begin_of_day(_first_day(window, _local_day(started_at, zone), -1), zone)


def _turn_windows(policy: TierPolicy, account: Account, now: datetime, zone: ZoneInfo) -> Account:
    """Begin one tier window after another until now, with the review of each."""
    if account.window_started_at is None:
        return replace(account, window_started_at=window_start(policy.window, now, zone))
    while True:
        if _is_reviewed(policy, account, now, zone):
            account = replace(account, standing=measure_standing(policy, account))
        following = next_start(policy.window, account.window_started_at or now, zone)
        if following > now:
            return account
        if not account.window_points and not account.previous_window_points:
            # All windows until now are empty like this one, so they can be skipped.
            following = window_start(policy.window, now, zone)
        account = replace(
            account,
            window_started_at=following,
            window_points=0,
            previous_window_points=account.window_points,
        )


def _is_reviewed(policy: TierPolicy, account: Account, now: datetime, zone: ZoneInfo) -> bool:
    """Tell whether the last window has been reviewed: the days of grace after it are over.

    Then the standing is only what the points reach.
    """
    return (
        policy.basis is TierBasis.EARNED_IN_WINDOW
        and policy.downgrade is Downgrade.AT_WINDOW_END
        and account.window_started_at is not None
        and _review_time(policy, account.window_started_at, zone) <= now
    )


def _next_review_at(policy: TierPolicy, account: Account, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when time alone may change something next: a lock, a window or a standing."""
    moments = [] if account.tier_locked_until is None else [account.tier_locked_until]
    if is_measured(policy, account):
        falls = policy.downgrade is Downgrade.AT_WINDOW_END and account.standing > measure_standing(policy, account)
        started_at = account.window_started_at
        if policy.basis is TierBasis.BALANCE and falls:
            moments.append(_review_after(policy, now, zone))
        if policy.basis is TierBasis.EARNED_IN_WINDOW and started_at is not None:
            if falls:
                moments.append(_review_time(policy, started_at, zone))
            if account.window_points or account.previous_window_points:
                moments.append(next_start(policy.window, started_at, zone))
    return min(moments, default=None)


def _review_time(policy: TierPolicy, started_at: datetime, zone: ZoneInfo) -> datetime:
    """Return when the window before the one that begins at ``started_at`` is reviewed: after the days of grace."""
    return begin_of_day(_local_day(started_at, zone) + timedelta(days=policy.grace_days), zone)


def _review_after(policy: TierPolicy, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the time of the first review after now."""
    start = window_start(policy.window, now, zone)
    review_at = _review_time(policy, start, zone)
    return review_at if review_at > now else _review_time(policy, next_start(policy.window, start, zone), zone)


def _last_review_at(policy: TierPolicy, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the time of the last review until now."""
    start = window_start(policy.window, now, zone)
    review_at = _review_time(policy, start, zone)
    return review_at if review_at <= now else _review_time(policy, previous_start(policy.window, start, zone), zone)


def _local_day(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def _first_day(window: Period, day: date, ahead: int = 0) -> date:
    """Return the first day of the window that contains ``day``, or of the window ``ahead`` windows later."""
    length = MONTHS_OF_PERIOD[window]
    months = day.year * MONTHS_PER_YEAR + (day.month - 1) // length * length + ahead * length
    return date(months // MONTHS_PER_YEAR, months % MONTHS_PER_YEAR + 1, 1)
