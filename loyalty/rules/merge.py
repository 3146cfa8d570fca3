"""The accounts of a merge: the numbers that leave the source and come to the target."""

from dataclasses import dataclass, replace
from datetime import datetime

from loyalty.rules.account import Account, refuse_beyond_limit


@dataclass(frozen=True, slots=True)
class MovedNumbers:
    """The numbers that a merge moves. `points` is the balance, below zero for debt."""

    points: int
    pending: int
    lifetime_earned: int
    qualifying: int
    window_points: int
    previous_window_points: int
    kept_standing: int | None
    active_at: datetime | None = None


def copy_numbers(source: Account, kept_standing: int | None) -> MovedNumbers:
    """Return all numbers of an account. The caller has made sure that no points are held.

    `kept_standing` is the standing that the source only has because time has not lowered it yet; None if there is none.
    """
    return MovedNumbers(
        points=source.available - source.debt,
        pending=source.pending,
        lifetime_earned=source.lifetime_earned,
        qualifying=source.qualifying,
        window_points=source.window_points,
        previous_window_points=source.previous_window_points,
        kept_standing=kept_standing,
        active_at=source.active_at,
    )


def empty_source(source: Account, moved: MovedNumbers) -> Account:
    """Return the closed account of the source.

    It gets one more entry if it had a balance. No time is due for it any more.
    """
    return replace(
        source,
        available=0,
        debt=0,
        pending=0,
        lifetime_earned=0,
        qualifying=0,
        window_points=0,
        previous_window_points=0,
        window_started_at=None,
        tier_review_at=None,
        standing=0,
        tier_locked=False,
        tier_locked_until=None,
        closed=True,
        archived_at=None,
        active_at=None,
        sequence=source.sequence + (1 if moved.points else 0),
    )


def take_over(target: Account, moved: MovedNumbers, standing: int) -> Account:
    """Return the target's account with all moved numbers except the balance: a credit or a debit moves the balance.

    `standing` is the standing that the program lets the target keep. The caller then settles the standing, which raises
    it to what the points of both reach together. The target was last active when either of both was. Raises
    LimitReached if a number would pass MAX_POINTS.
    """
    active_at = target.active_at
    if active_at is not None and moved.active_at is not None:
        active_at = max(active_at, moved.active_at)
    after = replace(
        target,
        pending=target.pending + moved.pending,
        lifetime_earned=target.lifetime_earned + moved.lifetime_earned,
        qualifying=target.qualifying + moved.qualifying,
        window_points=target.window_points + moved.window_points,
        previous_window_points=target.previous_window_points + moved.previous_window_points,
        standing=standing,
        active_at=active_at,
    )
    refuse_beyond_limit(after)
    return after
