"""Refunds in parts: what is left of a purchase, and how many points its frozen formulas give for the rest.

A line takes the points that it earned, as the formulas say line by line. Only the sum of all refunds counts, never
their order or split: earned minus reversed is always the points that the formulas give for the rest (F-02). Shares are
exact fractions. Points are rounded once, money once per line.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import InvalidInput, RefundExceedsPurchase
from loyalty.rules.formula import FactorFormula, FixedFormula, Formula, SharesLeft, points_left
from loyalty.rules.money import Money
from loyalty.rules.order_total import share_out_total
from loyalty.rules.purchase import PurchaseLine
from loyalty.rules.purchase_errors import ReportBelowRefunds
from loyalty.rules.quantity import Quantity, format_quantity
from loyalty.rules.rounding import Rounding, divide
from loyalty.rules.text import tidy_id

BY_LINE_ID = -1
"""The position of a line that is named by its id and not looked up yet."""


class RefundPolicy(DescribedEnum):
    """What a refund takes of the points that the purchase earned."""

    PROPORTIONAL = "PROPORTIONAL", "What the rules give for the part that was refunded."
    FULL_ONLY = "FULL_ONLY", "Nothing until everything is refunded, and then all."
    NONE = "NONE", "Nothing."


@dataclass(frozen=True, slots=True)
class LineRefund:
    """A refund of one line, by its position: a number of units, and an additional amount in minor units.

    A caller may name the line by its `line_id` instead; the position is `BY_LINE_ID` until it is looked up.
    """

    position: int
    quantity: Quantity = 0
    amount_minor: int = 0
    line_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund: of lines, and of an amount without a line.

    `money_minor` is all the money that it paid back; a later change of the purchase does not change it. It is None
    before the refund is recorded.
    """

    lines: tuple[LineRefund, ...] = ()
    amount_minor: int = 0
    money_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Refundable:
    """The total and the lines of a purchase, all in minor units of one currency."""

    total_minor: int
    lines: tuple[PurchaseLine, ...]
    currency: str

    @property
    def total(self) -> Money:
        """The total with its currency."""
        return Money(self.total_minor, self.currency)

    def paid(self) -> tuple[Fraction, ...]:
        """Return the amount paid for each line: its amount, less its share of a discount of the whole order."""
        order = share_out_total(self.total_minor, self.lines)
        return tuple(line.amount_minor * order.share_of(line) for line in self.lines)


def find_lines(purchase: Refundable, refund: Refund) -> Refund:
    """Return the refund with the positions of the lines that it names by their ids.

    Raises InvalidInput for an id that no line of the purchase has.
    """
    positions = {
        tidy_id(line.line_id): position for position, line in enumerate(purchase.lines) if line.line_id is not None
    }
    found = []
    for number, line in enumerate(refund.lines):
        if line.line_id is None:
            found.append(line)
        elif tidy_id(line.line_id) in positions:
            found.append(replace(line, position=positions[tidy_id(line.line_id)]))
        else:
            raise InvalidInput.one("lines", str(number), "line_id", reason="is not a line of the purchase")
    return replace(refund, lines=tuple(found))


def validate_refund(purchase: Refundable, before: Sequence[Refund], refund: Refund) -> int:
    """Return how much money a refund pays back, in minor units; 0 for lines that cost nothing.

    Raises InvalidInput for a line that does not exist and for an empty refund, and RefundExceedsPurchase if a line or
    the purchase has less left. The paths name the lines of the refund by their place in it.
    """
    if not refund.lines and not refund.amount_minor:
        raise InvalidInput.one("amount", reason="must refund something")
    _refuse_lines(purchase, before, refund)
    money_minor = refund.amount_minor + sum(lines_money(purchase, before, refund))
    refundable = purchase.total_minor - sum_refunds(purchase, before)
    if money_minor > refundable:
        raise _build_refusal(purchase, refundable, money_minor, *_money_path(refund))
    return money_minor


def build_refusal_after_full_refund(purchase: Refundable, refund: Refund) -> RefundExceedsPurchase:
    """Build the refusal of a refund after the whole purchase was refunded: nothing is left of it."""
    lines = Refund(tuple(line for line in refund.lines if 0 <= line.position < len(purchase.lines)))
    requested = refund.amount_minor + sum(lines_money(purchase, (), lines))
    return _build_refusal(purchase, 0, requested, *_money_path(refund))


