"""What a purchase was paid with: what a report tells of it, and what holds and redemptions say themselves.

The service knows what points and its own gift cards pay. A report may tell more: money, or a card of another system.
Nothing is counted twice, and nothing that is known is forgotten because a report leaves it out.
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
    """A part of the total, in minor units of its currency, and what paid it.

    `reference` is the caller's id of the payment. `names` is set where the reference is the global id of a hold or a
    redemption: such a payment is known already, and adds nothing.
    """

    kind: PaymentKind
    amount_minor: int
    reference: str | None = None
    names: UUID | None = None


class PaidWithCards(NamedTuple):
    """What gift cards of this program pay of a purchase, in minor units.

    `held_minor` is set aside, `spent_minor` was captured, and `returned_minor` came back of that.
    """

    held_minor: int = 0
    spent_minor: int = 0
    returned_minor: int = 0

    @property
    def gross_minor(self) -> int:
        """What was set aside or captured, whatever came back of it."""
        return self.held_minor + self.spent_minor

    @property
    def net_minor(self) -> int:
        """What is set aside or was captured, less what came back."""
        return self.gross_minor - self.returned_minor

    def share_of(self, total_minor: int, refunded_minor: int) -> int:
        """Return how much of the total, before all refunds, cards paid, as far as it earns less for that.

        Without another word a refund goes back to the cards and to the rest in the proportion in which they paid. Where
        more came back to the cards, they pay for less of what is left. The sum of all refunds and returns counts,
        never their order. Rounded up, so that a return never earns more than what was paid otherwise.
        """
        left_minor = total_minor - refunded_minor
        if self.returned_minor * total_minor <= self.gross_minor * refunded_minor:
            return self.gross_minor
        if left_minor <= 0:
            return 0
        return divide((self.gross_minor - self.returned_minor) * total_minor, left_minor, Rounding.CEIL)


class PaidParts(NamedTuple):
    """What points and what gift cards paid of a purchase, in minor units: what is known and what is told beyond it."""

    points_minor: int = 0
    cards_minor: int = 0


def check_payments(payments: Sequence[Payment]) -> Iterator[Problem | None]:
    """Return what is wrong with told payments by themselves, in their order."""
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
    """Return what points and cards paid together, with what is told beyond the known.

    `points_minor` and `cards_minor` are known. `cards_told_minor` is what cards were known to pay when they paid,
    before anything came back: payments without a reference may tell of that.
    """
    return PaidParts(
        points_minor + _sum_beyond(payments, PaymentKind.POINTS, points_minor),
        cards_minor + _sum_beyond(payments, PaymentKind.GIFT_CARD, cards_told_minor),
    )


def sum_beside_points(payments: Sequence[Payment], cards: PaidWithCards, refunded_minor: int) -> int:
    """Return what pays for a purchase beside points of this program: gift cards, money, and points of other systems.

    Points that are told without a reference may be those that are known, or about to pay, so they add nothing here.
    """
    cards_minor = cards.net_minor + _sum_beyond(payments, PaymentKind.GIFT_CARD, cards.gross_minor)
    return cards_minor + _sum_elsewhere(payments, PaymentKind.POINTS) + _sum_money_kept(payments, cards, refunded_minor)


def sum_beside_cards(payments: Sequence[Payment], points_minor: int, cards: PaidWithCards, refunded_minor: int) -> int:
    """Return what pays for a purchase beside gift cards of this program; `points_minor` is what points pay.

    Cards that are told without a reference may be those that are known, or about to pay, so they add nothing here.
    """
    all_points_minor = points_minor + _sum_beyond(payments, PaymentKind.POINTS, points_minor)
    elsewhere_minor = _sum_elsewhere(payments, PaymentKind.GIFT_CARD)
    return all_points_minor + elsewhere_minor + _sum_money_kept(payments, cards, refunded_minor)


def share_out(left_minor: int, available_minor: Sequence[int]) -> list[int]:
    """Return what each card pays of what is left, in their order: each as much as it can."""
    shares = []
    for available in available_minor:
        shares.append(min(available, left_minor))
        left_minor -= shares[-1]
    return shares


def sum_told(payments: Sequence[Payment]) -> int:
    """Return what all told payments are together."""
    return sum(payment.amount_minor for payment in payments)


def sum_told_with_money(payments: Sequence[Payment]) -> int:
    """Return what money paid, as far as it is told."""
    return sum(payment.amount_minor for payment in payments if payment.kind is PaymentKind.MONEY)


def _sum_beyond(payments: Sequence[Payment], kind: PaymentKind, known_minor: int) -> int:
    """Return what is told of a kind beyond what is known."""
    of_kind = [payment for payment in payments if payment.kind is kind and payment.names is None]
    unnamed = sum(payment.amount_minor for payment in of_kind if payment.reference is None)
    return _sum_elsewhere(payments, kind) + max(0, unnamed - known_minor)


def _sum_elsewhere(payments: Sequence[Payment], kind: PaymentKind) -> int:
    """Return what other systems paid of a kind: all payments with a reference of the caller's own."""
    of_kind = [payment for payment in payments if payment.kind is kind and payment.names is None]
    return sum(payment.amount_minor for payment in of_kind if payment.reference is not None)


def _sum_money_kept(payments: Sequence[Payment], cards: PaidWithCards, refunded_minor: int) -> int:
    """Return what money paid, less the part of the refunds that did not go back to cards."""
    return max(0, sum_told_with_money(payments) - max(0, refunded_minor - cards.returned_minor))
