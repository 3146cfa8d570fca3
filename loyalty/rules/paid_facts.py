"""Add to the facts of a purchase how much of it points and gift cards paid."""

from dataclasses import replace

from loyalty.rules.payments import PaidWithCards, add_told
from loyalty.rules.purchase import PurchaseFacts


def count_paid(facts: PurchaseFacts, points_minor: int, cards: PaidWithCards, refunded_minor: int) -> PurchaseFacts:
    """Return the facts with the amounts that points and cards paid.

    ``points_minor`` and ``cards`` are the amounts that the service knows. If the told payments name more, that is
    added. ``refunded_minor`` is the sum of all refunds.
    """
    share_minor = cards.share_of(facts.total.amount_minor, refunded_minor)
    paid = add_told(facts.payments, points_minor, share_minor, cards.gross_minor)
    if paid == (facts.points_paid_minor, facts.cards_paid_minor):
        return facts
    return replace(facts, points_paid_minor=paid.points_minor, cards_paid_minor=paid.cards_minor)
