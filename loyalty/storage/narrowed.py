"""A list with filters, added step by step: read a page of it, or count it up to a ceiling.

A statement is made once for each set of steps and each form of a window, and kept: making and compiling it costs more
than running it. So the name of a step identifies its condition, and values are parameters.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Text, bindparam, func, literal_column, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from loyalty.rules.listing import PointsSign
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.window import Keyset, Window
from tenancy.reading import Reads
from tenancy.table import INSTANT, among

MAX_TOTAL_COUNT = 10_000
"""The number of rows that a list counts. For a longer list only this number is known."""
MAX_KEPT_STATEMENTS = 1_000
"""The number of statements of lists that one process keeps. The one that was not used for longest is dropped."""


class Narrowed:
    """A list over the rows of a statement, with its filters and their parameters."""

    def __init__(self, rows: Select[Any], order: Keyset) -> None:
        self._rows, self._order = rows, order
        self._steps: dict[str, Callable[[], ColumnElement[bool]]] = {}
        self._each: ColumnElement[Any] | None = None
        self._parameters: dict[str, Any] = {}

    def keep(self, step: str, condition: Callable[[], ColumnElement[bool]], **parameters: object) -> None:
        """Keep rows for which a condition holds. In one list, steps with the same name must have the same condition."""
        self._steps[step] = condition
        self._parameters |= parameters

    def keep_if(
        self,
        step: str,
        condition: Callable[[], ColumnElement[bool]],
        wanted: bool | None,  # noqa: FBT001 - a value of a filter
        **parameters: object,
    ) -> None:
        """Keep rows for which a condition is as wanted: true or false; None keeps all."""
        if wanted is not None:
            self.keep(step if wanted else f"not_{step}", condition if wanted else lambda: ~condition(), **parameters)

    def keep_equal(self, column: ColumnElement[Any], value: object) -> None:
        """Keep rows with this value; None keeps all."""
        if value is not None:
            name = f"is_{column.key}"
            self.keep(name, lambda: column == bindparam(name), **{name: value})

    def keep_any_equal(self, step: str, columns: Sequence[ColumnElement[Any]], value: object) -> None:
        """Keep rows that have this value in one of the columns; None keeps all."""
        if value is not None:
            self.keep(step, lambda: or_(*(column == bindparam(step) for column in columns)), **{step: value})

    def keep_among(self, column: ColumnElement[Any], values: Sequence[Any] | None) -> None:
        """Keep rows with one of these values; None keeps all."""
        if values is not None:
            name = f"in_{column.key}"
            self.keep(name, lambda: among(column, name), **{name: list(values)})

    def keep_each(self, column: ColumnElement[Any], values: Sequence[Any] | None) -> None:
        """Keep rows with one of these values, each once; None keeps all.

        The page is made of a page for each value. So an index of value and order serves it, for any number of rows with
        other values.
        """
        if values is not None:
            self._each = column
            self._parameters[_EACH] = list(values)

    def keep_starting(self, column: ColumnElement[Any], prefix: str | None) -> None:
        """Keep rows whose text begins with a prefix; an index serves this operator behind row-level security."""
        if prefix is not None:
            name = f"prefix_{column.key}"
            self.keep(name, lambda: starts_with(column, name), **{name: prefix})

    def keep_within(self, column: ColumnElement[Any], start_at: datetime | None, end_at: datetime | None) -> None:
        """Keep rows from ``start_at`` on and before ``end_at``; None is no limit."""
        start, end = f"start_{column.key}", f"end_{column.key}"
        if start_at is not None:
            self.keep(start, lambda: column >= bindparam(start, type_=INSTANT), **{start: start_at})
        if end_at is not None:
            self.keep(end, lambda: column < bindparam(end, type_=INSTANT), **{end: end_at})

    def keep_sign(self, points: ColumnElement[Any], sign: PointsSign | None) -> None:
        """Keep rows that add points, or that take some."""
        if sign is not None:
            self.keep(f"points_{sign}", lambda: points > 0 if sign is PointsSign.POSITIVE else points < 0)

    def keep_purchase(
        self, kind: ColumnElement[Any], external_id: ColumnElement[Any], named: PurchaseKey | None
    ) -> None:
        """Keep rows that name a purchase."""
        if named is not None:
            self.keep_equal(kind, named.kind)
            self.keep_equal(external_id, named.external_id)

    async def read(self, tx: Reads, window: Window[Any]) -> Sequence[Any]:
        """Read a window of the list in its order."""
        form = (window.limit, window.descends(by_default=self._order.descending), window.beyond is not None)
        place = {} if window.beyond is None else dict(zip(_MARKS, window.beyond, strict=True))
        return await tx.rows(self._statement(form, partial(self._select_page, *form)), **self._parameters, **place)

    async def count(self, tx: Reads) -> int:
        """Count the rows of the list. Counting stops at one more than ``MAX_TOTAL_COUNT``."""
        row = await tx.row(self._statement("count", self._select_count), **self._parameters)
        return int(row[0]) if row else 0

    def _statement(self, form: Hashable, make: Callable[[Select[Any]], Select[Any]]) -> Select[Any]:
        steps = self._steps
        key = (self._rows, self._order, self._each is not None, tuple(steps), form)
        return _make_statement(_Shape(key, lambda: make(self._rows.where(*(step() for step in steps.values())))))

    def _select_page(self, limit: int, descends: bool, beyond: bool, rows: Select[Any]) -> Select[Any]:  # noqa: FBT001 - partial
        columns = self._order.columns
        if self._each is not None:
            return self._page_of_each(self._each, limit, descends, beyond, rows)
        if beyond:
            rows = rows.where(_lies_beyond(columns, _name_marks(columns), descends))
        return _cut(rows, columns, limit, descends)

    def _page_of_each(
        self,
        column: ColumnElement[Any],
        limit: int,
        descends: bool,  # noqa: FBT001 - partial
        beyond: bool,  # noqa: FBT001 - partial
        rows: Select[Any],
    ) -> Select[Any]:
        """Return a page made of a page for each value.

        A value is compared from both sides and is the first column of the order, so only an index that begins with it
        gives this order. With a comparison by equality the planner would take the index of all rows if it expects most
        rows to match.
        """
        value, columns = _each.c.value, self._order.columns
        ordered = (column, *columns)
        rows = rows.where(column >= value if descends else column <= value)
        if beyond:
            rows = rows.where(_lies_beyond(ordered, (value, *_name_marks(columns)), descends))
        else:
            rows = rows.where(column <= value if descends else column >= value)
        found = _cut(rows, ordered, limit, descends).correlate(_each).lateral("found")
        shown = [cast("ColumnElement[Any]", found.corresponding_column(cast("Any", one))) for one in columns]
        return _cut(select(*found.c).join_from(_each, found, true()), shown, limit, descends)

    def _select_count(self, rows: Select[Any]) -> Select[Any]:
        if self._each is not None:
            rows = rows.where(among(self._each, _EACH))
        some: Select[Any] = rows.with_only_columns(literal_column("1"), maintain_column_froms=True).order_by(None)
        return select(func.count()).select_from(some.limit(literal_column(str(MAX_TOTAL_COUNT + 1))).subquery("some"))


def starts_with(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Return the condition that a text begins with another one, by the operator that an index serves."""
    return column.op("^@", is_comparison=True)(bindparam(parameter))


