"""A window of an ordered list: so many rows beyond a place, forwards or backwards."""

from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement

P = TypeVar("P")


class Window(NamedTuple, Generic[P]):
    """``limit`` rows after ``beyond`` (from the beginning if None), or before it if ``backwards``.

    ``ascending`` sets the order of the list; None leaves the list's own order.
    """

    limit: int
    beyond: P | None = None
    backwards: bool = False
    ascending: bool | None = None

    def descends(self, *, by_default: bool) -> bool:
        """Return whether rows are read from the largest to the smallest; ``by_default`` is the list's own order."""
        descending = by_default if self.ascending is None else not self.ascending
        return descending != self.backwards


class TimePlace(NamedTuple):
    """The place of a row in a list by time: the newest first, rows of one instant by id."""

    at: datetime
    id: UUID


class Keyset(NamedTuple):
    """The order of a list: two columns that are unique together, and whether the largest values come first.

    A place in the list is the values of the two columns.
    """

    columns: tuple[ColumnElement[Any], ColumnElement[Any]]
    descending: bool
