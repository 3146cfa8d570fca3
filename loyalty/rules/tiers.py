"""Tiers: a customer is always in the highest one whose minimum the qualifying points reach.

Spending never enters here: qualifying points are counted by `account`, and only what qualifies moves them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from loyalty.rules.errors import Problem
from loyalty.rules.ids import TierId
from loyalty.rules.points import check_points
from loyalty.rules.rounding import Rounding, divide
from loyalty.rules.text import check_text

TIER_NAME_MAX_LENGTH = 60
FULL_PERCENT = 100
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tier:
    """A level. `color` is #RRGGBB in capitals; `min_points` qualifying points are the first that belong to it."""

    id: TierId
    name: str
    color: str
    min_points: int


class TierChangeCause(StrEnum):
    """Why a customer's tier changed."""

    ACCRUAL = "ACCRUAL"
    """Points were earned with a purchase."""
    ADJUSTMENT = "ADJUSTMENT"
    """Somebody corrected the points by hand."""
    REVERSAL = "REVERSAL"
    """Earned points were taken back because the purchase was called off or refunded."""
    PROGRAM_CHANGE = "PROGRAM_CHANGE"
    """The tiers themselves were changed."""
    OPENING = "OPENING"
    """Points were brought along from elsewhere."""
    MERGE = "MERGE"
    """Two customers turned out to be one."""


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


def validate_tier(name: str, color: str, min_points: int) -> list[Problem]:
    """Return everything wrong with a tier: name 1–60 characters, colour #RRGGBB, minimum 0..MAX_POINTS.

    Whether name and minimum are unique in the program is for the caller to check.
    """
    checks = (
        check_text(name, ("name",), TIER_NAME_MAX_LENGTH),
        None if _COLOR.fullmatch(color) else Problem(("color",), "must be a colour such as #C0C0C0"),
        check_points(min_points, ("min_points",), minimum=0),
    )
    return [problem for problem in checks if problem is not None]


def _minimum(tier: Tier) -> int:
    return tier.min_points
