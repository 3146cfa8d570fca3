"""The part of a refund that points had paid: how many points go back, and of which holds and redemptions.

Only the sum of all refunds counts: over all of them exactly what points paid goes back, and never more than is
refunded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.points_paid import ActiveHold, LiveRedemption, PointsPaid
from loyalty.rules.rounding import Rounding, divide


class ReturnPoints(DescribedEnum):
    """What a refund does with the points that had paid for what is refunded."""

    AUTO = "AUTO", "They go back in the same transaction, to the lots they came from."
    NONE = (
        "NONE",
        (
            "They stay spent, and `split` says how many to give back with `redemptionReturn`. When nothing is left of "
            "the purchase they go back all the same, if the program's `returnOnCancel` says so."
        ),
    )


@dataclass(frozen=True, slots=True)
class GivenBack:
    """How many points each hold loses and each redemption gives back."""

    holds: dict[UUID, int]
    redemptions: dict[UUID, int]


def share_of_refund(
    total_minor: int, refunded_minor: int, amount_minor: int, paid: PointsPaid, shared: PointsPaid
) -> PointsPaid:
    """Return how many points had paid for an amount that is refunded, and what they had taken off.

    `paid` is all that points paid of the purchase, what went back for earlier refunds included; `shared` is the part of
    earlier refunds. `refunded_minor` was refunded before. Money and points are rounded down over the sum of all
    refunds. The share never passes the amount, so no refund pays a negative amount of money.
    """
    if not total_minor or not paid.points:
        return PointsPaid()
    after_minor = refunded_minor + amount_minor
    due_minor = max(0, _share(min(paid.discount_minor, total_minor), after_minor, total_minor) - shared.discount_minor)
    discount_minor = min(due_minor, amount_minor)
    if discount_minor == due_minor:
        points = _share(paid.points, after_minor, total_minor) - shared.points
    else:
        reached_minor = shared.discount_minor + discount_minor
        points = _share(paid.points, min(reached_minor, paid.discount_minor), paid.discount_minor) - shared.points
    return PointsPaid(max(0, points), discount_minor)


def choose_returns(points: int, holds: Sequence[ActiveHold], redemptions: Sequence[LiveRedemption]) -> GivenBack:
    """Return where so many points come from: from holds first, which are not spent yet, and the newest first.

    Both lists are in the order in which they were made. Fewer come back where no more are left.
    """
    given = GivenBack({}, {})
    for hold in reversed(holds):
        if here := min(points, hold.points):
            given.holds[hold.id] = here
            points -= here
    for one in reversed(redemptions):
        if here := min(points, one.returnable_points):
            given.redemptions[one.id] = here
            points -= here
    return given


def find_owed_part(returned: PointsPaid, owed_points: int) -> PointsPaid:
    """Return how much of points that are given back by hand a refund before had left to do."""
    points = max(0, min(returned.points, owed_points))
    return PointsPaid(points, _share(returned.discount_minor, points, returned.points) if points else 0)


def _share(value: int, part: int, whole: int) -> int:
    return divide(value * part, whole, Rounding.FLOOR) if whole else 0
