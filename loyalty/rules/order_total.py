"""How the total of a purchase belongs to its lines: the discount of the whole order, and what no line tells.

A total below the sum of the lines holds a discount of the whole order: each line bears its share of it, tax included. A
total above that sum holds an amount that belongs to no line.
"""

from collections.abc import Iterable
from typing import NamedTuple

from loyalty.rules.purchase import PurchaseLine


class OrderTotal(NamedTuple):
    """The total beside the lines: what share of each line's amount was paid, and what belongs to no line."""

    paid_numerator: int
    paid_denominator: int
    rest_minor: int


def share_out_total(total_minor: int, lines: Iterable[PurchaseLine]) -> OrderTotal:
    """Share the total out over the lines, in minor units; nothing is rounded."""
    lines_minor = sum([line.amount_minor for line in lines])
    if total_minor >= lines_minor or not lines_minor:
        return OrderTotal(1, 1, total_minor - lines_minor)
    return OrderTotal(max(0, total_minor), lines_minor, 0)
