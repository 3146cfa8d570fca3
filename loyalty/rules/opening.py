"""Opening balances: points that a customer brings along from another system."""

from dataclasses import dataclass, replace

from loyalty.rules.account import Account, Credit, Debit, Overdraft, debit, refuse_beyond_limit
from loyalty.rules.account import credit as credit_points
from loyalty.rules.errors import Problem
from loyalty.rules.points import MAX_POINTS, check_points


@dataclass(frozen=True, slots=True)
class OpeningNumbers:
    """Spendable points (below zero: debt), lifetime points, and points that count for the tier."""

    points: int
    lifetime_earned: int
    qualifying: int


def open_balance(account: Account, numbers: OpeningNumbers) -> tuple[Account, Credit | Debit | None]:
    """Return the account with an opening balance, and its credit, its debit for a debt, or None for 0 points.

    Points that counted for a tier elsewhere count here as if they were earned now. A debt takes the customer's
    available points first; the rest stays as debt. Raises LimitReached if a number would pass MAX_POINTS.
    """
    counted = replace(
        account,
        lifetime_earned=account.lifetime_earned + numbers.lifetime_earned,
        qualifying=account.qualifying + numbers.qualifying,
        window_points=account.window_points + (numbers.qualifying if account.window_started_at is not None else 0),
    )
    refuse_beyond_limit(counted)
    if numbers.points < 0:
        owed = debit(counted, -numbers.points, overdraft=Overdraft.ALLOW_NEGATIVE, qualifying=False)
        return owed.account, owed
    if not numbers.points:
        return counted, None
    credit = credit_points(counted, numbers.points, earned=False, qualifying=False)
    return credit.account, credit


def validate_opening(numbers: OpeningNumbers) -> list[Problem]:
    """Return everything wrong with an opening balance. Points may be 0 or below; the other numbers are 0 or more."""
    checks = [
        check_points(numbers.points, ("points",), minimum=-MAX_POINTS),
        check_points(numbers.lifetime_earned, ("lifetime_points",), minimum=0),
        check_points(numbers.qualifying, ("qualifying_points",), minimum=0),
    ]
    return [problem for problem in checks if problem is not None]
