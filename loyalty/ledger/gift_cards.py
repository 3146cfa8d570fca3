"""The gift cards of a book: each entry moves one locked card, and carries the hash of the card's entry before it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book, Clock
from loyalty.ledger.program import CompiledProgram
from loyalty.rules.expiry import next_notice_at
from loyalty.rules.gift_card import CardAccount, GiftCardEntryKind, add_to_balance, card_entry_hash, is_expired
from loyalty.rules.gift_card_events import GiftCardEvent, GiftCardExpired
from loyalty.rules.ids import CustomerId, GiftCardEntryId, GiftCardHoldId, GiftCardId
from loyalty.storage.accounts import lock_customers
from loyalty.storage.gift_cards import GiftCardEntryRow, GiftCardRow, lock_cards
from permissions.actor import Actor
from tenancy.database import Transaction
from tenancy.retry import StaleRead


class CardBook(NamedTuple):
    """A book with its locked cards, as they were read under the locks."""

    book: Book
    cards: dict[GiftCardId, GiftCardRow]


async def open_card_book(
    clock: Clock,
    tx: Transaction,
    program: CompiledProgram,
    by: Actor,
    owner_ids: Iterable[CustomerId | None],
    card_ids: Sequence[GiftCardId],
) -> CardBook:
    """Lock the accounts of customers, then the cards, and return a new book with both.

    The time is taken under the locks, so the entries of one card are in the order of their time. Raises StaleRead if a
    card has got another owner since ``owner_ids`` were read: events of a card name its owner.
    """
    wanted = {owner_id for owner_id in owner_ids if owner_id is not None}
    locked = await lock_customers(tx, list(wanted)) if wanted else {}
    cards = await lock_cards(tx, card_ids)
    if any(card.owner_id is not None and card.owner_id not in wanted for card in cards.values()):
        raise StaleRead
    book = Book(program, by, clock.now(program))
    for customer in locked.values():
        book.open(customer)
    return CardBook(book, cards)


def enter_card(
    book: Book,
    card: GiftCardRow,
    kind: GiftCardEntryKind,
    after: CardAccount,
    *,
    hold_id: GiftCardHoldId | None = None,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[GiftCardRow, GiftCardEntryRow]:
    """Book one entry of a card, and return the card after it. The caller must write the card with `keep_card`.

    ``after`` is the card's account after the entry. ``hold_id`` is the hold whose money the entry spends or gives back.
    ``expires_at`` is the expiry that the entry gives to the card; None if it gives none.
    """
    entry = GiftCardEntryRow(
        id=GiftCardEntryId(uuid7()),
        gift_card_id=card.id,
        sequence=after.sequence,
        kind=kind,
        amount_minor=after.balance_minor - card.balance_minor,
        balance_after_minor=after.balance_minor,
        currency=card.currency,
        hold_id=hold_id,
        expires_at=expires_at,
        reason=reason,
        occurred_at=book.now,
        actor_kind=book.actor.kind,
        actor=book.actor.subject,
        hash=b"",
    )
    entry = entry._replace(hash=card_entry_hash(after.chain, entry._asdict()))
    book.posting.add(entry)
    return card.with_account(replace(after, chain=entry.hash)), entry


def lapse_card(book: Book, card: GiftCardRow) -> GiftCardRow:
    """Book that the free money of a card expires, if its validity is over, and return the card after it.

    The caller must write the card with `keep_card`.
    """
    account = card.account
    if not is_expired(account, book.now) or not account.free_minor:
        return card
    after, entry = enter_card(book, card, GiftCardEntryKind.EXPIRED, add_to_balance(account, -account.free_minor))
    tell_of_card(book, after, GiftCardExpired, amount_minor=entry.amount_minor)
    return after


def next_card_notice(book: Book, expires_at: datetime | None) -> datetime | None:
    """Return when the next notice of a card that expires at ``expires_at`` is due; None if no notice is left."""
    return next_notice_at(expires_at, book.program.row.settings.notice_days, book.now, book.program.zone)


def keep_card(book: Book, card: GiftCardRow) -> None:
    """Add the new state of a stored card to the posting. The card must be locked."""
    book.posting.move(card)


def tell_of_card(book: Book, card: GiftCardRow, make: Callable[..., GiftCardEvent], **values: Any) -> None:
    """Add an event about a card, with its balance after everything booked so far.

    ``make`` is the class of the event, ``values`` are its other fields. The event names the holder as its customer;
    without a holder the buyer; without a buyer nobody.
    """
    numbers = {"currency": card.currency, "balance_minor": card.balance_minor}
    book.tell(make(customer_id=card.owner_id, gift_card_id=card.id, **numbers, **values))
