"""Which part of an ordered list is wanted: so many rows beyond a place, forwards or backwards."""

from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement

P = TypeVar("P")


class Window(NamedTuple, Generic[P]):
    """``limit`` rows after ``beyond`` (from the beginning when None), or before it when ``backwards``.

    ``ascending`` turns the order of the list round; None leaves it as the list has it.
    """

    limit: int
    beyond: P | None = None
    backwards: bool = False
    ascending: bool | None = None

    def descends(self, *, by_default: bool) -> bool:
        """Tell whether rows are read from the largest to the smallest; ``by_default`` says how the list is."""
        descending = by_default if self.ascending is None else not self.ascending
        return descending != self.backwards


class TimePlace(NamedTuple):
    """Where a row stands in a list that is ordered by time: the newest first, rows of one instant by id."""

    at: datetime
    id: UUID


class Keyset(NamedTuple):
    """The order of a list: two columns that no two rows share, and whether the largest come first.

    A place in the list has the values of the two columns.
    """

    columns: tuple[ColumnElement[Any], ColumnElement[Any]]
    descending: bool
