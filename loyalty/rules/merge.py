"""Two customers are one: what leaves the one account and comes into the other."""

from dataclasses import dataclass, replace

from loyalty.rules.account import Account, refuse_beyond_limit


@dataclass(frozen=True, slots=True)
class MovedNumbers:
    """What a merge moves. `points` is the balance, below zero for debt."""

    points: int
    pending: int
    lifetime_earned: int
    qualifying: int
    window_points: int
    previous_window_points: int
    kept_standing: int | None


def copy_numbers(source: Account, kept_standing: int | None) -> MovedNumbers:
    """Return all that an account holds; the caller has made sure that nothing of it is held.

    `kept_standing` is what the source stands on only because time has not lowered it yet.
    """
    return MovedNumbers(
        points=source.available - source.debt,
        pending=source.pending,
        lifetime_earned=source.lifetime_earned,
        qualifying=source.qualifying,
        window_points=source.window_points,
        previous_window_points=source.previous_window_points,
        kept_standing=kept_standing,
    )


def empty_source(source: Account, moved: MovedNumbers) -> Account:
    """Return the account that was left, with one entry more if there was a balance; nothing becomes due of it again."""
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
        sequence=source.sequence + (1 if moved.points else 0),
    )


def take_over(target: Account, moved: MovedNumbers, standing: int) -> Account:
    """Return the account that takes over everything but the balance, which is a credit or a debit of its own.

    `standing` is what the program lets it keep of both; what both together reach is settled afterwards.
    """
    after = replace(
        target,
        pending=target.pending + moved.pending,
        lifetime_earned=target.lifetime_earned + moved.lifetime_earned,
        qualifying=target.qualifying + moved.qualifying,
        window_points=target.window_points + moved.window_points,
        previous_window_points=target.previous_window_points + moved.previous_window_points,
        standing=standing,
    )
    refuse_beyond_limit(after)
    return after
