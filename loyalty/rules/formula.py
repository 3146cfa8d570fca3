"""Formulas: how a rule computed its points. A formula is frozen with the accrual.

A refund computes with the formula, not with the rule. So later edits of rules, catalogue or settings change nothing
(F-04).
"""

from dataclasses import dataclass
from fractions import Fraction

from loyalty.rules.rounding import Rounding, divide


@dataclass(frozen=True, slots=True)
class LinePart:
    """The part of one line in a formula: the line's position, and its value in minor units or in points."""

    position: int
    value: int


@dataclass(frozen=True, slots=True)
class RatedPart:
    """The part of one line with an earning rate of its own: `points` for every `per_minor` of its amount.

    The amount is `plain_minor`, plus the part of `shared_minor` that the discount of the whole order leaves.
    """

    position: int
    shared_minor: int
    plain_minor: int
    points: int
    per_minor: int

    def points_of(self, paid: Fraction) -> Fraction:
        """Return the points of the whole line, not rounded. `paid` is the share that the order's discount leaves."""
        return (self.plain_minor + self.shared_minor * paid) * Fraction(self.points, self.per_minor)


@dataclass(frozen=True, slots=True)
class FixedFormula:
    """The share `numerator` / `denominator` of a fixed number of points, rounded down.

    The other part of the purchase was paid with points or cards. After refunds only a part of the points is left: the
    part that is left of the lines in `parts` and of `rest_minor`, the amount that belongs to no line. Without parts and
    rest it is the part that is left of the whole purchase.
    """

    points: int
    numerator: int = 1
    denominator: int = 1
    parts: tuple[LinePart, ...] = ()
    rest_minor: int = 0


@dataclass(frozen=True, slots=True)
class LinesFormula:
    """Points for an amount of money, points of `rated` lines, and points per unit (`own`).

    The amount is the sum of `rest_minor` (it belongs to no line), the `plain` parts, and the share `paid_numerator` /
    `paid_denominator` of the `shared` parts: the discount of the whole order leaves that share. The amount gives
    `points` for every `per_minor`. The points of the `rated` lines are added, and the sum is rounded once.

    The `own` points are points per unit of items that have such points. They count in `scale` parts of a point, because
    a quantity may be a fraction. Their sum is rounded down by itself.

    Only the share `numerator` / `denominator` of all these points counts; the rest was paid with points or cards.
    Amounts are in minor units.
    """

    points: int
    per_minor: int
    rounding: Rounding
    numerator: int
    denominator: int
    paid_numerator: int
    paid_denominator: int
    rest_minor: int
    shared: tuple[LinePart, ...]
    plain: tuple[LinePart, ...]
    own: tuple[LinePart, ...]
    scale: int = 1
    rated: tuple[RatedPart, ...] = ()


@dataclass(frozen=True, slots=True)
class AmountFormula:
    """A formula of older accruals: from before the discount of a whole order was shared out over the lines.

    It gives `points` for every `per_minor` of the share `numerator` / `denominator` of an amount. The amount is
    `whole_minor`, or the sum of the `parts` if the rule counts only some lines. The `own` parts are the points of lines
    with points per unit. The amounts of those lines do not count: with `whole_minor` they are among the `parts`, below
    zero.
    """

    points: int
    per_minor: int
    rounding: Rounding
    numerator: int
    denominator: int
    whole_minor: int | None
    parts: tuple[LinePart, ...]
    own: tuple[LinePart, ...]


@dataclass(frozen=True, slots=True)
class UnitsFormula:
    """The share `numerator` / `denominator` of the points of all units, added line by line and rounded down once.

    The parts count in `scale` parts of a point, because a quantity may be a fraction.
    """

    parts: tuple[LinePart, ...]
    numerator: int = 1
    denominator: int = 1
    scale: int = 1


@dataclass(frozen=True, slots=True)
class FactorFormula:
    """The share `numerator` / `denominator` of the points of other lines, rounded down.

    With `over_all` the factor counts on all lines before it, else only on the lines of rules that are no factors.
    """

    numerator: int
    denominator: int
    over_all: bool = False


Formula = FixedFormula | LinesFormula | AmountFormula | UnitsFormula | FactorFormula


@dataclass(frozen=True, slots=True)
class SharesLeft:
    """The shares of a purchase that are left after its refunds.

    `whole` is the share of the total. `lines` are the shares of the lines after the refunds of lines. `rest` is the
    share that the refunds without lines leave of everything else: an amount without a line, and each line after its own
    refunds.
    """

    whole: Fraction
    lines: tuple[Fraction, ...]
    rest: Fraction

    def line(self, position: int) -> Fraction:
        """Return the share of a line that is left. For a line that the purchase no longer has, return `whole`."""
        return self.lines[position] * self.rest if position < len(self.lines) else self.whole


def points_left(formula: Formula, left: SharesLeft, base: int) -> int:
    """Return the points that a formula gives for the part of a purchase that is left.

    `base` are the points that a factor multiplies. Other formulas do not use it.
    """
    match formula:
        case FixedFormula():
            return _floor(
                formula.points * Fraction(formula.numerator, formula.denominator) * _find_fixed_share(formula, left)
            )
        case UnitsFormula():
            return _floor(
                _sum_parts(formula.parts, left) * Fraction(formula.numerator, formula.denominator * formula.scale)
            )
        case FactorFormula():
            return divide(base * formula.numerator, formula.denominator, Rounding.FLOOR)
        case LinesFormula():
            return _count_lines_formula(formula, left)
        case AmountFormula():
            return _count_amount_formula(formula, left)


def _find_fixed_share(formula: FixedFormula, left: SharesLeft) -> Fraction:
    """Return the share that is left of the lines and the rest amount that a fixed award belongs to."""
    whole = sum(part.value for part in formula.parts) + formula.rest_minor
    if not whole:
        return left.whole
    return (_sum_parts(formula.parts, left) + formula.rest_minor * left.rest) * Fraction(1, whole)


def _count_lines_formula(formula: LinesFormula, left: SharesLeft) -> int:
    """Return the points that a LinesFormula gives for the part of a purchase that is left."""
    not_with_points = Fraction(formula.numerator, formula.denominator)
    paid = Fraction(formula.paid_numerator, formula.paid_denominator)
    amount = formula.rest_minor * left.rest + _sum_parts(formula.plain, left) + paid * _sum_parts(formula.shared, left)
    earned = amount * Fraction(formula.points, formula.per_minor)
    earned += sum((part.points_of(paid) * left.line(part.position) for part in formula.rated), Fraction(0))
    earned *= not_with_points
    counted = divide(earned.numerator, earned.denominator, formula.rounding)
    return counted + _floor(_sum_parts(formula.own, left) * not_with_points * Fraction(1, formula.scale))


def _count_amount_formula(formula: AmountFormula, left: SharesLeft) -> int:
    """Return the points that an AmountFormula gives for the part of a purchase that is left."""
    amount = _sum_parts(formula.parts, left)
    if formula.whole_minor is not None:
        amount += formula.whole_minor * left.whole
    rate = Fraction(formula.points * formula.numerator, formula.per_minor * formula.denominator)
    share = amount * rate
    counted = max(0, divide(share.numerator, share.denominator, formula.rounding))
    return counted + _floor(_sum_parts(formula.own, left))


def _sum_parts(parts: tuple[LinePart, ...], left: SharesLeft) -> Fraction:
    """Return the sum of the values of parts, each times the share of its line that is left."""
    return sum((part.value * left.line(part.position) for part in parts), Fraction(0))


def _floor(value: Fraction) -> int:
    return divide(value.numerator, value.denominator, Rounding.FLOOR)
