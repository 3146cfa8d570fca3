"""Which part of an amount earns: with or without tax, discounts, shipping, gift cards, and payments in points."""

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
    """The part of an amount that counts (C-24, C-25).

    With `after_discount` the paid amount of a line counts, else its price before its own discount. The discount of the
    whole order never earns. Lines of shipping can be left out, and so can the share of the total that was paid with
    points. `exclude_gift_cards` leaves out lines that sell gift cards, and the share of the total that gift cards paid.
    The policy holds for every award.
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
    """The amounts of a line that count, in minor units: all of `plain_minor`, and the paid share of `shared_minor`.

    The paid share is the share of every line that the discount of the whole order leaves.
    """

    plain_minor: int
    shared_minor: int


def line_basis(policy: BasisPolicy, line: PurchaseLine) -> LineBasis:
    """Return the amounts of a line that count, before the discount of the whole order. Neither is below zero.

    If prices before discounts count, the line's own discount is the plain amount. The tax that a line tells is part of
    its amount. The price before the line's own discount contains tax at the same rate: the net price is rounded to the
    nearest minor unit.
    """
    excluded = policy.tax is TaxBasis.EXCLUDED
    counted_minor = line.amount_minor - (line.tax_minor if excluded else 0)
    if policy.after_discount:
        return LineBasis(0, counted_minor)
    price_minor = line.price_minor
    if excluded and line.amount_minor:
        price_minor = divide(price_minor * counted_minor, line.amount_minor, Rounding.HALF_UP)
    return LineBasis(price_minor - counted_minor, counted_minor)


class EarningShare(NamedTuple):
    """The share of the total that earns. `paid_with` names the kinds of payments that do not earn, if there are any."""

    numerator: int = 1
    denominator: int = 1
    paid_with: str = ""

    @property
    def is_whole(self) -> bool:
        """Tell whether the whole total earns."""
        return self.numerator == self.denominator


def earning_share(policy: BasisPolicy, facts: PurchaseFacts) -> EarningShare:
    """Return the share of the total that earns.

    Payments in points and with gift cards do not earn, as far as the policy says so.
    """
    total_minor = facts.total.amount_minor
    points_minor = facts.points_paid_minor if policy.exclude_points_paid else 0
    cards_minor = facts.cards_paid_minor if policy.exclude_gift_cards else 0
    if not total_minor or not (points_minor or cards_minor):
        return EarningShare()
    named = [word for word, minor in (("points", points_minor), ("gift cards", cards_minor)) if minor]
    return EarningShare(max(0, total_minor - points_minor - cards_minor), total_minor, " or ".join(named))
