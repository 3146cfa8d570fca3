"""The payments of a purchase: those that reports tell, and those of holds and redemptions.

The service knows the payments with points and with its own gift cards. A report may tell more: money, or a card of
another system. No payment is counted twice, and no known payment is forgotten because a report leaves it out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Problem
from loyalty.rules.money import MAX_AMOUNT_MINOR
from loyalty.rules.rounding import Rounding, divide
from loyalty.rules.text import check_external_id

PURCHASE_MAX_PAYMENTS = 50


class PaymentKind(DescribedEnum):
    """What a part of a purchase was paid with."""

    MONEY = "MONEY", "Cash, a bank card, a transfer: anything that is neither points nor a gift card."
    POINTS = "POINTS", "Points, here or in another system."
    GIFT_CARD = "GIFT_CARD", "A gift card, of this program or of another system."


@dataclass(frozen=True, slots=True)
class Payment:
    """A part of the total, in minor units of its currency, and the means that paid it.

    `reference` is the caller's id of the payment. `names` is set if the reference is the global id of a hold or a
    redemption: such a payment is known already, and adds nothing.
    """

    kind: PaymentKind
    amount_minor: int
    reference: str | None = None
    names: UUID | None = None


class PaidWithCards(NamedTuple):
    """The amounts that gift cards of this program pay of a purchase, in minor units.

    `held_minor` is set aside, `spent_minor` was captured. `returned_minor` is the part of the captured money that came
    back.
    """

    held_minor: int = 0
    spent_minor: int = 0
    returned_minor: int = 0

    @property
    def gross_minor(self) -> int:
        """The money that was set aside or captured, without subtracting returns."""
        return self.held_minor + self.spent_minor

    @property
    def net_minor(self) -> int:
        """The money that was set aside or captured, less returns."""
        return self.gross_minor - self.returned_minor

    def share_of(self, total_minor: int, refunded_minor: int) -> int:
        """Return how much of the total, before all refunds, counts as paid with cards.

        By default a refund goes back to the cards and to the other payments in the proportion in which they paid. Then
        it is all that cards paid. If more came back to the cards, they pay for less of the rest of the purchase, and
        the amount is smaller. Only the sum of all refunds and returns counts, never their order. The amount is rounded
        up, so that a return never earns more than other payments would.
        """
        left_minor = total_minor - refunded_minor
        if self.returned_minor * total_minor <= self.gross_minor * refunded_minor:
            return self.gross_minor
        if left_minor <= 0:
            return 0
        return divide((self.gross_minor - self.returned_minor) * total_minor, left_minor, Rounding.CEIL)


class PaidParts(NamedTuple):
    """The amounts that points and gift cards paid of a purchase, in minor units, known and told ones together."""

    points_minor: int = 0
    cards_minor: int = 0


def check_payments(payments: Sequence[Payment]) -> Iterator[Problem | None]:
    """Yield what is wrong with each told payment, in their order, and None for checks that find nothing."""
    if len(payments) > PURCHASE_MAX_PAYMENTS:
        yield Problem(("payments",), f"must have at most {PURCHASE_MAX_PAYMENTS} payments")
        return
    for position, payment in enumerate(payments):
        path = ("payments", str(position))
        if not 0 <= payment.amount_minor <= MAX_AMOUNT_MINOR:
            reason = "must not be negative" if payment.amount_minor < 0 else "is too large"
            yield Problem((*path, "amount"), reason)
        if payment.reference is not None:
            yield check_external_id(payment.reference, (*path, "reference"))


def add_told(payments: Sequence[Payment], points_minor: int, cards_minor: int, cards_told_minor: int) -> PaidParts:
    """Return the amounts that points and cards paid: the known ones, and the told ones beyond them.

    `points_minor` and `cards_minor` are known. `cards_told_minor` is the known amount of cards before any returns:
    payments without a reference may tell of that amount.
    """
    return PaidParts(
        points_minor + _sum_beyond(payments, PaymentKind.POINTS, points_minor),
        cards_minor + _sum_beyond(payments, PaymentKind.GIFT_CARD, cards_told_minor),
    )


def sum_beside_points(payments: Sequence[Payment], cards: PaidWithCards, refunded_minor: int) -> int:
    """Return the sum of all payments other than points of this program: gift cards, money, and points of other systems.

    Points that are told without a reference may be the known points, or points about to pay, so they add nothing here.
    """
    cards_minor = cards.net_minor + _sum_beyond(payments, PaymentKind.GIFT_CARD, cards.gross_minor)
    return cards_minor + _sum_elsewhere(payments, PaymentKind.POINTS) + _sum_money_kept(payments, cards, refunded_minor)


def sum_beside_cards(payments: Sequence[Payment], points_minor: int, cards: PaidWithCards, refunded_minor: int) -> int:
    """Return the sum of all payments other than gift cards of this program. `points_minor` are the known points.

    Cards that are told without a reference may be the known cards, or cards about to pay, so they add nothing here.
    """
    all_points_minor = points_minor + _sum_beyond(payments, PaymentKind.POINTS, points_minor)
    elsewhere_minor = _sum_elsewhere(payments, PaymentKind.GIFT_CARD)
    return all_points_minor + elsewhere_minor + _sum_money_kept(payments, cards, refunded_minor)


def share_out(left_minor: int, available_minor: Sequence[int]) -> list[int]:
    """Return how much each card pays of an amount. One card after another pays as much as it can.

    `left_minor` is the amount, `available_minor` is what each card has.
    """
    shares = []
    for available in available_minor:
        shares.append(min(available, left_minor))
        left_minor -= shares[-1]
    return shares


def sum_told(payments: Sequence[Payment]) -> int:
    """Return the sum of all told payments."""
    return sum(payment.amount_minor for payment in payments)


def sum_told_with_money(payments: Sequence[Payment]) -> int:
    """Return the sum of the told payments in money."""
    return sum(payment.amount_minor for payment in payments if payment.kind is PaymentKind.MONEY)


def _sum_beyond(payments: Sequence[Payment], kind: PaymentKind, known_minor: int) -> int:
    """Return the sum of the told payments of a kind, less the known payments that they may tell again."""
    of_kind = [payment for payment in payments if payment.kind is kind and payment.names is None]
    unnamed = sum(payment.amount_minor for payment in of_kind if payment.reference is None)
    return _sum_elsewhere(payments, kind) + max(0, unnamed - known_minor)


def _sum_elsewhere(payments: Sequence[Payment], kind: PaymentKind) -> int:
    """Return the sum of the payments of a kind in other systems: all with a reference of the caller's own."""
    of_kind = [payment for payment in payments if payment.kind is kind and payment.names is None]
    return sum(payment.amount_minor for payment in of_kind if payment.reference is not None)


def _sum_money_kept(payments: Sequence[Payment], cards: PaidWithCards, refunded_minor: int) -> int:
    """Return the sum of the payments in money, less the part of the refunds that did not go back to cards."""
    return max(0, sum_told_with_money(payments) - max(0, refunded_minor - cards.returned_minor))
