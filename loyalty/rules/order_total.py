"""How the total of a purchase belongs to its lines: the discount of the whole order, and what no line tells.

A total below the sum of the lines holds a discount of the whole order: each line bears its share of it, tax included. A
tip bears none, as long as the rest of the order can. A total above that sum holds an amount that belongs to no line.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from loyalty.rules.purchase import LineKind, PurchaseLine


class OrderTotal(NamedTuple):
    """The total beside the lines: what share of the amount of each line was paid, and what belongs to no line."""

    paid_numerator: int
    paid_denominator: int
    rest_minor: int
    tip_share: Fraction = Fraction(1)

    def share_of(self, line: PurchaseLine) -> Fraction:
        """The share of a line's amount that was paid."""
        if line.kind is LineKind.TIP:
            return self.tip_share
        return Fraction(self.paid_numerator, self.paid_denominator)


def share_out_total(total_minor: int, lines: Iterable[PurchaseLine]) -> OrderTotal:
    """Share the total out over the lines, in minor units; nothing is rounded."""
    goods_minor = tips_minor = 0
    for line in lines:
        if line.kind is LineKind.TIP:
            tips_minor += line.amount_minor
        else:
            goods_minor += line.amount_minor
    left_minor = total_minor - tips_minor
    if left_minor >= goods_minor or not goods_minor + tips_minor:
        return OrderTotal(1, 1, left_minor - goods_minor)
    if left_minor >= 0:
        return OrderTotal(left_minor, goods_minor, 0)
    return OrderTotal(0, 1, 0, Fraction(max(0, total_minor), tips_minor))
