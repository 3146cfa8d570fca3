"""How a rule came to its points, frozen with them: enough to say what it gives for a part of the purchase.

A refund asks the formula, not the rule: later edits of rules, catalogue or settings change nothing (F-04).
"""

from dataclasses import dataclass
from fractions import Fraction

from loyalty.rules.rounding import Rounding, divide


@dataclass(frozen=True, slots=True)
class LinePart:
    """What one line, by its position, brought in: minor units, or points of its own."""

    position: int
    value: int


@dataclass(frozen=True, slots=True)
class RatedPart:
    """What one line with a rate of its own brought in: `points` for every `per_minor` of its amount.

    The amount is `plain_minor`, and of `shared_minor` what the discount of the whole order leaves.
    """

    position: int
    shared_minor: int
    plain_minor: int
    points: int
    per_minor: int

    def points_of(self, paid: Fraction) -> Fraction:
        """The points of the whole line, not rounded, when this share of its amount was paid."""
        return (self.plain_minor + self.shared_minor * paid) * Fraction(self.points, self.per_minor)


@dataclass(frozen=True, slots=True)
class FixedFormula:
    """The share `numerator` / `denominator` of so many points, rounded down: what was not paid with points.

    They hang on the lines that earned them, in the ratio of the `parts`, and on `rest_minor`, which belongs to no line.
    Where neither is there, they hang on the whole purchase.
    """

    points: int
    numerator: int = 1
    denominator: int = 1
    parts: tuple[LinePart, ...] = ()
    rest_minor: int = 0


@dataclass(frozen=True, slots=True)
class LinesFormula:
    """`points` for every `per_minor` of an amount and what `rated` lines earn, rounded once; and `own` points of items.

    The amount is `rest_minor`, which belongs to no line, the `plain` parts, and of the `shared` parts what the discount
    of the whole order leaves: `paid_numerator` / `paid_denominator`. Of both the amount and the own points only the
    share `numerator` / `denominator` counts that was not paid with points. Amounts are minor units, own points count in
    `scale` parts of a point, because a quantity may be a fraction.
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
    """The formula of amounts in accruals from before discounts of a whole order were shared out over its lines.

    `points` for every `per_minor` of the share `numerator` / `denominator` of `whole_minor`, or of the sum of the
    `parts` when the rule counts only some lines. The `own` parts are the points of lines that have points of their own;
    their amounts do not count (below zero among the parts of a whole).
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
    """The share `numerator` / `denominator` of the points of all units, line by line, rounded down once.

    The parts count in `scale` parts of a point, because a quantity may be a fraction.
    """

    parts: tuple[LinePart, ...]
    numerator: int = 1
    denominator: int = 1
    scale: int = 1


@dataclass(frozen=True, slots=True)
class FactorFormula:
    """The part `numerator` / `denominator` of what other lines give, rounded down.

    `over_all` counts on everything before it, otherwise on what rules give by themselves.
    """

    numerator: int
    denominator: int
    over_all: bool = False


Formula = FixedFormula | LinesFormula | AmountFormula | UnitsFormula | FactorFormula


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a purchase: the share of its total, of each line, and of what no line tells.

    `rest` is the share that amounts without a line have left of what the lines have left.
    """

    whole: Fraction
    lines: tuple[Fraction, ...]
    rest: Fraction

    def line(self, position: int) -> Fraction:
        """The share of a line that is left; of a line that the purchase does not tell any more, that of the whole."""
        return self.lines[position] * self.rest if position < len(self.lines) else self.whole


def points_left(formula: Formula, left: Left, base: int) -> int:
    """Return what a formula gives for what is left; `base` is what the lines give that a factor counts on."""
    match formula:
        case FixedFormula():
            return _floor(
                formula.points * Fraction(formula.numerator, formula.denominator) * _find_fixed_share(formula, left)
            )
        case UnitsFormula():
            return _floor(_sum(formula.parts, left) * Fraction(formula.numerator, formula.denominator * formula.scale))
        case FactorFormula():
            return divide(base * formula.numerator, formula.denominator, Rounding.FLOOR)
        case LinesFormula():
            return _lines_left(formula, left)
        case AmountFormula():
            return _amount_left(formula, left)


def _find_fixed_share(formula: FixedFormula, left: Left) -> Fraction:
    """The share that is left of what a fixed award hangs on."""
    whole = sum(part.value for part in formula.parts) + formula.rest_minor
    if not whole:
        return left.whole
    return (_sum(formula.parts, left) + formula.rest_minor * left.rest) * Fraction(1, whole)


def _lines_left(formula: LinesFormula, left: Left) -> int:
    not_with_points = Fraction(formula.numerator, formula.denominator)
    paid = Fraction(formula.paid_numerator, formula.paid_denominator)
    amount = formula.rest_minor * left.rest + _sum(formula.plain, left) + paid * _sum(formula.shared, left)
    earned = amount * Fraction(formula.points, formula.per_minor)
    earned += sum((part.points_of(paid) * left.line(part.position) for part in formula.rated), Fraction(0))
    earned *= not_with_points
    counted = divide(earned.numerator, earned.denominator, formula.rounding)
    return counted + _floor(_sum(formula.own, left) * not_with_points * Fraction(1, formula.scale))


def _amount_left(formula: AmountFormula, left: Left) -> int:
    amount = _sum(formula.parts, left)
    if formula.whole_minor is not None:
        amount += formula.whole_minor * left.whole
    rate = Fraction(formula.points * formula.numerator, formula.per_minor * formula.denominator)
    share = amount * rate
    counted = max(0, divide(share.numerator, share.denominator, formula.rounding))
    return counted + _floor(_sum(formula.own, left))


def _sum(parts: tuple[LinePart, ...], left: Left) -> Fraction:
    return sum((part.value * left.line(part.position) for part in parts), Fraction(0))


def _floor(value: Fraction) -> int:
    return divide(value.numerator, value.denominator, Rounding.FLOOR)
