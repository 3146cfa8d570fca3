"""How much of a purchase points pay for, and which points go back when the purchase becomes smaller.

The limits of a redemption belong to the purchase: its active holds and its redemptions, less returns, count together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from loyalty.rules.money import Money, PointValue, value_of
from loyalty.rules.rounding import Rounding, divide

MAX_PERCENT = 100


@dataclass(frozen=True, slots=True)
class PointsPaid:
    """Points that pay for a purchase, and the discount that they give in minor units."""

    points: int = 0
    discount_minor: int = 0


NOTHING_PAID = PointsPaid()


@dataclass(frozen=True, slots=True)
class DiscountTerms:
    """The most that points may take off one purchase: a percentage of its total, an amount in minor units, or points.

    None is no limit. The terms are frozen with a hold: a later edit of the settings does not break a promise.
    """

    percent: int | None = None
    amount_minor: int | None = None
    points: int | None = None

    def cap_minor(self, total_minor: int) -> int:
        """Return the largest discount on a total; a percentage is rounded down."""
        caps = [max(total_minor, 0)]
        if self.amount_minor is not None:
            caps.append(self.amount_minor)
        if self.percent is not None:
            caps.append(divide(max(total_minor, 0) * self.percent, MAX_PERCENT, Rounding.FLOOR))
        return min(caps)

    def room_minor(self, total_minor: int, paid: PointsPaid) -> int:
        """Return how much discount is still possible on a total, after the points that pay already."""
        return max(0, self.cap_minor(total_minor) - paid.discount_minor)

    def room_points(self, paid: PointsPaid) -> int | None:
        """Return how many points may still be used, after the points that pay already; None is no limit."""
        return None if self.points is None else max(0, self.points - paid.points)


@dataclass(frozen=True, slots=True)
class ActiveHold:
    """A hold as the limits of its purchase need it: the points still set aside, their value, and their terms."""

    id: UUID
    points: int
    discount_minor: int
    value: PointValue
    terms: DiscountTerms

    def keep(self, points: int) -> "ActiveHold":
        """Return the hold with so many of its points.

        If it keeps all points, it keeps its discount. Fewer points give the discount that they are worth.
        """
        if points == self.points:
            return self
        return replace(self, points=points, discount_minor=value_of(points, self.value).amount_minor)


@dataclass(frozen=True, slots=True)
class LiveRedemption:
    """A redemption with points that have not come back.

    Its `points` took `discount_minor` off. Of these points, `returned_points` came back.
    """

    id: UUID
    points: int
    returned_points: int
    discount_minor: int

    @property
    def returnable_points(self) -> int:
        """The points that have not come back."""
        return self.points - self.returned_points

    def after(self, points: int) -> "LiveRedemption":
        """Return the redemption after the return of so many more points."""
        return LiveRedemption(self.id, self.points, self.returned_points + points, self.discount_minor)

    @property
    def paid(self) -> PointsPaid:
        """The points and the discount that are left.

        Returned points took their share of the discount along, rounded down.
        """
        returned_minor = find_share(self.discount_minor, self.returned_points, self.points)
        return PointsPaid(self.returnable_points, self.discount_minor - returned_minor)


@dataclass(frozen=True, slots=True)
class Excess:
    """Points that do not fit into a purchase: redemptions give back `returns`, and holds keep only `lowered`.

    `lowered` names each hold that does not fit, with the points and the discount that it keeps; 0 points end the hold.
    """

    returns: dict[UUID, int]
    lowered: dict[UUID, PointsPaid]


def sum_paid(parts: Iterable[PointsPaid]) -> PointsPaid:
    """Return the sum of several payments with points."""
    listed = list(parts)
    return PointsPaid(sum(part.points for part in listed), sum(part.discount_minor for part in listed))


def points_within(value: PointValue, limit_minor: int) -> int:
    """Return the most points whose value, rounded down, is not above a limit in minor units."""
    return ((limit_minor + 1) * value.points - 1) // value.money.amount_minor


def fewest_points(value: PointValue, discount_minor: int) -> int:
    """Return the fewest points that are worth at least a discount in minor units."""
    return divide(discount_minor * value.points, value.money.amount_minor, Rounding.CEIL)


def find_excess(total_minor: int, redemptions: Sequence[LiveRedemption], holds: Sequence[ActiveHold]) -> Excess:
    """Decide which points go back when a purchase has this total. Both lists begin with the oldest.

    Redemptions count first, because their discount was given already: only the part above the total comes back, and
    the newest redemption gives first. The holds share the rest, each within its own terms; the newest hold is lowered
    first.
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
    """Return the fewest points of a redemption whose return takes so much discount back.

    If the redemption has less discount left, return all its points; if it has none left, return 0.
    """
    if excess_minor <= 0:
        return 0
    left = one.returnable_points
    if excess_minor >= one.paid.discount_minor:
        return left if one.paid.discount_minor else 0
    gone_minor = one.discount_minor - one.paid.discount_minor + excess_minor
    return divide(gone_minor * one.points, one.discount_minor, Rounding.CEIL) - one.returned_points


def lower_holds(total_minor: int, paid: PointsPaid, holds: Sequence[ActiveHold]) -> dict[UUID, PointsPaid]:
    """Return the holds that do not fit into a total after ``paid``, with the points and the discount that each keeps.

    The list is in the order in which the holds were made; the newest ones are lowered first.
    """
    lowered: dict[UUID, PointsPaid] = {}
    for hold in holds:
        kept = fit_hold(hold, total_minor, paid)
        if kept.points != hold.points:
            lowered[hold.id] = kept
        paid = sum_paid((paid, kept))
    return lowered


def fit_hold(hold: ActiveHold, total_minor: int, paid: PointsPaid) -> PointsPaid:
    """Return the points and the discount that a hold keeps within its own terms for a total, after ``paid``.

    If several numbers of points give the same discount, the fewest are kept.
    """
    room_minor, room_points = hold.terms.room_minor(total_minor, paid), hold.terms.room_points(paid)
    if hold.discount_minor <= room_minor and (room_points is None or hold.points <= room_points):
        return PointsPaid(hold.points, hold.discount_minor)
    most = min(hold.points, points_within(hold.value, room_minor))
    most = most if room_points is None else min(most, room_points)
    discount_minor = value_of(most, hold.value).amount_minor
    return PointsPaid(fewest_points(hold.value, discount_minor), discount_minor)


def point_value(points: int, amount_minor: int, currency: str) -> PointValue:
    """Return the point value that was frozen with a hold."""
    return PointValue(points, Money(amount_minor, currency))


def find_share(value: int, part: int, whole: int) -> int:
    """Return the share `part` / `whole` of a value (points or a discount), rounded down.

    The share of one part after another is the difference of two results. So all shares add up to the whole value.
    """
    return divide(value * part, whole, Rounding.FLOOR)
