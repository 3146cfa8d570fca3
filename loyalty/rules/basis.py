"""Which part of a purchase's money earns: with or without tax, discounts, shipping, gift cards and what points paid."""

from dataclasses import dataclass
from enum import StrEnum

from loyalty.rules.purchase import LineKind, PurchaseFacts, PurchaseLine


class TaxBasis(StrEnum):
    """Whether tax earns."""

    INCLUDED = "INCLUDED"
    """Amounts count as they are paid."""
    EXCLUDED = "EXCLUDED"
    """The tax that lines tell is left out."""


@dataclass(frozen=True, slots=True)
class BasisPolicy:
    """What counts of an amount (C-24, C-25).

    `after_discount` counts what is paid for a line, otherwise its price before its own discount. Lines of shipping and
    of gift cards can be left out, and so can the share of the total that was paid with points.
    """

    tax: TaxBasis = TaxBasis.INCLUDED
    after_discount: bool = True
    include_shipping: bool = True
    exclude_gift_cards: bool = True
    exclude_points_paid: bool = True


DEFAULT_BASIS = BasisPolicy()


def takes_part(policy: BasisPolicy, line: PurchaseLine) -> bool:
    """Tell whether a line can earn at all."""
    if line.kind is LineKind.GIFT_CARD:
        return not policy.exclude_gift_cards
    return line.kind is not LineKind.SHIPPING or policy.include_shipping


def line_basis_minor(policy: BasisPolicy, line: PurchaseLine) -> int:
    """Return what counts of a line, in minor units; never below zero."""
    amount_minor = line.amount_minor if policy.after_discount else line.quantity * line.unit_price_minor
    return amount_minor - (line.tax_minor if policy.tax is TaxBasis.EXCLUDED else 0)


def whole_basis_minor(policy: BasisPolicy, facts: PurchaseFacts) -> int:
    """Return what counts of a purchase whose lines all may earn: its total, corrected by what its lines tell.

    The total may hold what no line does, such as a discount of the whole order.
    """
    correction_minor = 0
    for line in facts.lines:
        counted_minor = line_basis_minor(policy, line) if takes_part(policy, line) else 0
        correction_minor += counted_minor - line.amount_minor
    return facts.total.amount_minor + correction_minor


def paid_share(policy: BasisPolicy, facts: PurchaseFacts) -> tuple[int, int]:
    """Return which share of the total earns, as numerator and denominator: without what points paid."""
    total_minor = facts.total.amount_minor
    if not policy.exclude_points_paid or not facts.points_paid_minor or not total_minor:
        return (1, 1)
    return (max(0, total_minor - facts.points_paid_minor), total_minor)
