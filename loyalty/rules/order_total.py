"""How the total of a purchase is shared out over its lines: the discount of the whole order, and a rest without a line.

If the total is below the sum of the lines, the order has a discount. Each line bears its share of it, tax included. A
tip bears none, as long as the other lines can. If the total is above that sum, the rest belongs to no line.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from loyalty.rules.purchase import LineKind, PurchaseLine


class OrderTotal(NamedTuple):
    """The result of sharing out a total: the share of each line that was paid, and the rest that belongs to no line."""

    paid_numerator: int
    paid_denominator: int
    rest_minor: int
    tip_share: Fraction = Fraction(1)

    def share_of(self, line: PurchaseLine) -> Fraction:
        """Return the share of a line's amount that was paid."""
        if line.kind is LineKind.TIP:
            return self.tip_share
        return Fraction(self.paid_numerator, self.paid_denominator)


def share_out_total(total_minor: int, lines: Iterable[PurchaseLine]) -> OrderTotal:
    """Share the total out over the lines, by the rule at the top of this module. Nothing is rounded."""
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
