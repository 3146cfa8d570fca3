import hashlib
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from loyalty.rules.chain import CHAIN_START
from loyalty.rules.entry import CHAINED_FIELDS, CHAINED_TEXTS, DisplayColor, EntryKind, entry_hash
from loyalty.rules.entry_kinds import display_color, entry_color

NOON = datetime(2026, 3, 4, 12, 0, 0, 123, tzinfo=UTC)
ENTRY: dict[str, Any] = {
    "id": UUID("0190a000-0000-7000-8000-000000000001"),
    "customer_id": UUID("0190a000-0000-7000-8000-000000000002"),
    "sequence": 7,
    "kind": EntryKind.EARNED,
    "points": 250,
    "balance_after": 1250,
    "reference_kind": "PURCHASE",
    "reference_id": UUID("0190a000-0000-7000-8000-000000000003"),
    "cause_id": UUID("0190a000-0000-7000-8000-000000000004"),
    "phase": "EARN",
    "occurred_at": NOON,
    "actor_kind": "STAFF",
    "actor": "staff:mara",
    "actor_name": None,
    "reason": None,
}
TEXT = (
    "0190a000-0000-7000-8000-000000000001|0190a000-0000-7000-8000-000000000002|7|EARNED|250|1250|PURCHASE|"
    "0190a000-0000-7000-8000-000000000003|0190a000-0000-7000-8000-000000000004|EARN|1772625600000123|STAFF|staff:mara"
)
OTHERWISE: dict[str, Any] = {
    "id": UUID(int=1),
    "customer_id": UUID(int=2),
    "sequence": 8,
    "kind": EntryKind.ADJUSTED,
    "points": -250,
    "balance_after": 1251,
    "reference_kind": "ADJUSTMENT",
    "reference_id": UUID(int=3),
    "cause_id": UUID(int=4),
    "phase": "EARN-1",
    "occurred_at": NOON + timedelta(microseconds=1),
    "actor_kind": "SYSTEM",
    "actor": "staff:mara ",
    "actor_name": "Mara",
    "reason": "a gift",
}


@pytest.mark.parametrize(
    ("kind", "color"),
    [
        pytest.param(EntryKind.EARNED, DisplayColor.GREEN, id="BK-56 earned"),
        pytest.param(EntryKind.REDEEMED, DisplayColor.RED, id="BK-56 redeemed"),
        pytest.param(EntryKind.ADJUSTED, DisplayColor.PURPLE, id="BK-56 adjusted"),
        pytest.param(EntryKind.EXPIRED, DisplayColor.GREY, id="C-28 expired"),
        pytest.param(EntryKind.EARN_REVERSED, DisplayColor.ORANGE, id="C-28 reversed"),
    ],
)
def test_entries_have_the_colours_of_the_log(kind: EntryKind, color: DisplayColor) -> None:
    assert display_color(kind) is color


def test_every_kind_has_a_colour() -> None:
    assert all(re.fullmatch("#[0-9A-F]{6}", entry_color(kind)) for kind in EntryKind)


def test_different_colours_look_different() -> None:
    """BK-56: the three fixed ones."""
    assert len({entry_color(kind) for kind in (EntryKind.EARNED, EntryKind.REDEEMED, EntryKind.ADJUSTED)}) == 3


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (CHAIN_START, "0493b9e5ec00395805c8740546067a523e8d7565f4939203e8545ee28bd5e2d6"),
        (bytes([0x11]) * 32, "8716e40a7c9538aab29e19290d22bb13276d4d38a68c8aa19337aeaee514b95d"),
    ],
)
def test_the_hash_of_an_entry_is_what_sha256sum_says(before: bytes, expected: str) -> None:
    """F-36: (32 bytes, then TEXT) through the sha256sum of coreutils."""
    assert hashlib.sha256(before + TEXT.encode()).hexdigest() == expected
    assert entry_hash(before, ENTRY).hex() == expected


def test_the_hash_covers_every_field_and_the_entry_before() -> None:
    """F-36: change anything, and it is another hash."""
    assert set(OTHERWISE) == {*CHAINED_FIELDS, *CHAINED_TEXTS}
    hashes = {entry_hash(CHAIN_START, {**ENTRY, field: value}) for field, value in OTHERWISE.items()}
    assert len(hashes | {entry_hash(CHAIN_START, ENTRY), entry_hash(bytes([1]) * 32, ENTRY)}) == len(OTHERWISE) + 2


def test_a_bar_in_a_name_cannot_make_two_entries_alike() -> None:
    """The name stands last, and nothing before it can hold a bar."""
    one = {**ENTRY, "actor_kind": "STAFF", "actor": "a|b"}
    assert entry_hash(CHAIN_START, one) != entry_hash(CHAIN_START, {**one, "actor": "b|a"})
    assert re.fullmatch(r"[A-Z_]+", str(one["actor_kind"]))


def test_texts_of_a_later_release_stand_apart() -> None:
    """An entry that says neither has the hash of before; a name is no reason, and an empty text is not none."""
    said = [(None, None), ("Mara", None), (None, "Mara"), ("Mara", "Mara"), ("", None), (None, "")]
    hashes = [entry_hash(CHAIN_START, {**ENTRY, "actor_name": name, "reason": reason}) for name, reason in said]
    assert len(set(hashes)) == len(said)
    name = hashlib.sha256(b"Mara").hexdigest()
    assert hashes[1] == hashlib.sha256(CHAIN_START + f"{name}|-|{TEXT}".encode()).digest()


def test_the_instant_counts_and_not_the_zone_it_is_written_in() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert entry_hash(CHAIN_START, {**ENTRY, "occurred_at": elsewhere}) == entry_hash(CHAIN_START, ENTRY)
