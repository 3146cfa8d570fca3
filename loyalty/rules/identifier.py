"""Card numbers and other identifiers of customers: their validation, and how two of them are compared.

A value is compared without blanks, hyphens and case (Unicode case folding) in composed form (NFC): `ab-12 34` is
`AB1234`. It is shown as the caller sent it. A type is compared and shown in capital letters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from unicodedata import category, normalize

from loyalty.rules.errors import Problem
from loyalty.rules.text import check_text, is_storable, tidy_text

IDENTIFIER_TYPE_MAX_LENGTH = 40
IDENTIFIER_VALUE_MAX_LENGTH = 100
MAX_IDENTIFIERS = 20
"""The most identifiers of one customer."""

_TYPE = re.compile(r"[A-Z0-9][A-Z0-9_-]*", re.ASCII)
_LEFT_OUT = re.compile(r"[-\u2010-\u2015\u2212\s]+")
"""Blanks of every width, hyphens and dashes: people put them between the groups of a number."""
_CONTROL = "Cc"


class Identifier(NamedTuple):
    """A number or text by which a business knows a customer, and the type of that number."""

    type: str
    value: str

    @property
    def key(self) -> "IdentifierKey":
        """The form in which the identifier is compared."""
        return IdentifierKey(self.type, fold_identifier(self.value))


class IdentifierKey(NamedTuple):
    """A type and a folded value. Only one customer of a tenant may have it. Without a type it matches any type."""

    type: str | None
    value: str


def fold_identifier(value: str) -> str:
    """Return a value in the form in which it is compared: composed, without blanks, hyphens and case."""
    return _LEFT_OUT.sub("", normalize("NFC", normalize("NFC", value).casefold()))


def tidy_identifier(told: Identifier) -> Identifier:
    """Return an identifier in its usual form: the type in capitals, the value without blanks round it."""
    kind = told.type.strip().upper() if is_storable(told.type) and told.type.isascii() else told.type
    return Identifier(kind, tidy_text(told.value) if is_storable(told.value) else told.value)


def identifiers_of(stored: Sequence[Mapping[str, Any]] | None) -> tuple[Identifier, ...]:
    """Return the identifiers from their stored form, a list of JSON objects; None is an empty list."""
    return tuple(Identifier(one["type"], one["value"]) for one in stored or ())


def validate_identifiers(identifiers: Sequence[Identifier]) -> list[Problem]:
    """Return everything wrong with the identifiers of one customer."""
    if len(identifiers) > MAX_IDENTIFIERS:
        return [Problem(("identifiers",), f"must have at most {MAX_IDENTIFIERS} items")]
    problems: list[Problem] = []
    first: dict[IdentifierKey, int] = {}
    for position, identifier in enumerate(identifiers):
        path = ("identifiers", str(position))
        wrong = list(_identifier_problems(identifier, path))
        if not wrong and first.setdefault(identifier.key, position) != position:
            wrong = [Problem((*path, "value"), f"is the same as item {first[identifier.key]}")]
        problems += wrong
    return problems


def _identifier_problems(identifier: Identifier, path: tuple[str, ...]) -> Iterator[Problem]:
    """Yield what is wrong with the type and the value of one identifier."""
    if len(identifier.type) > IDENTIFIER_TYPE_MAX_LENGTH or not _TYPE.fullmatch(identifier.type):
        allowed = f"1 to {IDENTIFIER_TYPE_MAX_LENGTH} letters A to Z, digits, _ and -, such as CARD"
        yield Problem((*path, "type"), f"must have {allowed}")
    problem = check_text(identifier.value, (*path, "value"), IDENTIFIER_VALUE_MAX_LENGTH)
    if problem is None and any(category(character) == _CONTROL for character in identifier.value):
        problem = Problem((*path, "value"), "must not hold control characters")
    if problem is None and not fold_identifier(identifier.value):
        problem = Problem((*path, "value"), "must hold more than blanks and hyphens")
    if problem is not None:
        yield problem
