"""The recorded purchase that a gift card pays for, and the posting of a change of what cards pay for it."""

from collections.abc import Awaitable, Callable
from functools import partial

from loyalty.ledger.book import Book
from loyalty.ledger.once import post_book
from loyalty.ledger.rows import CheckoutVersion, UnrecordedPurchase
from loyalty.rules.gift_card_hold import PayablePurchase
from loyalty.rules.money import Money
from loyalty.services.customer import may_see_customer
from loyalty.services.revaluation import post_cards_paid
from loyalty.storage.cards_paid import PurchaseOfCard
from loyalty.storage.known_checkouts import KnownCheckout, RecordedPurchase
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import Actor
from tenancy.database import Transaction

Write = Callable[[Transaction, Book], Awaitable[None]]


def change_cards_paid(book: Book, key: PurchaseKey | None, purchase: PurchaseOfCard) -> Write:
    """Book that the payments of cards for a purchase have changed, and return the function that writes the book.

    A ``key`` of None is an operation without a purchase. A recorded purchase may be valued again. If the purchase was
    recorded after it was read here, the transaction runs again.
    """
    if key is None:
        return post_book
    book.posting.add(CheckoutVersion(key.kind, key.external_id, purchase.version + 1, book.now))
    if purchase.customer_id is not None:
        return partial(post_cards_paid, keys=[key])
    book.posting.add(UnrecordedPurchase(key.kind, key.external_id))
    return post_book


def find_purchase_to_hold_for(actor: Actor, known: KnownCheckout) -> PayablePurchase | None:
    """Return the recorded purchase that a card is to be held for; None if it is not recorded."""
    purchase = known.purchase
    if purchase is None:
        return None
    is_foreign = not may_see_customer(actor, purchase.customer_id)
    return _describe_purchase(known, purchase, known.cards.net_minor)._replace(is_foreign=is_foreign)


def find_purchase_to_capture_for(known: KnownCheckout) -> PayablePurchase | None:
    """Return the recorded purchase of a hold that is to be captured; None if it is not recorded.

    Money that other cards only hold does not count: it may never be spent.
    """
    if known.purchase is None:
        return None
    return _describe_purchase(known, known.purchase, known.cards.net_minor - known.cards.held_minor)


def _describe_purchase(known: KnownCheckout, purchase: RecordedPurchase, cards_minor: int) -> PayablePurchase:
    """Return the purchase in the form for the rules of holds; gift cards pay ``cards_minor`` of it already."""
    beside_minor = known.beside_cards_minor(known.paid.sum.discount_minor)
    total = Money(purchase.left_minor, purchase.currency)
    return PayablePurchase(purchase.status, total, purchase.left_minor - beside_minor - cards_minor)
