"""Every kind of entry is described once, and nobody keeps a list of kinds beside it."""

import ast
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


def test_nobody_collects_kinds_a_second_time() -> None:
    """A closed list of members would forget the next kind, as a list of texts would."""
    found = [
        f"{path.relative_to(SOURCES)}:{node.lineno}"
        for folder in ("loyalty", "schema", "api", "worker", "cli")
        for path in (SOURCES / folder).rglob("*.py")
        if path.name != "entry_kinds.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict) and _count_kinds(node) > 1
    ]
    assert found == []


def _count_kinds(node: ast.Tuple | ast.List | ast.Set | ast.Dict) -> int:
    members = node.keys if isinstance(node, ast.Dict) else node.elts
    return sum(isinstance(one, ast.Attribute) and ast.unparse(one.value) == "EntryKind" for one in members)


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("(EntryKind.EARNED, EntryKind.EXPIRED)", 2),
        ("{EntryKind.EARNED: 1, EntryKind.EXPIRED: 2}", 2),
        ("[EntryKind.EARNED, ReferenceKind.LOT]", 1),
    ],
)
def test_a_second_list_of_kinds_is_noticed(source: str, kinds: int) -> None:
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Tuple | ast.List | ast.Dict)
    assert _count_kinds(statement.value) == kinds
