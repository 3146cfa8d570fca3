"""Selections: the fields that a document asks of an object type, answered for a list of objects at once."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from graphql import FieldNode, GraphQLField, GraphQLObjectType

from execution.arguments import ArgumentReader
from execution.places import FAILED, FieldPlace, Place
from execution.resolvers import Resolver
from execution.running import Run, await_parts
from execution.shapes import Shape

EMPTY: Mapping[str, Any] = {}


class PlannedField:
    """One field of a selection."""

    __slots__ = ("arguments", "definition", "key", "name", "nodes", "parent_type", "resolver", "shape", "suspends")

    def __init__(
        self,
        key: str,
        nodes: list[FieldNode],
        parent_type: GraphQLObjectType,
        definition: GraphQLField,
        resolver: Resolver,
        shape: Shape,
        arguments: ArgumentReader | None,
    ) -> None:
        self.key = key
        self.nodes = nodes
        self.name = nodes[0].name.value
        self.parent_type = parent_type
        self.definition = definition
        self.resolver = resolver
        self.shape = shape
        self.arguments = arguments
        self.suspends = resolver.suspends or shape.suspends

    def read_arguments(self, run: Run) -> Mapping[str, Any]:
        """Return this field's arguments in this operation. Raises graphql-core's error for one that cannot be read."""
        return EMPTY if self.arguments is None else self.arguments.read(run.core.variable_values)

    def start(self, run: Run, rows: list[Any], place: Place) -> list[Any] | Awaitable[list[Any]]:
        """Resolve the field for all rows. Returns the completed values, or an awaitable for them."""
        values = self.resolver.get_values(run, self, rows)
        if isinstance(values, list):
            return self.shape.complete(run, self, values, place)
        return self._complete_later(run, values, place)

    async def _complete_later(self, run: Run, values: Awaitable[list[Any]], place: Place) -> list[Any]:
        completed = self.shape.complete(run, self, await values, place)
        return completed if isinstance(completed, list) else await completed


class Selection:
    """The fields that a document asks of one object type, in the order of the answer."""

    __slots__ = ("fields", "keys", "suspends")

    def __init__(self, fields: Sequence[PlannedField]) -> None:
        self.fields = fields
        self.keys = [field.key for field in fields]
        self.suspends = any(field.suspends for field in fields)

    async def complete(self, run: Run, rows: list[Any], place: Place) -> list[Any]:
        """Return a dict for each row, or ``FAILED``. Fields that wait do so at the same time."""
        before = len(run.failures)
        columns: list[Any] = []
        inline: list[tuple[int, Awaitable[list[Any]]]] = []
        waiting: list[tuple[int, Awaitable[list[Any]]]] = []
        for number, field in enumerate(self.fields):
            if not run.pace.count(len(rows)):
                await run.pace.wait(len(rows))
            inside = FieldPlace(place, field.key, number, nullable=field.shape.nullable)
            column = field.start(run, rows, inside)
            if not isinstance(column, list):
                (waiting if field.suspends else inline).append((number, column))
            columns.append(column)
        if waiting:
            parts = await await_parts([part for _, part in waiting])
            for (number, _), part in zip(waiting, parts, strict=True):
                columns[number] = part
        for number, later in inline:
            columns[number] = await later
        return self._join(rows, columns, may_have_failed=len(run.failures) != before)

    async def complete_serially(self, run: Run, row: Any, place: Place) -> Any:
        """Return the dict of one row, resolving field after field.

        If a field fails that must not be null, return ``FAILED`` at once: the fields after it are not resolved.
        """
        answer = {}
        for number, field in enumerate(self.fields):
            inside = FieldPlace(place, field.key, number, nullable=field.shape.nullable)
            started = field.start(run, [row], inside)
            column = started if isinstance(started, list) else await started
            if column[0] is FAILED:
                return FAILED
            answer[field.key] = column[0]
        return answer

    def _join(self, rows: list[Any], columns: list[list[Any]], *, may_have_failed: bool) -> list[Any]:
        """Join the columns of the fields into a dict for each row."""
        if not columns:
            return [{} for _ in rows]
        keys = self.keys
        answers: list[Any] = [dict(zip(keys, values)) for values in zip(*columns)]  # noqa: B905 - strict costs a third
        if may_have_failed:
            for field, column in zip(self.fields, columns, strict=True):
                if not field.shape.nullable:
                    for index, value in enumerate(column):
                        if value is FAILED:
                            answers[index] = FAILED
        return answers
