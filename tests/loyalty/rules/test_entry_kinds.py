"""Every kind of entry is described once, and nobody keeps a list of kinds beside it."""

import re
from collections import Counter
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

import loyalty
from loyalty.rules import events, gift_card_events
from loyalty.rules.entry import EntryKind, ReferenceKind
from loyalty.rules.entry_kinds import ACTIVE, KINDS, LIFETIME_EARNED, QUALIFYING, cause_entry

WRITTEN = [row for row in KINDS.values() if row.reference is not None]
SOURCES = Path(loyalty.__file__).parent.parent


def test_describes_every_kind_once() -> None:
    assert set(KINDS) == set(EntryKind)
    assert all(kind is row.kind for kind, row in KINDS.items())


def test_every_written_kind_has_phases_and_an_event_of_its_own() -> None:
    phases = Counter(phase for row in WRITTEN for phase in (*row.phases, row.numbered_phase) if phase)
    told = Counter(row.event for row in WRITTEN)
    assert set(phases.values()) == set(told.values()) == {1}
    assert all(row.phases or row.numbered_phase for row in WRITTEN)
    assert None not in told


def test_every_event_of_an_entry_belongs_to_a_kind() -> None:
    told = [*vars(events).values(), *vars(gift_card_events).values()]
    classes = [one for one in told if isinstance(one, type) and is_dataclass(one)]
    of_entries = {vars(one)["kind"] for one in classes if "entry_id" in {item.name for item in fields(one)}}
    assert of_entries == {row.event for row in WRITTEN}


def test_every_reference_is_that_of_a_kind() -> None:
    assert {row.reference for row in WRITTEN} == set(ReferenceKind)


def test_phases_of_one_kind_are_no_phases_of_another() -> None:
    """The proof finds entries of a kind by their phase."""
    for row in WRITTEN:
        phases = [*row.phases, *([f"{row.numbered_phase}T120"] if row.numbered_phase else [])]
        for other in WRITTEN:
            assert [other.has_phase(phase) for phase in phases] == [other is row] * len(phases)


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (EntryKind.EARNED, "REVERSE-T0"),
        (EntryKind.EARN_REVERSED, "REVERSE-"),
        (EntryKind.MERGED, "RETURN"),
        (EntryKind.MERGED, None),
        (EntryKind.GIFT_CARD, "CANCEL"),
    ],
)
def test_refuses_a_phase_of_another_kind(kind: EntryKind, phase: str | None) -> None:
    """Also a phase that must be named."""
    with pytest.raises(ValueError, match=r"phase|unpack"):
        cause_entry(kind, uuid7(), uuid7(), phase)


def test_counts_as_it_always_has() -> None:
    """Reports, windows and lifetime sums of what is stored already depend on these."""
    assert set(QUALIFYING) == {EntryKind.EARNED, EntryKind.EARN_REVERSED, EntryKind.ADJUSTED}
    assert set(LIFETIME_EARNED) == {EntryKind.EARNED, EntryKind.EARN_REVERSED}
    assert set(ACTIVE) == {EntryKind.EARNED, EntryKind.REDEEMED, EntryKind.GIFT_CARD}


def test_nobody_lists_kinds_a_second_time() -> None:
    """A closed list in a statement would forget the next kind."""
    kind = "|".join(EntryKind)
    listed = re.compile(
        rf"""IN \(\s*'(?:{kind})'\s*,|['"](?:{kind})['"]\s*(?:,|THEN).*['"](?:{kind})['"]|WHEN '(?:{kind})' THEN"""
    )
    found = [
        f"{path.relative_to(SOURCES)}: {match.group()}"
        for folder in ("loyalty", "schema")
        for path in (SOURCES / folder).rglob("*.py")
        if path.name != "entry.py"
        for match in listed.finditer(path.read_text())
    ]
    assert found == []
