"""The kinds and colours of ledger entries, and the hash that chains entries."""

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
    """The kind of object that an entry is about: a reader may open it to understand the entry."""

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
"""The fields that the hash of an entry covers, in this order. With CHAINED_TEXTS they are the whole entry."""

CHAINED_TEXTS = ("actor_name", "reason")
"""Texts that a later release added to entries. An entry without both texts has the same hash as before."""


def entry_hash(before: bytes, entry: dict[str, Any]) -> bytes:
    """Return the hash that chains an entry to the one before it.

    It covers the CHAINED_FIELDS. If an entry has one of the CHAINED_TEXTS, the SHA-256 of each text is put in front in
    hexadecimal, or `-` for an absent text, each followed by `|`. To change, drop or insert an entry, somebody would
    have to change every later hash of that customer, and the hash in the account.
    """
    text = chain_text(entry, CHAINED_FIELDS)
    said = [entry[name] for name in CHAINED_TEXTS]
    if any(one is not None for one in said):
        text = "".join(f"{_hash_optional_text(one)}|" for one in said) + text
    return chain_hash(before, text)


def _hash_optional_text(text: str | None) -> str:
    """Return the SHA-256 of a text in hexadecimal; `-` for an absent text."""
    return "-" if text is None else hash_text(text)
