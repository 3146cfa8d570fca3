"""What kinds of ledger entries and colours there are, and the hash that chains entries."""

from enum import StrEnum
from typing import Any

from loyalty.rules.chain import chain_hash, chain_text, hash_text
from loyalty.rules.described_enum import DescribedEnum


class EntryKind(DescribedEnum):
    """Why a line of the ledger moved points."""

    EARNED = "EARNED", "A purchase earned points."
    REDEEMED = "REDEEMED", "Points were spent at checkout."
    ADJUSTED = "ADJUSTED", "Somebody corrected the points by hand."
    EXPIRED = "EXPIRED", "Points passed their date."
    EARN_REVERSED = "EARN_REVERSED", "Earned points were taken back: cancelled, not shown up, refunded."
    REDEMPTION_RETURNED = "REDEMPTION_RETURNED", "Spent points were given back."
    GIFT_CARD = "GIFT_CARD", "Points bought a gift card."
    GIFT_CARD_RETURNED = "GIFT_CARD_RETURNED", "Points came back because a bought gift card was cancelled."
    OPENING = "OPENING", "The balance a customer brought along."
    MERGED = "MERGED", "Points moved when two customers became one."


class ReferenceKind(StrEnum):
    """What an entry is about: what a reader may open to understand it."""

    PURCHASE = "PURCHASE"
    ADJUSTMENT = "ADJUSTMENT"
    REDEMPTION = "REDEMPTION"
    LOT = "LOT"
    CUSTOMER_MERGE = "CUSTOMER_MERGE"
    OPENING_BALANCE = "OPENING_BALANCE"
    GIFT_CARD = "GIFT_CARD"


class DisplayColor(DescribedEnum):
    """The colour of a line in the activity log, by name."""

    GREEN = "GREEN", "Earned."
    RED = "RED", "Redeemed."
    PURPLE = "PURPLE", "Adjusted."
    GREY = "GREY", "Expired."
    ORANGE = "ORANGE", "Taken back or given back."
    BLUE = "BLUE", "Pending."


# ── the chain ────────────────────────────────────────────────────────────────────────────────────────────────────

CHAINED_FIELDS = (
    "id",
    "customer_id",
    "sequence",
    "kind",
    "points",
    "balance_after",
    "reference_kind",
    "reference_id",
    "cause_id",
    "phase",
    "occurred_at",
    "actor_kind",
    "actor",
)
"""What the hash of an entry covers, in this order: with CHAINED_TEXTS all that the entry says."""

CHAINED_TEXTS = ("actor_name", "reason")
"""What entries of a later release say besides. An entry that says neither has the hash that it always had."""


def entry_hash(before: bytes, entry: dict[str, Any]) -> bytes:
    """Return the hash that chains an entry to the one before it.

    It covers the CHAINED_FIELDS. Where one of the CHAINED_TEXTS is said, the SHA-256 of each stands before that in
    hexadecimal, or `-` for none, with `|` behind it. Who changes, drops or inserts an entry has to change every later
    hash of that customer, and the one that the account keeps.
    """
    text = chain_text(entry, CHAINED_FIELDS)
    said = [entry[name] for name in CHAINED_TEXTS]
    if any(one is not None for one in said):
        text = "".join(f"{_hash_text(one)}|" for one in said) + text
    return chain_hash(before, text)


def _hash_text(text: str | None) -> str:
    return "-" if text is None else hash_text(text)
