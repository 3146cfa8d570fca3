"""Count the points of one award for the lines it counts.

The result has points, a sentence, and the formula to freeze.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from loyalty.rules.basis import EarningShare, LineBasis
from loyalty.rules.counted_lines import CountedLine
from loyalty.rules.earning_rule import FixedAward, PerAmountAward, PerUnitAward
from loyalty.rules.exchange import Exchange, format_rate
from loyalty.rules.formula import (
    FactorFormula,
    FixedFormula,
    Formula,
    LinePart,
    LinesFormula,
    RatedPart,
    UnitsFormula,
)
from loyalty.rules.money import Ratio, format_amount, format_factor
from loyalty.rules.order_total import OrderTotal
from loyalty.rules.quantity import SCALE, Quantity, format_quantity, scale_quantity, simplify_quantity
from loyalty.rules.rounding import Rounding, divide

_ROUNDING_WORDS = {
    Rounding.FLOOR: "rounded down",
    Rounding.HALF_UP: "rounded to the nearest",
    Rounding.CEIL: "rounded up",
}


class AwardInput(NamedTuple):
    """The input of an award: the lines that it counts, and the amount that belongs to no line (`order.rest_minor`).

    `has_lines` tells whether the purchase has lines at all. `share` is the share of the total that earns, as not paid
    with points or gift cards. `earns_nothing` says that the catalogue keeps at least one item from earning.
    """

    lines: Sequence[CountedLine]
    order: OrderTotal
    has_lines: bool
    share: EarningShare
    earns_nothing: bool
    currency: str
    exchange: Exchange | None = None


class Count(NamedTuple):
    """The result of an award: the points, the explanation, and the formula for refunds."""

    points: int
    explanation: str
    formula: Formula
    basis_minor: int | None = None
    units: Quantity | None = None


NOTHING_TO_MULTIPLY = Count(0, "0 points: no other rule gave points to multiply.", FixedFormula(0))


def count_award(award: FixedAward | PerAmountAward | PerUnitAward, counted: AwardInput) -> Count:
    """Count the points that a matching rule gives by its own award."""
    if isinstance(award, PerUnitAward):
        return _count_units(award, counted)
    if isinstance(award, FixedAward):
        return _count_fixed(award, counted)
    return _count_amount(award, counted)


def count_bonus(factor: Ratio, base: int, *, over_all: bool = False) -> Count:
    """Count the points that a factor adds to ``base`` points, rounded down: the factor 1.5 gives 50 for a base of 100.

    With ``over_all`` the factor is that of a tier: in the formula it multiplies the points of all other lines.
    """
    above = factor.numerator - factor.denominator
    points = divide(base * above, factor.denominator, Rounding.FLOOR)
    times = f"what {_say_points(base)} times {format_factor(factor)} is above them"
    formula = FactorFormula(above, factor.denominator, over_all)
    return Count(points, f"{_say_points(points)}: {times}, rounded down.", formula)


def basis_minor_of(order: OrderTotal, lines: Iterable[CountedLine]) -> int:
    """Return the amount of some lines plus the amount that belongs to no line, rounded down to the minor unit.

    The discount of the whole order is subtracted from the lines.
    """
    numerator, denominator = _add_amounts(order, [line.basis for line in lines])
    return divide(numerator, denominator, Rounding.FLOOR)


def _count_fixed(award: FixedAward, counted: AwardInput) -> Count:
    """Count a fixed award.

    It gives its points times the earning share: less than all if points or gift cards paid a part. It gives 0 points if
    the purchase has lines, no line takes part, and no amount is without a line.
    """
    lines, rest_minor = counted.lines, counted.order.rest_minor
    if counted.has_lines and not lines and not rest_minor:
        return Count(0, "0 points: nothing that was bought takes part in the program.", FixedFormula(0))
    numerator, denominator, _ = counted.share
    points = divide(award.points * numerator, denominator, Rounding.FLOOR)
    parts = _build_parts([(line.position, line.amount_minor) for line in lines])
    if lines and not parts and not rest_minor:
        # These lines cost nothing. So a refund takes their points by quantity.
        parts = _build_parts([(line.position, scale_quantity(line.quantity)) for line in lines])
    formula = FixedFormula(award.points, numerator, denominator, parts, rest_minor)
    said = "" if counted.share.is_whole else f", of {award.points} for the part that was {_say_unpaid(counted)}"
    return Count(points, f"{_say_points(points)} for the purchase{said}.", formula)


def _count_amount(award: PerAmountAward, counted: AwardInput) -> Count:
    """Count an award per amount.

    Lines with points per unit or a rate of their own give those. All other lines give points for their amount.
    """
    order, (numerator, denominator, _) = counted.order, counted.share
    by_rule = [line for line in counted.lines if line.points_per_unit is None and line.rate is None]
    own, scale = _build_unit_parts(
        [(line.position, line.quantity, line.points_per_unit or 0) for line in counted.lines]
    )
    rated = tuple(
        [
            RatedPart(
                line.position, line.basis.shared_minor, line.basis.plain_minor, line.rate.points, line.rate.per_minor
            )
            for line in counted.lines
            if line.rate is not None
        ]
    )
    formula = LinesFormula(
        points=award.points,
        per_minor=award.per_minor,
        rounding=award.rounding,
        numerator=numerator,
        denominator=denominator,
        paid_numerator=order.paid_numerator,
        paid_denominator=order.paid_denominator,
        rest_minor=order.rest_minor,
        shared=_build_parts([(line.position, line.basis.shared_minor) for line in by_rule]),
        plain=_build_parts([(line.position, line.basis.plain_minor) for line in by_rule]),
        own=own,
        scale=scale,
        rated=rated,
    )
    amount_minor, amount_denominator = _add_amounts(order, [line.basis for line in by_rule])
    amount_minor, amount_denominator = amount_minor * numerator, amount_denominator * denominator
    earned, earned_denominator = amount_minor * award.points, amount_denominator * award.per_minor
    if rated:
        paid = Fraction(order.paid_numerator, order.paid_denominator)
        own_rates = sum([part.points_of(paid) for part in rated], Fraction(0)) * Fraction(numerator, denominator)
        all_earned = Fraction(earned, earned_denominator) + own_rates
        earned, earned_denominator = all_earned.numerator, all_earned.denominator
    by_amount = max(0, divide(earned, earned_denominator, award.rounding))
    by_own = divide(sum([part.value for part in own]) * numerator, denominator * scale, Rounding.FLOOR)
    points, basis_minor = by_amount + by_own, divide(amount_minor, amount_denominator, Rounding.FLOOR)
    said = _say_amount(award, counted, basis_minor, by_own if own else None, rated=bool(rated))
    return Count(points, f"{_say_points(points)}: {said}.", formula, basis_minor)


def _say_amount(
    award: PerAmountAward, counted: AwardInput, basis_minor: int, by_own: int | None, *, rated: bool
) -> str:
    """Return the part of the explanation that says which amount was counted, without the sum of the points.

    ``by_own`` are the points of items with points per unit of their own; None if there are no such items. ``rated``
    says that items have a rate of their own.
    """
    currency = counted.currency
    per = f"{award.points} per {format_amount(award.per_minor, currency)} {currency}"
    said = f"{per} of {format_amount(basis_minor, currency)} {currency}"
    if counted.exchange is not None and counted.exchange.total_minor is not None:
        said += f" (from {counted.exchange.currency} at {format_rate(counted.exchange.rate)})"
    if rated:
        said += " and what items earn at rates of their own"
    said += f", {_ROUNDING_WORDS[award.rounding]}"
    if by_own is not None:
        said += f", and {by_own} of items with points of their own"
    if counted.earns_nothing:
        said += ", without items that earn nothing"
    return said + _say_share(counted)


def _count_units(award: PerUnitAward, counted: AwardInput) -> Count:
    """Count an award per unit: the points of each enrolled unit, or the item's own points per unit."""
    numerator, denominator, _ = counted.share
    enrolled = [line for line in counted.lines if line.enrolled]
    units = simplify_quantity(sum([line.quantity for line in enrolled]))
    parts, scale = _build_unit_parts(
        [
            (line.position, line.quantity, award.points if line.points_per_unit is None else line.points_per_unit)
            for line in enrolled
        ]
    )
    points = divide(sum([part.value for part in parts]) * numerator, denominator * scale, Rounding.FLOOR)
    own = any(line.points_per_unit is not None for line in enrolled)
    rate = "with the items' own points where they have any" if own else f"{award.points} each"
    said = f"{format_quantity(units)} enrolled {'unit' if units == 1 else 'units'}"
    explanation = f"{_say_points(points)}: {said}, {rate}{_say_share(counted)}."
    return Count(points, explanation, UnitsFormula(parts, numerator, denominator, scale), units=units)


