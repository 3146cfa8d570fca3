"""Refunds in parts: what is left of a purchase, and what its frozen formulas give for that.

Only the sum of all refunds counts, never their order or split: earned minus reversed is always what the formulas give
for what is left (F-02). Shares are exact fractions; points are rounded once, money once per line.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from loyalty.rules.errors import InvalidInput, RefundExceedsPurchase
from loyalty.rules.formula import FactorFormula, FixedFormula, Formula, Left, points_left
from loyalty.rules.money import format_amount
from loyalty.rules.purchase import PurchaseLine
from loyalty.rules.rounding import Rounding, divide


class RefundPolicy(StrEnum):
    """What a refund takes of the points that the purchase earned."""

    PROPORTIONAL = "PROPORTIONAL"
    """What the rules give for the part that was refunded."""
    FULL_ONLY = "FULL_ONLY"
    """Nothing until everything is refunded, and then all."""
    NONE = "NONE"
    """Nothing."""


@dataclass(frozen=True, slots=True)
class LineRefund:
    """A refund of one line, by its position: so many units, and an amount beside them, in minor units."""

    position: int
    quantity: int = 0
    amount_minor: int = 0


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund: of lines, and of an amount that belongs to none."""

    lines: tuple[LineRefund, ...] = ()
    amount_minor: int = 0


@dataclass(frozen=True, slots=True)
class Refundable:
    """What a purchase consists of: its total and its lines, all in minor units of one currency."""

    total_minor: int
    lines: tuple[PurchaseLine, ...]
    currency: str

    def paid(self, position: int) -> Fraction:
        """What was paid for a line: less than its amount where the total holds a discount of the whole order."""
        lines_minor = sum(line.amount_minor for line in self.lines)
        amount_minor = self.lines[position].amount_minor
        if self.total_minor >= lines_minor:
            return Fraction(amount_minor)
        return Fraction(amount_minor * self.total_minor, lines_minor)


def validate_refund(purchase: Refundable, before: Sequence[Refund], refund: Refund) -> int:
    """Return how much money a refund pays back, in minor units.

    Raises InvalidInput for a line that is not there and for a refund of nothing, and RefundExceedsPurchase when a line
    or the purchase has less left.
    """
    for line in refund.lines:
        if not 0 <= line.position < len(purchase.lines):
            raise InvalidInput.one("lines", str(line.position), reason="is not a line of the purchase")
        if line.quantity < 0 or line.amount_minor < 0 or not (line.quantity or line.amount_minor):
            raise InvalidInput.one("lines", str(line.position), reason="must refund a quantity or an amount")
        if _line_left(purchase, (*before, refund), line.position) < 0:
            left = _line_left(purchase, before, line.position) * purchase.paid(line.position)
            refundable = divide(left.numerator, left.denominator, Rounding.FLOOR)
            raise _exceeds(purchase, refundable, _line_money(purchase, before, line), "lines", str(line.position))
    money_minor = refund.amount_minor + sum(lines_money(purchase, before, refund))
    refundable = purchase.total_minor - refunded_minor(purchase, before)
    if money_minor > refundable:
        raise _exceeds(purchase, refundable, money_minor, "amount")
    if money_minor < 1:
        raise InvalidInput.one("amount", reason="must refund something")
    return money_minor


def refunded_minor(purchase: Refundable, refunds: Sequence[Refund]) -> int:
    """Return how much money all refunds together paid back."""
    return sum(
        refund.amount_minor + sum(lines_money(purchase, refunds[:number], refund))
        for number, refund in enumerate(refunds)
    )


def lines_money(purchase: Refundable, before: Sequence[Refund], refund: Refund) -> list[int]:
    """Return what a refund pays back for each of its lines, in minor units and in their order."""
    earlier = (Refund(refund.lines[:number]) for number in range(len(refund.lines)))
    return [_line_money(purchase, (*before, so_far), line) for so_far, line in zip(earlier, refund.lines, strict=True)]


def left_of(purchase: Refundable, refunds: Sequence[Refund]) -> Left:
    """Return what is left of a purchase after all its refunds; of one that cost nothing, everything."""
    lines = tuple(max(Fraction(0), _line_left(purchase, refunds, number)) for number in range(len(purchase.lines)))
    if not purchase.total_minor:
        return Left(Fraction(1), lines, Fraction(1))
    gone = sum((purchase.paid(number) * (1 - share) for number, share in enumerate(lines)), Fraction(0))
    by_lines = max(Fraction(0), purchase.total_minor - gone)
    by_all = max(Fraction(0), by_lines - sum(refund.amount_minor for refund in refunds))
    rest = by_all * Fraction(by_lines.denominator, by_lines.numerator) if by_lines else Fraction(0)
    return Left(by_all * Fraction(1, purchase.total_minor), lines, rest)


def points_kept(formulas: Iterable[Formula], left: Left, policy: RefundPolicy) -> int:
    """Return how many points the purchase keeps of those that its formulas gave."""
    formulas = tuple(formulas)
    if policy is RefundPolicy.NONE or (policy is RefundPolicy.FULL_ONLY and left.whole):
        left = Left(Fraction(1), tuple(Fraction(1) for _ in left.lines), Fraction(1))
    elif not left.whole:
        return 0
    alone = sum(points_left(one, left, 0) for one in formulas if not isinstance(one, FactorFormula))
    over_rules = _factors(formulas, left, alone, over_all=False)
    return alone + over_rules + _factors(formulas, left, alone + over_rules, over_all=True)


def formula_or_fixed(points: int, formula: Formula | None) -> Formula:
    """Return the formula of a line, or for one from before formulas were kept: so many points for the whole."""
    return FixedFormula(points) if formula is None else formula


def _factors(formulas: tuple[Formula, ...], left: Left, base: int, *, over_all: bool) -> int:
    wanted = (one for one in formulas if isinstance(one, FactorFormula) and one.over_all is over_all)
    return sum(points_left(one, left, base) for one in wanted)


def _line_left(purchase: Refundable, refunds: Sequence[Refund], position: int) -> Fraction:
    """Which share of a line is left; below zero when more was refunded than there is."""
    parts = [line for refund in refunds for line in refund.lines if line.position == position]
    left = 1 - Fraction(sum(part.quantity for part in parts), purchase.lines[position].quantity)
    amount_minor = sum(part.amount_minor for part in parts)
    paid = purchase.paid(position)
    if not amount_minor:
        return left
    return left - amount_minor * Fraction(paid.denominator, paid.numerator) if paid else Fraction(-1)


def _line_money(purchase: Refundable, before: Sequence[Refund], line: LineRefund) -> int:
    """What a refund of a line pays back: the units' part of what was paid, rounded so that all units give all of it."""
    gone = sum(part.quantity for refund in before for part in refund.lines if part.position == line.position)
    per_unit = purchase.paid(line.position) * Fraction(1, purchase.lines[line.position].quantity)
    first, last = per_unit * gone, per_unit * (gone + line.quantity)
    units_minor = divide(last.numerator, last.denominator, Rounding.FLOOR) - divide(
        first.numerator, first.denominator, Rounding.FLOOR
    )
    return line.amount_minor + units_minor


def _exceeds(purchase: Refundable, refundable: int, requested: int, *path: str) -> RefundExceedsPurchase:
    currency = purchase.currency
    return RefundExceedsPurchase(
        f"{format_amount(max(0, refundable), currency)} {currency}",
        f"{format_amount(requested, currency)} {currency}",
        path,
    )
