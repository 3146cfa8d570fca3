from unicodedata import normalize

import pytest

from loyalty.rules.errors import Problem
from loyalty.rules.text import MARKS_MAX, TIDIED_MAX_LENGTH, check_external_id, check_text, tidy_text


@pytest.mark.parametrize("value", ["a", "ä" * 5, "👩‍🦰", "a\nb", " x "])
def test_takes_ordinary_text(value: str) -> None:
    assert check_text(value, ("name",), 5) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "must have at least 1 characters"),
        (" \t\n\u00a0", "must not be blank"),
        ("a" * 6, "must have at most 5 characters"),
        ("a\0b", "must not hold NUL characters or unpaired surrogates"),
        ("\ud800", "must not hold NUL characters or unpaired surrogates"),
        ("a\udfff", "must not hold NUL characters or unpaired surrogates"),
    ],
)
def test_refuses_what_cannot_be_stored_or_read(value: str, reason: str) -> None:
    problem = check_text(value, ("name",), 5)
    assert problem is not None
    assert problem == (("name",), reason)


def test_takes_empty_text_where_it_is_optional() -> None:
    assert check_text("", ("note",), 5, min_length=0) is None
    assert check_text("   ", ("note",), 5, min_length=0) is None
    assert check_text("\0", ("note",), 5, min_length=0) is not None


@pytest.mark.parametrize("value", ["1", "a-b/c:d", "Größe 38", "x" * 255])
def test_takes_external_ids(value: str) -> None:
    assert check_external_id(value, ("external_id",)) is None


@pytest.mark.parametrize("value", ["", " ", "x" * 256, "a\nb", "a\tb", "a\x7f", "a\x85", "\0", "\ud800"])
def test_refuses_external_ids_that_hide_something(value: str) -> None:
    assert check_external_id(value, ("external_id",)) is not None


MARKED = "a" + "\u0301\u0327" * 20_000
"""Composing it takes seconds: marks are put in order one by one."""


def test_a_text_of_endless_marks_is_refused_and_not_composed() -> None:
    assert tidy_text(MARKED) == MARKED
    few = "a" + "\u0301\u0327" * (MARKS_MAX // 2)
    assert check_text(few, ("name",), 100) is None
    assert check_text(few + "\u0301", ("name",), 100) == Problem(
        ("name",), f"must not have more than {MARKS_MAX} combining marks in a row"
    )
    assert check_external_id(few + "\u0301", ("external_id",)) is not None
    assert tidy_text(f" {few} ") == normalize("NFC", few)


def test_a_text_that_is_too_long_is_not_composed() -> None:
    long = "a\u0301" * TIDIED_MAX_LENGTH
    assert tidy_text(long) == long
    assert tidy_text("a\u0301" * 100) == "\u00e1" * 100
