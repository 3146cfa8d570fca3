"""Values that were not sent. An absent value changes nothing; None, where it is allowed, removes the known value."""

from enum import Enum
from typing import Final, TypeAlias, TypeVar, Union

Value = TypeVar("Value")


class Absent(Enum):
    """An enum with one member, so that a type checker can tell it from every value."""

    ABSENT = "ABSENT"


ABSENT: Final = Absent.ABSENT
"""The field was not sent."""

Given: TypeAlias = Union[Value, Absent]  # noqa: UP007 - a generic alias
"""A value that may not have been sent."""


def choose_given_or_known(given: Given[Value], known: Value) -> Value:
    """Return the given value, or the known value if none was given."""
    return known if isinstance(given, Absent) else given