def has_text(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Return the condition that a text holds another one, compared without case.

    No index serves it, so each row is checked.
    """
    return func.strpos(func.lower(column), func.lower(bindparam(parameter))) > 0


def _cut(rows: Select[Any], columns: Sequence[Any], limit: int, descends: bool) -> Select[Any]:  # noqa: FBT001 - partial
    """Return the first rows in the order of some columns."""
    order = [column.desc() for column in columns] if descends else columns
    return rows.order_by(*order).limit(literal_column(str(limit)))


def _lies_beyond(columns: Sequence[Any], marks: Sequence[Any], descends: bool) -> ColumnElement[bool]:  # noqa: FBT001
    place, mark = tuple_(*columns), tuple_(*marks)
    return place < mark if descends else place > mark


def _name_marks(columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    return [bindparam(name, type_=column.type) for name, column in zip(_MARKS, columns, strict=True)]


_EACH = "each"
"""The parameter with the values of ``keep_each``."""
_each = func.unnest(bindparam(_EACH, type_=ARRAY(Text))).table_valued("value", name="each").render_derived()
_MARKS = ("beyond_value", "beyond_id")
"""The parameters with the place where a window begins."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """The facts on which a statement of a list depends, and the function that makes it."""

    key: Hashable
    make: Callable[[], Select[Any]] = field(compare=False)


@lru_cache(maxsize=MAX_KEPT_STATEMENTS)
def _make_statement(shape: _Shape) -> Select[Any]:
    return shape.make()
