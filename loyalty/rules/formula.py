"""How a rule came to its points, frozen with them: enough to say what it gives for a part of the purchase.

A refund asks the formula, not the rule: later edits of rules, catalogue or settings change nothing (F-04).
"""

from dataclasses import dataclass
from fractions import Fraction

from loyalty.rules.rounding import Rounding, divide


@dataclass(frozen=True, slots=True)
class FixedFormula:
    """So many points for the whole purchase."""

    points: int


@dataclass(frozen=True, slots=True)
class LinePart:
    """What one line, by its position, brought in: minor units, or points of its own."""

    position: int
    value: int


@dataclass(frozen=True, slots=True)
class AmountFormula:
    """`points` for every `per_minor` of the share `numerator` / `denominator` of an amount, rounded once.

    The amount is `whole_minor`, or the sum of the `parts` when the rule counts only some lines. The `own` parts are the
    points of lines that have points of their own; their amounts do not count (below zero among the parts of a whole).
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
    """The points of all units, line by line."""

    parts: tuple[LinePart, ...]


@dataclass(frozen=True, slots=True)
class FactorFormula:
    """The part `numerator` / `denominator` of what other lines give, rounded down.

    `over_all` counts on everything before it, otherwise on what rules give by themselves.
    """

    numerator: int
    denominator: int
    over_all: bool = False


Formula = FixedFormula | AmountFormula | UnitsFormula | FactorFormula


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a purchase: the share of its total, of each line, and of what no line tells.

    `rest` is the share that amounts without a line have left of what the lines have left.
    """

    whole: Fraction
    lines: tuple[Fraction, ...]
    rest: Fraction

    def line(self, position: int) -> Fraction:
        """The share of a line that is left."""
        return self.lines[position] * self.rest


def points_left(formula: Formula, left: Left, base: int) -> int:
    """Return what a formula gives for what is left; `base` is what the lines give that a factor counts on."""
    if isinstance(formula, FixedFormula):
        return _floor(formula.points * left.whole)
    if isinstance(formula, UnitsFormula):
        return _floor(_sum(formula.parts, left))
    if isinstance(formula, FactorFormula):
        return divide(base * formula.numerator, formula.denominator, Rounding.FLOOR)
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
