"""Tiers: a customer is always in the highest one whose minimum their standing reaches.

By default that is all that was ever earned, so spending never enters; `standing` says what else a program may count.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.earning_rule import MAX_FACTOR
from loyalty.rules.errors import Problem
from loyalty.rules.expiry import Period
from loyalty.rules.ids import TierId
from loyalty.rules.money import FACTOR_MAX_DECIMALS, Ratio
from loyalty.rules.points import check_points
from loyalty.rules.rounding import Rounding, divide
from loyalty.rules.text import check_text

TIER_NAME_MAX_LENGTH = 60
FULL_PERCENT = 100
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tier:
    """A level. `color` is #RRGGBB in capitals; `min_points` are the first points that belong to it.

    `factor` is its benefit: the points that rules give to its customers are multiplied by it, rounded down; None for 1.
    """

    id: TierId
    name: str
    color: str
    min_points: int
    factor: Ratio | None = None


class TierBasis(DescribedEnum):
    """Which points lead to a tier."""

    LIFETIME_EARNED = (
        "LIFETIME_EARNED",
        ("All that was ever earned, and added by hand as far as it qualifies; spending and expiry take none of them."),
    )
    EARNED_IN_WINDOW = "EARNED_IN_WINDOW", "What was earned in the calendar window that is open."
    BALANCE = "BALANCE", "What the customer has: available and held points, less debt."


class Downgrade(DescribedEnum):
    """Whether time may lower a tier that the points do not reach any more. Corrections always do, at once."""

    NEVER = "NEVER", "What was reached stays."
    AT_WINDOW_END = "AT_WINDOW_END", "With the end of each window, and the days of grace after it."


@dataclass(frozen=True, slots=True)
class TierPolicy:
    """How tiers are reached and lost. The windows are parts of the calendar where the tenant is.

    `window`, `downgrade` and `grace_days` do nothing with LIFETIME_EARNED, which only grows but for corrections.
    """

    basis: TierBasis = TierBasis.LIFETIME_EARNED
    window: Period = Period.YEAR
    downgrade: Downgrade = Downgrade.AT_WINDOW_END
    grace_days: int = 0


DEFAULT_TIERING = TierPolicy()

MAX_GRACE_DAYS = {Period.MONTH: 27, Period.QUARTER: 89, Period.YEAR: 364}
"""Grace is over before the window is: shorter than the shortest one."""


class TierChangeCause(DescribedEnum):
    """Why a customer's tier changed."""

    ACCRUAL = "ACCRUAL", "Points were earned with a purchase."
    ADJUSTMENT = "ADJUSTMENT", "Points were corrected by hand."
    REVERSAL = "REVERSAL", "Earned points were taken back."
    PROGRAM_CHANGE = "PROGRAM_CHANGE", "The tiers themselves were changed."
    OPENING = "OPENING", "Points were brought along from elsewhere."
    MERGE = "MERGE", "Two customers turned out to be one."
    REDEMPTION = "REDEMPTION", "Spent points came back, in a program where the balance counts."
    REVIEW = "REVIEW", "Time has passed: a window has ended, or a tier that was set by hand until then."
    MANUAL = "MANUAL", "Somebody set the tier by hand, or gave it back to the rules."


@dataclass(frozen=True, slots=True)
class TierChange:
    """A move from one tier to another; None stands for "in no tier"."""

    previous: Tier | None
    current: Tier | None

    @property
    def upgraded(self) -> bool:
        """Tell whether the move goes up. A move that does not go up goes down."""
        if self.current is None:
            return False
        return self.previous is None or self.current.min_points > self.previous.min_points


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a customer is on the way from the current tier to the next.

    `percent` is whole, 0..100. At the top there is no next tier: 100 percent and `unlimited`.
    """

    current: Tier | None
    next: Tier | None
    points_to_next: int | None
    percent: int
    unlimited: bool


def tier_for(tiers: Iterable[Tier], qualifying: int) -> Tier | None:
    """Return the highest tier whose minimum is reached, or None below the first. The order of the tiers is free."""
    reached = [tier for tier in tiers if tier.min_points <= qualifying]
    return max(reached, key=_minimum, default=None)


def tier_change(tiers: Iterable[Tier], previous: Tier | None, qualifying: int) -> TierChange | None:
    """Return the move that the qualifying points demand, or None when the customer stays in the same tier."""
    current = tier_for(tiers, qualifying)
    same = (previous.id if previous else None) == (current.id if current else None)
    return None if same else TierChange(previous, current)


def progress(tiers: Iterable[Tier], qualifying: int) -> Progress:
    """Measure the way between the current and the next tier, in whole percent rounded down.

    Below the first tier the way begins at 0 points. Without any tier there is nothing to reach: 0 percent.
    """
    tiers = tuple(tiers)
    current = tier_for(tiers, qualifying)
    following = min((tier for tier in tiers if tier.min_points > qualifying), key=_minimum, default=None)
    return measure_way(current, following, qualifying)


def measure_way(current: Tier | None, following: Tier | None, qualifying: int) -> Progress:
    """Measure the way between two tiers; a tier that time or somebody keeps may stand above what counts."""
    if following is None:
        at_top = current is not None
        return Progress(current, None, None, FULL_PERCENT if at_top else 0, unlimited=at_top)
    begin = current.min_points if current else 0
    # Corrections may have taken the points below zero, even below a first tier that begins at zero.
    gone = max(0, qualifying - begin)
    percent = divide(FULL_PERCENT * gone, following.min_points - begin, Rounding.FLOOR) if gone else 0
    return Progress(current, following, following.min_points - qualifying, percent, unlimited=False)


def normal_color(color: str) -> str:
    """Return a colour as it is stored: #RRGGBB in capitals."""
    return color.upper()


def validate_tier(name: str, color: str, min_points: int, factor: Ratio | None = None) -> list[Problem]:
    """Return everything wrong with a tier: name 1–60 characters, colour #RRGGBB, minimum 0..MAX_POINTS, factor 1..100.

    Whether name and minimum are unique in the program is for the caller to check.
    """
    checks = (
        check_text(name, ("name",), TIER_NAME_MAX_LENGTH),
        None if _COLOR.fullmatch(color) else Problem(("color",), "must be a colour such as #C0C0C0"),
        check_points(min_points, ("min_points",), minimum=0),
        None if factor is None else _check_factor(factor),
    )
    return [problem for problem in checks if problem is not None]


def validate_tiering(policy: TierPolicy) -> list[Problem]:
    """Return everything wrong with a policy: grace must be shorter than the shortest window."""
    most = MAX_GRACE_DAYS[policy.window]
    if 0 <= policy.grace_days <= most:
        return []
    return [Problem(("tiering", "grace_days"), f"must be between 0 and {most} with this window")]


def _check_factor(factor: Ratio) -> Problem | None:
    path = ("earning_factor",)
    if not factor.denominator <= factor.numerator <= MAX_FACTOR * factor.denominator:
        return Problem(path, f"must be at least 1 and at most {MAX_FACTOR}")
    if factor.numerator * 10**FACTOR_MAX_DECIMALS % factor.denominator:
        return Problem(path, f"must have at most {FACTOR_MAX_DECIMALS} decimals")
    return None


def _minimum(tier: Tier) -> int:
    return tier.min_points
