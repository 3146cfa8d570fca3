"""Which part of a purchase's money earns: with or without tax, discounts, shipping, gift cards and what points paid."""

from dataclasses import dataclass
from typing import NamedTuple

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.purchase import LineKind, PurchaseFacts, PurchaseLine
from loyalty.rules.rounding import Rounding, divide


class TaxBasis(DescribedEnum):
    """Whether tax earns."""

    INCLUDED = "INCLUDED", "Amounts count as they are paid."
    EXCLUDED = "EXCLUDED", "The tax that lines tell is left out."


@dataclass(frozen=True, slots=True)
class BasisPolicy:
    """What counts of an amount (C-24, C-25).

    `after_discount` counts what is paid for a line, otherwise its price before its own discount; the discount of the
    whole order never earns. Lines of shipping and of gift cards can be left out, and so can the share of the total that
    was paid with points. Both hold for every award.
    """

    tax: TaxBasis = TaxBasis.INCLUDED
    after_discount: bool = True
    include_shipping: bool = True
    exclude_gift_cards: bool = True
    exclude_points_paid: bool = True


DEFAULT_BASIS = BasisPolicy()


def takes_part(policy: BasisPolicy, line: PurchaseLine) -> bool:
    """Tell whether a line can earn at all; a tip never does."""
    if line.kind is LineKind.TIP:
        return False
    if line.kind is LineKind.GIFT_CARD:
        return not policy.exclude_gift_cards
    return line.kind is not LineKind.SHIPPING or policy.include_shipping


class LineBasis(NamedTuple):
    """What counts of a line, in minor units: all of `plain_minor`, and the paid share of `shared_minor`.

    The paid share is what the discount of the whole order leaves of every line.
    """

    plain_minor: int
    shared_minor: int


def line_basis(policy: BasisPolicy, line: PurchaseLine) -> LineBasis:
    """Return what counts of a line before the discount of the whole order; neither part is below zero.

    The tax that a line tells belongs to its amount. Its price before its own discount contains tax at the same rate:
    the net price is rounded to the nearest minor unit.
    """
    excluded = policy.tax is TaxBasis.EXCLUDED
    counted_minor = line.amount_minor - (line.tax_minor if excluded else 0)
    if policy.after_discount:
        return LineBasis(0, counted_minor)
    price_minor = line.price_minor
    if excluded and line.amount_minor:
        price_minor = divide(price_minor * counted_minor, line.amount_minor, Rounding.HALF_UP)
    return LineBasis(price_minor - counted_minor, counted_minor)


def share_not_paid_with_points(policy: BasisPolicy, facts: PurchaseFacts) -> tuple[int, int]:
    """Return which share of the total earns, as numerator and denominator: without what points paid."""
    total_minor = facts.total.amount_minor
    if not policy.exclude_points_paid or not facts.points_paid_minor or not total_minor:
        return (1, 1)
    return (max(0, total_minor - facts.points_paid_minor), total_minor)