def _add_amounts(order: OrderTotal, counted: Iterable[LineBasis]) -> tuple[int, int]:
    """Return the amount of some lines plus the amount that belongs to no line, as numerator and denominator.

    The discount of the whole order is subtracted from the lines.
    """
    plain_minor, shared_minor = order.rest_minor, 0
    for basis in counted:
        plain_minor += basis.plain_minor
        shared_minor += basis.shared_minor
    return (plain_minor * order.paid_denominator + shared_minor * order.paid_numerator, order.paid_denominator)


def _build_unit_parts(values: Sequence[tuple[int, Quantity, int]]) -> tuple[tuple[LinePart, ...], int]:
    """Return the formula parts of lines that give points per unit, and the scale of their values.

    Each of ``values`` has the position of a line, its quantity, and its points per unit. The value of a part is
    quantity times points. With a scale of 1 it is in points. If a quantity is a fraction, all values are in parts of
    1/SCALE of a point.
    """
    if all(isinstance(quantity, int) for _, quantity, _ in values):
        return _build_parts([(position, int(quantity) * points) for position, quantity, points in values]), 1
    return _build_parts([(position, scale_quantity(quantity) * points) for position, quantity, points in values]), SCALE


def _build_parts(values: Iterable[tuple[int, int]]) -> tuple[LinePart, ...]:
    """Return the parts of a formula, without lines of value 0."""
    return tuple([LinePart(position, value) for position, value in values if value])


def _say_share(counted: AwardInput) -> str:
    """Return the end of an explanation about the earning share; an empty text if the whole total earns."""
    return "" if counted.share.is_whole else f", for the part that was {_say_unpaid(counted)}"


def _say_unpaid(counted: AwardInput) -> str:
    return f"not paid with {counted.share.paid_with}"


def _say_points(points: int) -> str:
    return "1 point" if points == 1 else f"{points} points"
