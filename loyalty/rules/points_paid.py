"""How much of a purchase points pay for, and what happens when the purchase becomes smaller.

The limits of a redemption belong to the purchase: active holds, and redemptions less what was given back, count
together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from loyalty.rules.money import Money, PointValue, value_of
from loyalty.rules.rounding import Rounding, divide

MAX_PERCENT = 100


@dataclass(frozen=True, slots=True)
class PointsPaid:
    """So many points pay for a purchase already, and take so many minor units off it."""

    points: int = 0
    discount_minor: int = 0


NOTHING_PAID = PointsPaid()


@dataclass(frozen=True, slots=True)
class DiscountTerms:
    """The most that points may take off one purchase: a percentage of its total, an amount in minor units, or points.

    None is no limit. The terms of a hold are frozen with it: a later edit of the settings does not break a promise.
    """

    percent: int | None = None
    amount_minor: int | None = None
    points: int | None = None

    def cap_minor(self, total_minor: int) -> int:
        """Return the most that points may take off a total; a percentage is rounded down."""
        caps = [max(total_minor, 0)]
        if self.amount_minor is not None:
            caps.append(self.amount_minor)
        if self.percent is not None:
            caps.append(divide(max(total_minor, 0) * self.percent, MAX_PERCENT, Rounding.FLOOR))
        return min(caps)

    def room_minor(self, total_minor: int, paid: PointsPaid) -> int:
        """Return what points may still take off a total beside what they pay already."""
        return max(0, self.cap_minor(total_minor) - paid.discount_minor)

    def room_points(self, paid: PointsPaid) -> int | None:
        """Return how many points may still be used beside those that pay already; None is no limit."""
        return None if self.points is None else max(0, self.points - paid.points)


@dataclass(frozen=True, slots=True)
class ActiveHold:
    """A hold as the limits of its purchase see it: what is still set aside, at which value, under which terms."""

    id: UUID
    points: int
    discount_minor: int
    value: PointValue
    terms: DiscountTerms

    def keep(self, points: int) -> "ActiveHold":
        """Return it with so many of its points; all of them keep the whole discount, a part what it is worth."""
        if points == self.points:
            return self
        return replace(self, points=points, discount_minor=value_of(points, self.value).amount_minor)


@dataclass(frozen=True, slots=True)
class LiveRedemption:
    """A redemption with something left: of `points` that took `discount_minor` off, `returned_points` came back."""

    id: UUID
    points: int
    returned_points: int
    discount_minor: int

    @property
    def returnable_points(self) -> int:
        """How many points did not come back."""
        return self.points - self.returned_points

    def after(self, points: int) -> "LiveRedemption":
        """Return it after so many more points came back."""
        return LiveRedemption(self.id, self.points, self.returned_points + points, self.discount_minor)

    @property
    def paid(self) -> PointsPaid:
        """Return what it still pays; what came back took its share of the discount along, rounded down."""
        returned_minor = find_share(self.discount_minor, self.returned_points, self.points)
        return PointsPaid(self.returnable_points, self.discount_minor - returned_minor)


@dataclass(frozen=True, slots=True)
class Excess:
    """What does not fit into a purchase: points of redemptions to give back, and what is left of holds.

    `lowered` has each hold that does not fit, with the points and the discount that are left; none left ends the hold.
    """

    returns: dict[UUID, int]
    lowered: dict[UUID, PointsPaid]


def sum_paid(parts: Iterable[PointsPaid]) -> PointsPaid:
    """Return what several holds and redemptions pay together."""
    listed = list(parts)
    return PointsPaid(sum(part.points for part in listed), sum(part.discount_minor for part in listed))


def points_within(value: PointValue, limit_minor: int) -> int:
    """Return the most points whose value, rounded down, does not pass a limit in minor units."""
    return ((limit_minor + 1) * value.points - 1) // value.money.amount_minor


def fewest_points(value: PointValue, discount_minor: int) -> int:
    """Return the fewest points that are worth so much."""
    return divide(discount_minor * value.points, value.money.amount_minor, Rounding.CEIL)


def find_excess(total_minor: int, redemptions: Sequence[LiveRedemption], holds: Sequence[ActiveHold]) -> Excess:
    """Decide what goes back when a purchase has this total; both lists are in the order in which they were made.

    Redemptions count first, because their money was taken off: only what passes the total comes back, the newest first.
    What they leave of each hold's own terms is shared by the holds, so the newest hold is lowered first.
    """
    returns: dict[UUID, int] = {}
    excess_minor = sum(one.paid.discount_minor for one in redemptions) - max(total_minor, 0)
    kept: list[PointsPaid] = []
    for one in reversed(redemptions):
        points = _points_to_return(one, excess_minor)
        after = one.after(points)
        if points:
            returns[one.id] = points
            excess_minor -= one.paid.discount_minor - after.paid.discount_minor
        kept.append(after.paid)
    return Excess(returns, lower_holds(total_minor, sum_paid(kept), holds))


def _points_to_return(one: LiveRedemption, excess_minor: int) -> int:
    """The fewest points whose return takes so much of the discount back, or all that is left."""
    if excess_minor <= 0:
        return 0
    left = one.returnable_points
    if excess_minor >= one.paid.discount_minor:
        return left if one.paid.discount_minor else 0
    gone_minor = one.discount_minor - one.paid.discount_minor + excess_minor
    return divide(gone_minor * one.points, one.discount_minor, Rounding.CEIL) - one.returned_points


def lower_holds(total_minor: int, paid: PointsPaid, holds: Sequence[ActiveHold]) -> dict[UUID, PointsPaid]:
    """Return the holds that do not fit into a total beside what is paid, with what is left of each; the newest first.

    The list is in the order in which the holds were made.
    """
    lowered: dict[UUID, PointsPaid] = {}
    for hold in holds:
        kept = fit_hold(hold, total_minor, paid)
        if kept.points != hold.points:
            lowered[hold.id] = kept
        paid = sum_paid((paid, kept))
    return lowered


def fit_hold(hold: ActiveHold, total_minor: int, paid: PointsPaid) -> PointsPaid:
    """Return what of a hold its own terms allow for a total, beside what points pay already.

    Of points that take the same off, the fewest are kept.
    """
    room_minor, room_points = hold.terms.room_minor(total_minor, paid), hold.terms.room_points(paid)
    if hold.discount_minor <= room_minor and (room_points is None or hold.points <= room_points):
        return PointsPaid(hold.points, hold.discount_minor)
    most = min(hold.points, points_within(hold.value, room_minor))
    most = most if room_points is None else min(most, room_points)
    discount_minor = value_of(most, hold.value).amount_minor
    return PointsPaid(fewest_points(hold.value, discount_minor), discount_minor)


def point_value(points: int, amount_minor: int, currency: str) -> PointValue:
    """Return the ratio that was kept with a hold."""
    return PointValue(points, Money(amount_minor, currency))


def find_share(value: int, part: int, whole: int) -> int:
    """Return the share of a value, of points or of their discount, that `part` of `whole` stands for; rounded down.

    The whole stands for all of it, so the shares of parts that follow one another add up to it.
    """
    return divide(value * part, whole, Rounding.FLOOR)
