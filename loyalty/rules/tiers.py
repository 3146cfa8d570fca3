"""Tiers: a customer is always in the highest tier whose minimum their standing reaches.

By default the standing is the sum of all earned points, so spending never lowers it. `standing` says what else a
program may count.
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
    """A tier. `color` is #RRGGBB in capitals; `min_points` is the first number of points that belongs to it.

    `factor` is its benefit: it multiplies the points that rules give to its customers, rounded down. None is 1.
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
    """How customers reach and lose tiers. The windows are parts of the calendar in the tenant's time zone.

    `window`, `downgrade` and `grace_days` have no effect with LIFETIME_EARNED, which only corrections lower.
    """

    basis: TierBasis = TierBasis.LIFETIME_EARNED
    window: Period = Period.YEAR
    downgrade: Downgrade = Downgrade.AT_WINDOW_END
    grace_days: int = 0


DEFAULT_TIERING = TierPolicy()

MAX_GRACE_DAYS = {Period.MONTH: 27, Period.QUARTER: 89, Period.YEAR: 364}
"""The most days of grace: one day less than the shortest window, so that grace ends before the next window does."""


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
    """How far a customer is between the current tier and the next.

    `percent` is whole, 0..100. In the highest tier there is no next one: 100 percent and `unlimited`.
    """

    current: Tier | None
    next: Tier | None
    points_to_next: int | None
    percent: int
    unlimited: bool


def tier_for(tiers: Iterable[Tier], qualifying: int) -> Tier | None:
    """Return the highest tier whose minimum is reached; None below the first. The tiers may be in any order."""
    reached = [tier for tier in tiers if tier.min_points <= qualifying]
    return max(reached, key=_minimum, default=None)


def tier_change(tiers: Iterable[Tier], previous: Tier | None, qualifying: int) -> TierChange | None:
    """Return the move from the previous tier to the tier that the points reach; None if it is the same tier."""
    current = tier_for(tiers, qualifying)
    same = (previous.id if previous else None) == (current.id if current else None)
    return None if same else TierChange(previous, current)


def measure_progress(tiers: Iterable[Tier], qualifying: int) -> Progress:
    """Measure the progress between the current and the next tier, in whole percent rounded down.

    Below the first tier it begins at 0 points. Without any tier it is 0 percent.
    """
    tiers = tuple(tiers)
    current = tier_for(tiers, qualifying)
    following = min((tier for tier in tiers if tier.min_points > qualifying), key=_minimum, default=None)
    return measure_way(current, following, qualifying)


def measure_way(current: Tier | None, following: Tier | None, qualifying: int) -> Progress:
    """Measure the progress from the current tier to the following one, in whole percent rounded down.

    A tier that was kept or locked may begin above the points that count. Then the progress is 0 percent.
    """
    if following is None:
        at_top = current is not None
        return Progress(current, None, None, FULL_PERCENT if at_top else 0, unlimited=at_top)
    begin = current.min_points if current else 0
    # Corrections may have taken the points below zero, even below a first tier that begins at zero.
    gone = max(0, qualifying - begin)
    percent = divide(FULL_PERCENT * gone, following.min_points - begin, Rounding.FLOOR) if gone else 0
    return Progress(current, following, following.min_points - qualifying, percent, unlimited=False)


def normal_color(color: str) -> str:
    """Return a colour in stored form: #RRGGBB in capitals."""
    return color.upper()


def validate_tier(name: str, color: str, min_points: int, factor: Ratio | None = None) -> list[Problem]:
    """Return everything wrong with a tier: name 1–60 characters, colour #RRGGBB, minimum 0..MAX_POINTS, factor 1..100.

    The caller checks whether name and minimum are unique in the program.
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
