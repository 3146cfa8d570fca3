"""What a customer brings along from another system."""

from dataclasses import dataclass, replace

from loyalty.rules.account import Account, Credit, refuse_beyond_limit
from loyalty.rules.account import credit as credit_points
from loyalty.rules.errors import Problem
from loyalty.rules.points import check_points


@dataclass(frozen=True, slots=True)
class OpeningNumbers:
    """Points to spend, points that were ever earned, and points that count for the tier."""

    points: int
    lifetime_earned: int
    qualifying: int


def open_balance(account: Account, numbers: OpeningNumbers) -> tuple[Account, Credit | None]:
    """Return the account with what was brought along; None for the credit when there is nothing to spend.

    What counted for the tier elsewhere counts here as if it had been earned now.
    """
    counted = replace(
        account,
        lifetime_earned=account.lifetime_earned + numbers.lifetime_earned,
        qualifying=account.qualifying + numbers.qualifying,
        window_points=account.window_points + (numbers.qualifying if account.window_started_at is not None else 0),
    )
    refuse_beyond_limit(counted)
    if not numbers.points:
        return counted, None
    credit = credit_points(counted, numbers.points, earned=False, qualifying=False)
    return credit.account, credit


def validate_opening(numbers: OpeningNumbers) -> list[Problem]:
    """Return everything wrong with an opening balance: numbers of 0 or more, and not all of them 0."""
    checks = [
        check_points(numbers.points, ("points",), minimum=0),
        check_points(numbers.lifetime_earned, ("lifetime_points",), minimum=0),
        check_points(numbers.qualifying, ("qualifying_points",), minimum=0),
    ]
    if not (numbers.points or numbers.lifetime_earned or numbers.qualifying):
        checks.append(Problem(("points",), "must not be 0 when nothing else is brought along"))
    return [problem for problem in checks if problem is not None]
