"""The content of a purchase and its worth, computed a second time from the documentation, with plain fractions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from math import floor
from typing import NamedTuple
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
CENTS_PER_POINT = 100
WAX_POINTS = 7
BONUS_POINTS = 20
BONUS_DAYS = (4, 5)
"""Friday and Saturday."""
ITEMS = ("cut", "oil", "wax", "tip", "card")
CUT, OIL, WAX, TIP, CARD = range(5)
RATE = Fraction(9, 10)
"""What a franc is worth in euros."""


def half_up(value: Fraction | int) -> int:
    """Return the nearest whole number; a half is rounded up."""
    return floor(value + Fraction(1, 2))


class Line(NamedTuple):
    """A line of one of the items; there is at most one of each. A quantity of 0 is a line that a report left out."""

    item: int
    quantity: Fraction
    price_minor: int
    discount_minor: int
    has_id: bool

    @property
    def amount_minor(self) -> int:
        """What it costs."""
        return half_up(self.quantity * self.price_minor) - self.discount_minor

    def in_euros(self, rate: Fraction) -> "Line":
        """Return the same line in euros; its amounts are in francs."""
        line = self._replace(price_minor=half_up(self.price_minor * rate), discount_minor=0)
        return line._replace(discount_minor=min(half_up(self.discount_minor * rate), line.amount_minor))


class Taken(NamedTuple):
    """The part of one line that a refund takes."""

    item: int
    quantity: Fraction
    amount_minor: int


class Refunded(NamedTuple):
    """One refund."""

    lines: tuple[Taken, ...]
    amount_minor: int
    money_minor: int


class Shares(NamedTuple):
    """The share of each line and of a tip that was paid, and the amount that belongs to no line."""

    goods: Fraction
    raw: tuple[int, int]
    tip: Fraction
    rest_minor: int


def share_out(total_minor: int, lines: Sequence[Line]) -> Shares:
    """Return how the total is shared among lines.

    A total below the lines is a discount, which tips bear last. A total above the lines has an amount that belongs to
    no line.
    """
    tips = sum(line.amount_minor for line in lines if line.item == TIP)
    goods = sum(line.amount_minor for line in lines if line.item != TIP)
    for_goods = total_minor - tips
    if for_goods >= goods or goods + tips == 0:
        return Shares(Fraction(1), (1, 1), Fraction(1), for_goods - goods)
    if for_goods >= 0:
        return Shares(Fraction(for_goods, goods), (for_goods, goods), Fraction(1), 0)
    return Shares(Fraction(0), (0, 1), Fraction(max(0, total_minor), tips), 0)


class Left(NamedTuple):
    """The share that is left of a purchase: of the whole, of each known line, and of what belongs to no line."""

    whole: Fraction
    lines: dict[int, Fraction]
    rest: Fraction

    def of(self, item: int) -> Fraction:
        """Return the share of a line that is left.

        A line that the purchase does not know any more has the share of the whole.
        """
        return self.lines[item] * self.rest if item in self.lines else self.whole


@dataclass(frozen=True, slots=True)
class Basket:
    """A total, its lines, and the refunds."""

    total_minor: int
    lines: tuple[Line, ...]
    refunds: tuple[Refunded, ...] = ()

    @property
    def refunded_minor(self) -> int:
        """All the money that went back."""
        return sum(refund.money_minor for refund in self.refunds)

    def paid(self) -> dict[int, Fraction]:
        """What was paid for each line."""
        shares = share_out(self.total_minor, self.lines)
        return {
            line.item: line.amount_minor * (shares.tip if line.item == TIP else shares.goods) for line in self.lines
        }

    def taken(self, *more: Taken) -> dict[int, tuple[Fraction, int]]:
        """Return how many units of each line went back, and which amount besides."""
        sums: dict[int, tuple[Fraction, int]] = {}
        for one in (*(taken for refund in self.refunds for taken in refund.lines), *more):
            units, amount_minor = sums.get(one.item, (Fraction(0), 0))
            sums[one.item] = (units + one.quantity, amount_minor + one.amount_minor)
        return sums

    def share_left(self, item: int, units: Fraction, amount_minor: int) -> Fraction:
        """Return the share of a line that is left after this; below zero if the line had less."""
        (line,) = (one for one in self.lines if one.item == item)
        if not line.quantity:
            return Fraction(-1)
        left, paid = 1 - units / line.quantity, self.paid()[item]
        if not amount_minor:
            return left
        return left - Fraction(amount_minor) / paid if paid else Fraction(-1)

    def left(self) -> Left:
        """Return what all refunds have left."""
        taken, paid = self.taken(), self.paid()
        lines = {
            line.item: max(Fraction(0), self.share_left(line.item, *taken[line.item]))
            if line.item in taken
            else Fraction(1)
            for line in self.lines
        }
        if not self.total_minor:
            units = sum(line.quantity for line in self.lines)
            kept = sum((line.quantity * lines[line.item] for line in self.lines), Fraction(0))
            return Left(kept / units if units else Fraction(1), lines, Fraction(1))
        lines_left = self.total_minor - sum(
            (paid[one] * (1 - lines[one]) for one in taken if one in lines), Fraction(0)
        )
        beside = sum(refund.amount_minor for refund in self.refunds)
        all_left = max(Fraction(0), min(lines_left - beside, Fraction(self.total_minor - self.refunded_minor)))
        return Left(all_left / self.total_minor, lines, all_left / lines_left if lines_left > 0 else Fraction(0))

    def money_of(self, lines: Sequence[Taken]) -> int:
        """Return the money that units and amounts of lines pay back.

        All units together pay back the whole line, to the cent.
        """
        paid, money, before = self.paid(), 0, list[Taken]()
        for one in lines:
            (line,) = (known for known in self.lines if known.item == one.item)
            units = self.taken(*before).get(one.item, (Fraction(0), 0))[0]
            each = paid[one.item] / line.quantity if line.quantity else Fraction(0)
            money += one.amount_minor + floor(each * (units + one.quantity)) - floor(each * units)
            before.append(one)
        return money

    def covers_refunds(self) -> bool:
        """Tell whether the total and the lines still cover the refunds."""
        units = {line.item: line.quantity for line in self.lines}
        return self.total_minor >= self.refunded_minor and all(
            units.get(item) and units[item] >= gone for item, (gone, _) in self.taken().items()
        )


@dataclass(frozen=True, slots=True)
class Worth:
    """The points that the rules of the salon give for a basket, of which points pay a part."""

    total_minor: int
    lines: tuple[Line, ...]
    paid_minor: int
    is_bonus_day: bool
    is_in_francs: bool
    points: int = field(init=False)

    def __post_init__(self) -> None:
        untouched = Left(Fraction(1), {line.item: Fraction(1) for line in self.lines}, Fraction(1))
        object.__setattr__(self, "points", self.points_for(untouched))

    @property
    def _counted(self) -> list[Line]:
        """Return the lines that earn: no tips, no gift cards, and no lines that left the purchase."""
        return [line for line in self.lines if line.quantity and line.item not in (TIP, CARD)]

    @property
    def _share(self) -> tuple[int, int]:
        """Return the share of the total that was not paid with points."""
        if not self.paid_minor or not self.total_minor:
            return (1, 1)
        return (max(0, self.total_minor - self.paid_minor), self.total_minor)

    def points_for(self, left: Left) -> int:
        """Return the points that the rules give for what is left."""
        return self._per_euro(left) + self._bonus(left)

    def _per_euro(self, left: Left) -> int:
        shares, earns = share_out(self.total_minor, self.lines), Fraction(*self._share)
        amount = shares.rest_minor * left.rest
        amount += sum(
            line.amount_minor * shares.goods * left.of(line.item) for line in self._counted if line.item != WAX
        )
        own = sum(
            (line.quantity * WAX_POINTS * left.of(WAX) for line in self._counted if line.item == WAX), Fraction(0)
        )
        return floor(amount * earns / CENTS_PER_POINT) + floor(own * earns)

    def _bonus(self, left: Left) -> int:
        if not self.is_bonus_day or self._bonus_is_for_nothing():
            return 0
        parts, rest_minor = self._bonus_parts()
        whole = sum(parts.values()) + rest_minor
        kept = sum((value * left.of(item) for item, value in parts.items()), Fraction(0)) + rest_minor * left.rest
        return floor(BONUS_POINTS * Fraction(*self._share) * (kept / whole if whole else left.whole))

    def _bonus_is_for_nothing(self) -> bool:
        rest_minor = share_out(self.total_minor, self.lines).rest_minor
        return any(line.quantity for line in self.lines) and not self._counted and not rest_minor

    def _bonus_parts(self) -> tuple[dict[int, Fraction], int]:
        """Return the numbers by which the bonus is shared.

        They are the amounts of the lines, or their units if all lines cost nothing.
        """
        rest_minor = share_out(self.total_minor, self.lines).rest_minor
        parts = {line.item: Fraction(line.amount_minor) for line in self._counted if line.amount_minor}
        if not parts and not rest_minor:
            parts = {line.item: line.quantity for line in self._counted}
        return parts, rest_minor

    def said(self) -> object:
        """Return everything that the lines of an accrual say. A purchase is valued again when that changes."""
        shares, places = share_out(self.total_minor, self.lines), {line.item: n for n, line in enumerate(self.lines)}
        is_shared = self._share != (1, 1)
        counted = [line for line in self._counted if line.item != WAX]
        basis = shares.rest_minor + sum(line.amount_minor * shares.goods for line in counted)
        own = [(places[WAX], line.quantity) for line in self._counted if line.item == WAX]
        everything = Left(Fraction(1), {line.item: Fraction(1) for line in self.lines}, Fraction(1))
        per_euro, bonus = self._per_euro(everything), self._bonus(everything)
        amounts = [(places[line.item], line.amount_minor) for line in counted if line.amount_minor]
        formula = (self._share, shares.raw, shares.rest_minor, amounts, own) if per_euro else None
        said = (per_euro, floor(basis * Fraction(*self._share)), bool(own), self.is_in_francs, is_shared, formula)
        if not self.is_bonus_day:
            return (said, self.paid_minor, "no bonus day")
        parts, rest_minor = self._bonus_parts()
        hangs_on = [(places[item], value) for item, value in parts.items()]
        if self._bonus_is_for_nothing():
            return (said, self.paid_minor, "nothing takes part")
        return (said, self.paid_minor, bonus, is_shared, (self._share, hangs_on, rest_minor) if bonus else None)


def is_bonus_day(moment: datetime) -> bool:
    """Tell whether it is a Friday or a Saturday in Berlin."""
    return moment.astimezone(ZONE).weekday() in BONUS_DAYS
