"""Enums that say what they mean, once: code reads it beside the value, and the contract publishes the same words."""

import inspect
from enum import StrEnum
from typing import Self


class DescribedEnum(StrEnum):
    """A text enum whose members are written as ``NAME = value, description``; its docstring describes the whole."""

    _value_: str
    description: str

    def __new__(cls, value: str, description: str = "") -> Self:
        """Keep the value as the text that is stored and compared, and the description beside it.

        The default is there for type checkers, which take the look-up ``Kind("VALUE")`` for a call of this method.
        """
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    @classmethod
    def describe_whole(cls) -> str:
        """Return what the enum is for: the first paragraph of its docstring, in one line."""
        return " ".join(inspect.getdoc(cls).split("\n\n")[0].split())  # type: ignore[union-attr]
