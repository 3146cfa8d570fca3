"""Gift cards: the account of each card, its movements, and the hash that chains its entries.

A card is money in minor units. Its balance is the sum of its entries and is never negative. Held money is still part of
the balance, but cannot be spent twice. A card whose validity is over, or that was voided, cannot be spent from that
instant on, at any balance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from loyalty.rules.chain import CHAIN_START, chain_hash, chain_text, hash_text
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Problem
from loyalty.rules.gift_card_errors import GiftCardBalanceTooLow, GiftCardEnded, GiftCardInUse
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money


class GiftCardOrigin(DescribedEnum):
    """What a card was given for."""

    POINTS = "POINTS", "A customer bought it with points."
    MONEY = "MONEY", "It was sold for money."
    GOODWILL = "GOODWILL", "The business gave it away."


class GiftCardState(DescribedEnum):
    """Whether a card can be spent. More states may come."""

    ACTIVE = "ACTIVE", "Something of it can be spent, or is set aside at a checkout."
    SPENT = "SPENT", "Nothing is left of it. Money that is returned makes it active again."
    EXPIRED = "EXPIRED", "Its time is over. An extension makes it active again."
    VOIDED = "VOIDED", "It was cancelled, for good."


class GiftCardEntryKind(DescribedEnum):
    """Why the balance of a card moved."""

    ISSUED = "ISSUED", "The card was issued with its face value."
    SPENT = "SPENT", "Money of the card paid for something."
    RETURNED = "RETURNED", "Money that was spent came back to the card."
    EXPIRED = "EXPIRED", "The time of the card was over, and what could be spent was lost."
    EXTENDED = "EXTENDED", "The card got a later expiry; what had expired since came back."
    VOIDED = "VOIDED", "The card was cancelled, and what was left of it is gone."


ADDS = (GiftCardEntryKind.ISSUED, GiftCardEntryKind.RETURNED, GiftCardEntryKind.EXTENDED)
"""The kinds whose amount is never below zero. The amount of all other kinds is never above zero."""

MOVES_NOTHING = (GiftCardEntryKind.EXTENDED, GiftCardEntryKind.VOIDED)
"""The kinds whose amount may be 0."""


@dataclass(frozen=True, slots=True)
class CardAccount:
    """The numbers of one card, in minor units of its currency.

    `balance_minor` is the sum of its entries, `held_minor` the part of it that is set aside at checkouts. `expires_at`
    is the first instant at which the card cannot be spent; None is never. `sequence` is the number of the last entry,
    `chain` is its hash.
    """

    currency: str
    balance_minor: int = 0
    held_minor: int = 0
    expires_at: datetime | None = None
    voided_at: datetime | None = None
    sequence: int = 0
    chain: bytes = CHAIN_START

    @property
    def free_minor(self) -> int:
        """The part of the balance that is not held."""
        return self.balance_minor - self.held_minor


def check_amount(amount: Money) -> Problem | None:
    """Return what is wrong with the amount of a new card or of a movement; None if it is right."""
    if 1 <= amount.amount_minor <= MAX_AMOUNT_MINOR:
        return None
    return Problem(("amount", "amount"), "must be more than 0")


def is_expired(account: CardAccount, at: datetime) -> bool:
    """Tell whether the validity of a card is over. At the instant of expiry it is over."""
    return account.expires_at is not None and at >= account.expires_at


def spendable_minor(account: CardAccount, at: datetime) -> int:
    """Return how much of a card can be spent or set aside at an instant."""
    return 0 if account.voided_at is not None or is_expired(account, at) else account.free_minor


def state_at(account: CardAccount, at: datetime) -> GiftCardState:
    """Return the state of a card at an instant."""
    if account.voided_at is not None:
        return GiftCardState.VOIDED
    if is_expired(account, at):
        return GiftCardState.EXPIRED
    return GiftCardState.ACTIVE if account.balance_minor else GiftCardState.SPENT


def set_aside(account: CardAccount, amount_minor: int, at: datetime) -> CardAccount:
    """Hold money of a card for a checkout. Refusals: GiftCardEnded, GiftCardBalanceTooLow."""
    refuse_ended(account, at)
    if amount_minor > account.free_minor:
        available, required = (Money(minor, account.currency) for minor in (account.free_minor, amount_minor))
        raise GiftCardBalanceTooLow(available, required)
    return _ensure_covered(replace(account, held_minor=account.held_minor + amount_minor))


def free_held(account: CardAccount, amount_minor: int) -> CardAccount:
    """Free held money without spending it. Raises ValueError if less is held."""
    return _ensure_covered(replace(account, held_minor=account.held_minor - amount_minor))


def add_to_balance(account: CardAccount, amount_minor: int) -> CardAccount:
    """Return the account after its next entry, which changes the balance by a signed amount.

    Raises ValueError if the balance no longer covers the holds.
    """
    balance_minor = account.balance_minor + amount_minor
    return _ensure_covered(replace(account, balance_minor=balance_minor, sequence=account.sequence + 1))


def extend_card(account: CardAccount, expires_at: datetime, lost_minor: int) -> CardAccount:
    """Return the account of a card with a later expiry. The money that had expired (``lost_minor``) comes back."""
    return add_to_balance(replace(account, expires_at=expires_at), lost_minor)


def void_card(account: CardAccount, at: datetime) -> CardAccount:
    """Take all that is left of a card for good.

    Refusals: GiftCardEnded (voided before), GiftCardInUse (money is held).
    """
    if account.voided_at is not None:
        raise GiftCardEnded(GiftCardState.VOIDED)
    if account.held_minor:
        raise GiftCardInUse(Money(0, account.currency), Money(account.held_minor, account.currency))
    return replace(add_to_balance(account, -account.balance_minor), voided_at=at)


def refuse_used(account: CardAccount, face_minor: int) -> None:
    """Refuse a card of which any money was spent or is held: its balance must be its face value.

    Refusal: GiftCardInUse.
    """
    if account.balance_minor != face_minor or account.held_minor:
        spent, held = face_minor - account.balance_minor, account.held_minor
        raise GiftCardInUse(Money(spent, account.currency), Money(held, account.currency))


def refuse_ended(account: CardAccount, at: datetime, path: tuple[str, ...] = ("gift_card",)) -> None:
    """Refuse a card that was voided, or whose validity is over. Refusal: GiftCardEnded."""
    state = state_at(account, at)
    if state in {GiftCardState.VOIDED, GiftCardState.EXPIRED}:
        raise GiftCardEnded(state, path)


def _ensure_covered(account: CardAccount) -> CardAccount:
    """Return the account unchanged. Raises ValueError if its balance does not cover its held money."""
    if not 0 <= account.held_minor <= account.balance_minor:
        message = "more than the card has"
        raise ValueError(message)
    return account


# ── the chain ────────────────────────────────────────────────────────────────────────────────────────────────────

CHAINED_FIELDS = (
    "id",
    "gift_card_id",
    "sequence",
    "kind",
    "amount_minor",
    "balance_after_minor",
    "currency",
    "hold_id",
    "expires_at",
    "occurred_at",
    "actor_kind",
    "actor",
)
"""The fields that the hash of a card's entry covers, in this order. With the reason they are the whole entry."""


def card_entry_hash(before: bytes, entry: Mapping[str, Any]) -> bytes:
    """Return the hash that chains an entry of a card to the one before it.

    It covers the CHAINED_FIELDS, then `|` and the SHA-256 of the reason in hexadecimal (empty without a reason).
    """
    reason = entry["reason"]
    said = "" if reason is None else hash_text(reason)
    return chain_hash(before, f"{chain_text(entry, CHAINED_FIELDS)}|{said}")
