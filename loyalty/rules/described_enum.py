"""Enums with a description for each member. The code and the public schema use the same words."""

import inspect
from enum import StrEnum
from typing import Self


class DescribedEnum(StrEnum):
    """A text enum whose members are written as ``NAME = value, description``; its docstring describes the whole."""

    _value_: str
    description: str

    def __new__(cls, value: str, description: str = "") -> Self:
        """Create a member: the value is the text that is stored and compared.

        The description has a default for type checkers only: they take ``Kind("VALUE")`` for a call of this method.
        """
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    @classmethod
    def describe_whole(cls) -> str:
        """Return the purpose of the enum: the first paragraph of its docstring, in one line."""
        return " ".join(inspect.getdoc(cls).split("\n\n")[0].split())  # type: ignore[union-attr]
