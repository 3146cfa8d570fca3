"""What a gift card may pay of a purchase, and how a change of that is written."""

from collections.abc import Awaitable, Callable
from functools import partial

from loyalty.ledger.book import Book
from loyalty.ledger.once import post_book
from loyalty.ledger.rows import CheckoutVersion, UnrecordedPurchase
from loyalty.rules.errors import CurrencyMismatch, PurchaseEnded, PurchaseOfAnotherCustomer
from loyalty.rules.gift_card_errors import GiftCardAbovePurchase
from loyalty.rules.money import Money
from loyalty.rules.purchase import ENDED
from loyalty.services.customer import may_see_customer
from loyalty.services.revaluation import post_cards_paid
from loyalty.storage.cards_paid import PurchaseOfCard
from loyalty.storage.known_checkouts import KnownCheckout, RecordedPurchase
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import Actor
from tenancy.database import Transaction

Write = Callable[[Transaction, Book], Awaitable[None]]


def change_cards_paid(book: Book, key: PurchaseKey | None, purchase: PurchaseOfCard) -> Write:
    """Book that cards pay another part of a purchase, and return how the book is written.

    A purchase that is recorded may be valued anew. One that was recorded since it was looked for makes all run again.
    """
    if key is None:
        return post_book
    book.posting.add(CheckoutVersion(key.kind, key.external_id, purchase.version + 1, book.now))
    if purchase.customer_id is not None:
        return partial(post_cards_paid, keys=[key])
    book.posting.add(UnrecordedPurchase(key.kind, key.external_id))
    return post_book


def refuse_card_hold(actor: Actor, known: KnownCheckout, amount: Money) -> None:
    """Refuse to set aside more of a card than is left to pay of a recorded purchase, whatever pays for it already.

    Before the purchase is recorded nobody knows its total, and a card may pay any part of it. Refusals:
    PurchaseOfAnotherCustomer (for customers), PurchaseEnded, CurrencyMismatch, GiftCardAbovePurchase.
    """
    purchase = known.purchase
    if purchase is None:
        return
    if not may_see_customer(actor, purchase.customer_id):
        raise PurchaseOfAnotherCustomer(("purchase",))
    if purchase.status in ENDED:
        raise PurchaseEnded(purchase.status, ("purchase",))
    if amount.currency != purchase.currency:
        raise CurrencyMismatch(purchase.currency, amount.currency, ("amount", "currency"))
    _refuse_above(purchase, left_for_cards(known, purchase) - known.cards.net_minor, amount)


def refuse_card_capture(known: KnownCheckout, amount: Money) -> None:
    """Refuse to spend more of a hold than the purchase has left to pay as it is recorded now.

    What other cards have only set aside does not count: it may never be spent. Refusals: PurchaseEnded,
    GiftCardAbovePurchase.
    """
    purchase = known.purchase
    if purchase is None:
        return
    if purchase.status in ENDED:
        raise PurchaseEnded(purchase.status, ("hold",))
    if amount.currency == purchase.currency:
        spent_minor = known.cards.net_minor - known.cards.held_minor
        _refuse_above(purchase, left_for_cards(known, purchase) - spent_minor, amount)


def left_for_cards(known: KnownCheckout, purchase: RecordedPurchase) -> int:
    """Return what all gift cards together may pay of a recorded purchase; below zero where others pay too much."""
    return purchase.left_minor - known.beside_cards_minor(known.paid.sum.discount_minor)


def _refuse_above(purchase: RecordedPurchase, left_minor: int, amount: Money) -> None:
    if amount.amount_minor > left_minor:
        total, left = (Money(minor, purchase.currency) for minor in (purchase.left_minor, max(0, left_minor)))
        raise GiftCardAbovePurchase(total, left, amount)
