"""The part of a refund that was paid with points: how many points go back, and from which holds and redemptions.

Only the sum of all refunds counts: all refunds together give back exactly the points that paid. No refund gives back
more than it refunds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.points_paid import ActiveHold, LiveRedemption, PointsPaid, find_share, lower_holds, sum_paid


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
class PointsToReturn:
    """How many points each hold loses and each redemption gives back."""

    holds: dict[UUID, int]
    redemptions: dict[UUID, int]


class PayersOfRefund(NamedTuple):
    """The holds and redemptions that pay for a purchase just before a refund, oldest first.

    `given_back` are the points that went back for earlier refunds.
    """

    holds: Sequence[ActiveHold]
    redemptions: Sequence[LiveRedemption]
    given_back: PointsPaid

    @property
    def spent(self) -> PointsPaid:
        """The points that redemptions paid, with the points that went back for earlier refunds."""
        return sum_paid([self.given_back, *(one.paid for one in self.redemptions)])

    @property
    def held(self) -> PointsPaid:
        """The points that are set aside."""
        return sum_paid(PointsPaid(one.points, one.discount_minor) for one in self.holds)

    def sum_freed(self, kept: Mapping[UUID, PointsPaid]) -> PointsPaid:
        """Return the sum of the points that holds lose.

        `kept` has the rest of each lowered hold; other holds lose none.
        """
        lowered = [one for one in self.holds if one.id in kept]
        return PointsPaid(
            sum(one.points - kept[one.id].points for one in lowered),
            sum(one.discount_minor - kept[one.id].discount_minor for one in lowered),
        )


def share_of_refund(
    total_minor: int, refunded_minor: int, amount_minor: int, paid: PointsPaid, shared: PointsPaid
) -> PointsPaid:
    """Return how many points had paid for a refunded amount, and the discount that they had given.

    `paid` are all points that paid for the purchase, with those that went back for earlier refunds. `shared` is the sum
    of what this function returned for earlier refunds. `refunded_minor` was refunded before. Money and points are
    rounded down over the sum of all refunds. The discount is never above the amount, so no refund pays a negative
    amount of money.
    """
    if not total_minor or not paid.points:
        return PointsPaid()
    after_minor, paid_minor = refunded_minor + amount_minor, min(paid.discount_minor, total_minor)
    due_minor = max(0, find_share(paid_minor, after_minor, total_minor) - shared.discount_minor)
    discount_minor = min(due_minor, amount_minor)
    if discount_minor == due_minor:
        points = find_share(paid.points, after_minor, total_minor) - shared.points
    else:
        reached_minor = shared.discount_minor + discount_minor
        points = find_share(paid.points, min(reached_minor, paid.discount_minor), paid.discount_minor) - shared.points
    return PointsPaid(max(0, points), discount_minor)


def share_as_formerly(total_minor: int, refunded_minor: int, amount_minor: int, paid: PointsPaid) -> PointsPaid:
    """Return the same share by the rule of the first releases, for a purchase with a refund that they recorded.

    They kept no share with a refund, so `paid` are the points that redemptions paid at first, without subtracting
    returns.
    """
    if not total_minor:
        return PointsPaid()
    after_minor, paid_minor = refunded_minor + amount_minor, min(total_minor, paid.discount_minor)
    return PointsPaid(
        find_share(paid.points, after_minor, total_minor) - find_share(paid.points, refunded_minor, total_minor),
        find_share(paid_minor, after_minor, total_minor) - find_share(paid_minor, refunded_minor, total_minor),
    )


def decide_returns(
    part: PointsPaid, payers: PayersOfRefund, mode: ReturnPoints, *, is_over: bool, returns_all: bool
) -> PointsToReturn:
    """Decide which holds and redemptions give back the points that had paid for a refund. `part` is how many points.

    `is_over` says that nothing is left of the purchase: its holds end anyway, and the points that they free count for
    the part. `returns_all` says that the program then gives all redemptions back. Returns that happen anyway are not in
    the result.
    """
    if mode is ReturnPoints.NONE or (is_over and returns_all):
        return PointsToReturn({}, {})
    if is_over:
        return choose_returns(max(0, part.points - payers.held.points), (), payers.redemptions)
    return choose_returns(part.points, payers.holds, payers.redemptions)


def fit_holds_after_refund(left_minor: int, payers: PayersOfRefund, given: PointsToReturn) -> dict[UUID, PointsPaid]:
    """Return the holds that lose points with a refund, and the rest of each, in the order of the holds.

    Each hold loses its part of the refund, and the points that its terms do not allow for the remaining `left_minor`.
    """
    spent = sum_paid(one.after(given.redemptions.get(one.id, 0)).paid for one in payers.redemptions)
    parts = [one.keep(one.points - given.holds.get(one.id, 0)) for one in payers.holds]
    kept = {one.id: PointsPaid(one.points, one.discount_minor) for one in parts}
    kept |= lower_holds(left_minor, spent, [one for one in parts if one.points])
    return {one.id: kept[one.id] for one in payers.holds if kept[one.id].points != one.points}


def choose_returns(points: int, holds: Sequence[ActiveHold], redemptions: Sequence[LiveRedemption]) -> PointsToReturn:
    """Return which holds and redemptions give back so many points: holds first, because they are not spent yet.

    Both lists begin with the oldest; the newest is taken first. If there are fewer points, all come back.
    """
    given = PointsToReturn({}, {})
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
    """Return the part of some returned points that an earlier refund still owed, with its share of their discount.

    Somebody returned the points by hand. `owed_points` are the points that earlier refunds should have returned and did
    not.
    """
    points = max(0, min(returned.points, owed_points))
    return PointsPaid(points, find_share(returned.discount_minor, points, returned.points) if points else 0)
