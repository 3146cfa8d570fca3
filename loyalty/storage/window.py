"""Which part of an ordered list is wanted: so many rows beyond a place, forwards or backwards."""

from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, bindparam, tuple_

from tenancy.table import INSTANT

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


def apply_window(
    statement: Select[Any], at: ColumnElement[datetime], row_id: ColumnElement[UUID], window: Window[TimePlace]
) -> tuple[Select[Any], dict[str, Any]]:
    """Return a statement that reads only a window of a list by time, and its parameters; by default newest first."""
    order, descends = (at, row_id), window.descends(by_default=True)
    statement = statement.order_by(*([column.desc() for column in order] if descends else order))
    statement = statement.limit(window.limit)
    if window.beyond is None:
        return statement, {}
    mark = tuple_(bindparam("beyond_at", type_=INSTANT), bindparam("beyond_id", type_=Uuid))
    statement = statement.where(tuple_(*order) < mark if descends else tuple_(*order) > mark)
    return statement, {"beyond_at": window.beyond.at, "beyond_id": window.beyond.id}