def sum_refunds(purchase: Refundable, refunds: Sequence[Refund]) -> int:
    """Return how much money all refunds together paid back."""
    new = [refund for refund in refunds if refund.money_minor is None]
    lines = Refund(tuple(line for refund in new for line in refund.lines))
    money_minor = sum(refund.amount_minor for refund in new) + sum(lines_money(purchase, (), lines))
    return money_minor + sum(refund.money_minor or 0 for refund in refunds)


def refuse_below_refunds(purchase: Refundable, refunds: Sequence[Refund], sent: Sequence[PurchaseLine]) -> None:
    """Refuse a report that makes a purchase smaller than its refunds. ``sent`` are the lines of the report.

    Raises ReportBelowRefunds for a total below the refunded money, and for a line with fewer units than were refunded.
    """
    refunded = Money(sum_refunds(purchase, refunds), purchase.currency)
    if purchase.total_minor < refunded.amount_minor:
        raise ReportBelowRefunds(refunded, f"the total must cover them, and is {purchase.total}", ("total",))
    for position, gone in sorted(_sum_taken(refunds).items()):
        line = purchase.lines[position] if position < len(purchase.lines) else None
        if line is None or line.is_removed or line.quantity < gone.quantity:
            named = f"line {position}" if line is None or line.item is None else f"the line of {line.item!r}"
            wanted = f"at least {format_quantity(gone.quantity)}" if gone.quantity else "a quantity"
            path = ("lines", str(sent.index(line)), "quantity") if line in sent else ("lines",)
            raise ReportBelowRefunds(refunded, f"{named} must stay with {wanted}", path)


def lines_money(purchase: Refundable, before: Sequence[Refund], refund: Refund) -> list[int]:
    """Return how much money a refund pays back for each of its lines, in minor units and in their order.

    ``before`` are the earlier refunds of the purchase. A unit pays back its part of the amount paid for the line. The
    parts are rounded so that all units give the whole amount.
    """
    gone = _sum_taken(before)
    paid = purchase.paid() if refund.lines else ()
    money = []
    for line in refund.lines:
        before_units = gone[line.position].quantity if line.position in gone else 0
        bought = purchase.lines[line.position]
        per_unit = Fraction(0) if bought.is_removed else Fraction(paid[line.position], bought.quantity)
        units_minor = _floor(per_unit * (before_units + line.quantity)) - _floor(per_unit * before_units)
        money.append(line.amount_minor + units_minor)
        _add_line_refund(gone, line)
    return money


def subtract_refunds(purchase: Refundable, refunds: Sequence[Refund]) -> SharesLeft:
    """Return the shares of a purchase that are left after all its refunds.

    Refunds of lines take from their lines. Refunds without lines take the same share of everything that is left then.
    If prices fell since, a refund paid back more than its units cost now: the rest of the purchase bears the
    difference. If the purchase cost nothing, the share of the total is the share of its units.
    """
    paid, gone = purchase.paid(), _sum_taken(refunds)
    lines = tuple(
        max(Fraction(0), _find_line_share(line, paid[position], gone.get(position)))
        for position, line in enumerate(purchase.lines)
    )
    if not purchase.total_minor:
        return SharesLeft(_find_units_share(purchase.lines, lines), lines, Fraction(1))
    by_lines = purchase.total_minor - sum(
        (paid[position] * (1 - lines[position]) for position in gone if position < len(lines)), Fraction(0)
    )
    in_money = purchase.total_minor - sum_refunds(purchase, refunds)
    by_all = max(Fraction(0), min(by_lines - sum(refund.amount_minor for refund in refunds), Fraction(in_money)))
    rest = Fraction(by_all, by_lines) if by_lines > 0 else Fraction(0)
    return SharesLeft(Fraction(by_all, purchase.total_minor), lines, rest)


def points_kept(formulas: Iterable[Formula], left: SharesLeft, policy: RefundPolicy) -> int:
    """Return how many points a purchase keeps after its refunds. Its formulas say what it earned.

    `left` are the shares that the refunds leave. The policy NONE keeps all points, FULL_ONLY keeps all of them until
    nothing is left of the purchase.
    """
    formulas = tuple(formulas)
    if policy is RefundPolicy.NONE or (policy is RefundPolicy.FULL_ONLY and left.whole):
        left = SharesLeft(Fraction(1), tuple(Fraction(1) for _ in left.lines), Fraction(1))
    elif not left.whole:
        return 0
    alone = sum(points_left(one, left, 0) for one in formulas if not isinstance(one, FactorFormula))
    over_rules = _sum_factors(formulas, left, alone, over_all=False)
    return alone + over_rules + _sum_factors(formulas, left, alone + over_rules, over_all=True)


