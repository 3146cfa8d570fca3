"""Adjustments: two ways to send one, one stored form (signed points), and the rule for the tier."""

from datetime import datetime

from loyalty.rules.account import Account, Debit, Overdraft, debit
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import InsufficientPoints, InvalidInput, Problem, refuse_problems
from loyalty.rules.points import MAX_POINTS, check_points
from loyalty.rules.team_errors import AdjustmentLimitReached
from loyalty.rules.text import check_note

INTERNAL_NOTE_MAX_LENGTH = 2_000
CUSTOMER_DESCRIPTION_MAX_LENGTH = 500


class AdjustmentReason(DescribedEnum):
    """Why points were corrected by hand."""

    CORRECTION = "CORRECTION", "Something was recorded wrongly before."
    BONUS = "BONUS", "A bonus."
    LOYALTY_BONUS = "LOYALTY_BONUS", "A thank-you for long loyalty."
    GOODWILL = "GOODWILL", "Goodwill after a complaint."
    PROMOTION = "PROMOTION", "A promotion."
    OTHER = "OTHER", "Anything else; the note tells."


class Direction(DescribedEnum):
    """Whether an adjustment gives or takes."""

    ADD = "ADD", "Points are added."
    REMOVE = "REMOVE", "Points are removed."


def sign_points(amount: int | None, direction: Direction | None, points: int | None) -> int:
    """Return the signed points of an adjustment, from either of its two forms.

    The forms are a signed `amount` (-50), or a `direction` with positive `points`. Raises InvalidInput unless exactly
    one form is given, complete, not zero and within MAX_POINTS. Negative `points` are refused.
    """
    if amount is not None:
        if direction is not None or points is not None:
            raise InvalidInput.one("amount", reason="must not stand beside direction and points")
        if not 1 <= abs(amount) <= MAX_POINTS:
            raise InvalidInput.one("amount", reason=f"must not be 0, and at most {MAX_POINTS} either way")
        return amount
    if direction is None and points is None:
        raise InvalidInput.one("amount", reason="is required, or direction and points")
    if direction is None:
        raise InvalidInput.one("direction", reason="is required beside points")
    if points is None:
        raise InvalidInput.one("points", reason="is required beside direction")
    refuse_problems([check_points(points)])
    return points if direction is Direction.ADD else -points


def default_qualifying(signed: int, reason: AdjustmentReason) -> bool:
    """Tell whether an adjustment counts for the tier if the caller does not say.

    Added points count. Removed points count only if the reason is CORRECTION.
    """
    return signed > 0 or reason is AdjustmentReason.CORRECTION


def choose_qualifying(signed: int, reason: AdjustmentReason, *, asked: bool | None) -> bool:
    """Tell whether an adjustment counts for the tier: as the caller asked, or by default if `asked` is None."""
    return default_qualifying(signed, reason) if asked is None else asked


def remove_points(account: Account, points: int, *, overdraft: Overdraft, qualifying: bool, field: str) -> Debit:
    """Take points from an account by an adjustment. Refusals name the input ``field``.

    Raises InsufficientPoints if ``overdraft`` is REJECT and fewer points are available, or if it is CLAMP and no points
    are available: an entry of 0 points would explain nothing.
    """
    removed = debit(account, points, overdraft=overdraft, qualifying=qualifying, path=(field,))
    if not removed.points_taken:
        raise InsufficientPoints(account.available, points, (field,))
    return removed


def refuse_above_day(daily_points: int, moved: int, points: int, resets_at: datetime, field: str) -> None:
    """Refuse an adjustment that passes the number of points that a role may adjust in a day.

    ``daily_points`` is that number. ``moved`` is the sum of the day, and includes ``points``, the points of this
    adjustment. Raises AdjustmentLimitReached, which says how many points are left until ``resets_at``.
    """
    if moved > daily_points:
        left = max(daily_points - (moved - points), 0)
        raise AdjustmentLimitReached(daily_points, left, points, resets_at, (field,))


def validate_notes(internal_note: str | None, customer_description: str | None) -> list[Problem]:
    """Return everything wrong with the two optional texts.

    The internal note has at most 2,000 characters, the text for the customer at most 500. Both may be empty.
    """
    checks = (
        check_note(internal_note, ("internal_note",), INTERNAL_NOTE_MAX_LENGTH),
        check_note(customer_description, ("customer_description",), CUSTOMER_DESCRIPTION_MAX_LENGTH),
    )
    return [problem for problem in checks if problem is not None]
