"""Which part of an ordered list is wanted: so many rows beyond a place, forwards or backwards."""

from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, bindparam, tuple_

from tenancy.table import INSTANT

P = TypeVar("P")


class Window(NamedTuple, Generic[P]):
    """``limit`` rows after ``beyond`` (from the beginning when None), or before it when ``backwards``."""

    limit: int
    beyond: P | None = None
    backwards: bool = False


class TimePlace(NamedTuple):
    """Where a row stands in a list that is ordered by time: the newest first, rows of one instant by id."""

    at: datetime
    id: UUID


def apply_window(
    statement: Select[Any], at: ColumnElement[datetime], row_id: ColumnElement[UUID], window: Window[TimePlace]
) -> tuple[Select[Any], dict[str, Any]]:
    """Return a statement that reads only a window of a list by time, newest first, and its parameters."""
    order = (at, row_id)
    statement = statement.order_by(*(order if window.backwards else [column.desc() for column in order]))
    statement = statement.limit(window.limit)
    if window.beyond is None:
        return statement, {}
    mark = tuple_(bindparam("beyond_at", type_=INSTANT), bindparam("beyond_id", type_=Uuid))
    statement = statement.where(tuple_(*order) > mark if window.backwards else tuple_(*order) < mark)
    return statement, {"beyond_at": window.beyond.at, "beyond_id": window.beyond.id}