def formula_or_fixed(points: int, formula: Formula | None) -> Formula:
    """Return the formula of a line of an evaluation.

    A line from before formulas were kept has none: it gets a fixed formula of its `points` for the whole purchase.
    """
    return FixedFormula(points) if formula is None else formula


def _sum_factors(formulas: tuple[Formula, ...], left: SharesLeft, base: int, *, over_all: bool) -> int:
    """Return the points of the factors among the formulas. `over_all` chooses the factors of tiers, or those of rules.

    `base` are the points that each factor multiplies.
    """
    wanted = (one for one in formulas if isinstance(one, FactorFormula) and one.over_all is over_all)
    return sum(points_left(one, left, base) for one in wanted)


def _refuse_lines(purchase: Refundable, before: Sequence[Refund], refund: Refund) -> None:
    """Refuse lines that do not exist, that refund nothing, or that have less left after the refunds ``before``."""
    paid, gone = purchase.paid(), _sum_taken(before)
    for number, line in enumerate(refund.lines):
        path = ("lines", str(number))
        if not 0 <= line.position < len(purchase.lines):
            raise InvalidInput.one(*path, "line", reason="is not a line of the purchase")
        if line.quantity < 0 or line.amount_minor < 0 or not (line.quantity or line.amount_minor):
            raise InvalidInput.one(*path, reason="must refund a quantity or an amount")
        bought, price = purchase.lines[line.position], paid[line.position]
        left = _find_line_share(bought, price, gone.get(line.position))
        _add_line_refund(gone, line)
        if _find_line_share(bought, price, gone[line.position]) < 0:
            units_minor = 0 if bought.is_removed else _floor(Fraction(price * line.quantity, bought.quantity))
            requested = line.amount_minor + units_minor
            raise _build_refusal(purchase, _floor(max(Fraction(0), left) * price), requested, *path)


def _money_path(refund: Refund) -> tuple[str, ...]:
    """Return the field to refuse when a refund pays back too much money."""
    return ("amount",) if refund.amount_minor else ("lines",)


def _sum_taken(refunds: Iterable[Refund]) -> dict[int, LineRefund]:
    """Return what all refunds took of each line, by its position."""
    gone: dict[int, LineRefund] = {}
    for refund in refunds:
        for line in refund.lines:
            _add_line_refund(gone, line)
    return gone


def _add_line_refund(gone: dict[int, LineRefund], line: LineRefund) -> None:
    """Add the refund of a line to what was refunded of that line before."""
    known = gone.get(line.position)
    if known is not None:
        line = replace(
            line, quantity=known.quantity + line.quantity, amount_minor=known.amount_minor + line.amount_minor
        )
    gone[line.position] = line


def _find_line_share(line: PurchaseLine, paid: Fraction, gone: LineRefund | None) -> Fraction:
    """Return the share of a line that is left; below zero if more was refunded than the line has.

    `paid` is the amount paid for the whole line, `gone` is all that was refunded of it (None: nothing).
    """
    if gone is None:
        return Fraction(1)
    if line.is_removed:
        return Fraction(-1)
    left = 1 - Fraction(gone.quantity, line.quantity)
    if not gone.amount_minor:
        return left
    return left - Fraction(gone.amount_minor, paid) if paid else Fraction(-1)


def _find_units_share(lines: Sequence[PurchaseLine], left: Sequence[Fraction]) -> Fraction:
    """Return the share of all units that is left; 1 for a purchase without lines."""
    units = sum(line.quantity for line in lines)
    kept = sum((line.quantity * share for line, share in zip(lines, left, strict=True)), Fraction(0))
    return Fraction(kept, units) if units else Fraction(1)


def _floor(value: Fraction) -> int:
    return divide(value.numerator, value.denominator, Rounding.FLOOR)


def _build_refusal(purchase: Refundable, refundable: int, requested: int, *path: str) -> RefundExceedsPurchase:
    """Build the refusal of a refund of more than is left. Both amounts are in minor units."""
    currency = purchase.currency
    return RefundExceedsPurchase(Money(max(0, refundable), currency), Money(requested, currency), path)
