"""Completing values: convert the results of resolvers into the answer, for a whole list at once.

A shape is a type of the schema with its selection. All rules are those of graphql-core: nullable positions, values that
are exceptions, lists, abstract types, and `is_type_of`, which is called once for each class.
"""

from collections.abc import Awaitable, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol, cast

from graphql import GraphQLAbstractType, GraphQLError, GraphQLLeafType, GraphQLObjectType, Undefined
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import Executor, default_type_resolver, invalid_return_type_error
from graphql.pyutils import is_iterable

from execution.columns import LeafColumns
from execution.places import FAILED, ChosenPlace, ItemPlace, Place
from execution.resolvers import make_raw_info
from execution.running import Run, await_parts, await_values, has_awaitables, is_awaitable_class

if TYPE_CHECKING:
    from execution.selections import PlannedField, Selection

_NOTHING = type(None)
_UNKNOWN: Any = object()


class Shape(Protocol):
    """Completes the values of a type."""

    nullable: bool
    suspends: bool
    """Whether completing may wait."""

    def complete(
        self, run: Run, field: "PlannedField", values: list[Any], place: Place
    ) -> list[Any] | Awaitable[list[Any]]:
        """Return the answer for each value; ``FAILED`` if something failed and null is not allowed."""


class Leaf:
    """A scalar or an enum."""

    suspends = False

    def __init__(self, type_: GraphQLLeafType, columns: LeafColumns, *, nullable: bool) -> None:
        self.type_ = type_
        self.columns = columns
        self.nullable = nullable

    def complete(
        self, run: Run, field: "PlannedField", values: list[Any], place: Place
    ) -> list[Any] | Awaitable[list[Any]]:
        """Convert the column in one step if its values allow that, else value by value."""
        kinds = set(map(type, values))
        if len(kinds) == 1:
            column = self._convert(kinds.pop(), values)
        elif self.nullable and len(kinds) == 2 and _NOTHING in kinds:  # noqa: PLR2004 - one class, and None
            kinds.remove(_NOTHING)
            column = self._convert_present(kinds.pop(), values)
        else:
            column = None if kinds else values
        return self._complete_each(run, field, values, place) if column is None else column

    def _convert(self, kind: type, values: list[Any]) -> list[Any] | None:
        """Convert values of one class in one step; None if each must be completed alone, with its own error."""
        if kind is _NOTHING:
            return values if self.nullable else None
        convert = self.columns.get(kind, _UNKNOWN)
        if convert is None:
            return values
        if convert is _UNKNOWN:
            return None
        try:
            return convert(values)  # type: ignore[no-any-return]
        except Exception:  # noqa: BLE001 - which value it is shows one by one
            return None

    def _convert_present(self, kind: type, values: list[Any]) -> list[Any] | None:
        column = self._convert(kind, [value for value in values if value is not None])
        if column is None:
            return None
        present = iter(column)
        return [None if value is None else next(present) for value in values]

    def _complete_each(
        self, run: Run, field: "PlannedField", values: list[Any], place: Place
    ) -> list[Any] | Awaitable[list[Any]]:
        if has_awaitables(values):
            return self._complete_later(run, field, values, place)
        return [self._complete_one(run, field, value, place, index) for index, value in enumerate(values)]

    async def _complete_later(self, run: Run, field: "PlannedField", values: list[Any], place: Place) -> list[Any]:
        settled = await await_values(run.pace, values)
        return [self._complete_one(run, field, value, place, index) for index, value in enumerate(settled)]

    def _complete_one(self, run: Run, field: "PlannedField", value: Any, place: Place, index: int) -> Any:
        missing = check_presence(self, run, field, value, place, index)
        if missing is not _UNKNOWN:
            return missing
        try:
            return Executor.complete_leaf_value(self.type_, value)
        except Exception as error:  # noqa: BLE001 - whatever a scalar raises is an error of its field
            return run.fail(place, index, field.nodes, error, nullable=self.nullable)


class Object:
    """An object type with a selection."""

    def __init__(
        self,
        type_: GraphQLObjectType,
        selection: "Selection",
        details: list[FieldDetails],
        accepted: set[type],
        *,
        nullable: bool,
    ) -> None:
        self.type_ = type_
        self.selection = selection
        self.details = details
        self.accepted = accepted
        self.nullable = nullable
        self.suspends = selection.suspends

    async def complete(self, run: Run, field: "PlannedField", values: list[Any], place: Place) -> list[Any]:
        """Complete each distinct object once; its result is used for every value that is this object."""
        if not self.accepted.issuperset(map(type, values)):
            return await self._complete_mixed(run, field, values, place)
        before = len(run.failures)
        completed = await complete_distinct(run, self.selection, values, range(len(values)), place)
        if self.nullable and len(run.failures) != before:
            return [no_failure_below(self, done) for done in completed]
        return completed

    async def _complete_mixed(self, run: Run, field: "PlannedField", values: list[Any], place: Place) -> list[Any]:
        if has_awaitables(values):
            values = await await_values(run.pace, values)
        owners: list[int] = []
        completed: list[Any] = []
        for index, value in enumerate(values):
            if type(value) in self.accepted:
                owners.append(index)
                completed.append(None)
                continue
            instead = check_presence(self, run, field, value, place, index)
            if instead is _UNKNOWN:
                instead = await self._check_class(run, field, value, place, index)
            if instead is _UNKNOWN:
                owners.append(index)
            completed.append(instead)
        rows = [values[index] for index in owners]
        for index, done in zip(owners, await complete_distinct(run, self.selection, rows, owners, place), strict=True):
            completed[index] = no_failure_below(self, done)
        return completed

    async def _check_class(self, run: Run, field: "PlannedField", value: Any, place: Place, index: int) -> Any:
        try:
            await accept_class(run, field, self.type_, self.accepted, self.details, value)
        except Exception as error:  # noqa: BLE001 - whatever `is_type_of` raises is an error of the field
            return run.fail(place, index, field.nodes, error, nullable=self.nullable)
        return _UNKNOWN


class Abstract:
    """An interface or union: objects are grouped by their type, which is asked once for each class of values."""

    suspends = True

    def __init__(
        self, type_: GraphQLAbstractType, details: list[FieldDetails], types: "RuntimeTypes", *, nullable: bool
    ) -> None:
        self.type_ = type_
        self.details = details
        self.types = types
        self.nullable = nullable

    async def complete(self, run: Run, field: "PlannedField", values: list[Any], place: Place) -> list[Any]:
        """Complete the objects of each type together."""
        if has_awaitables(values):
            values = await await_values(run.pace, values)
        completed: list[Any] = []
        groups: dict[GraphQLObjectType, list[int]] = {}
        for index, value in enumerate(values):
            instead = check_presence(self, run, field, value, place, index)
            if instead is _UNKNOWN:
                try:
                    found = await self.types.find(run, field, self.type_, self.details, value)
                    groups.setdefault(found, []).append(index)
                except Exception as error:  # noqa: BLE001 - whatever a type resolver raises is an error of the field
                    instead = run.fail(place, index, field.nodes, error, nullable=self.nullable)
            completed.append(instead)
        parts = [
            complete_distinct(
                run, run.plan.select(run.core, type_, self.details), [values[index] for index in owners], owners, place
            )
            for type_, owners in groups.items()
        ]
        if parts:
            for owners, part in zip(groups.values(), await await_parts(parts), strict=True):
                for index, done in zip(owners, part, strict=True):
                    completed[index] = no_failure_below(self, done)
        return completed


class List:
    """A list: the items of all lists are completed together, then each list gets its own items back."""

    def __init__(self, item: Shape, *, nullable: bool) -> None:
        self.item = item
        self.nullable = nullable
        self.suspends = item.suspends

    async def complete(self, run: Run, field: "PlannedField", values: list[Any], place: Place) -> list[Any]:
        """Complete all items. If an item fails that must not be null, its whole list fails."""
        if set(map(type, values)) <= {list}:
            owners: Sequence[int] = range(len(values))
            lists, completed = values, [_UNKNOWN] * len(values)
        else:
            owners, lists, completed = await self._unpack(run, field, values, place)
        lengths = list(map(len, lists))
        items = lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))
        before = len(run.failures)
        inside = ItemPlace(place, owners, lengths, nullable=self.item.nullable)
        made = self.item.complete(run, field, items, inside) if items else []
        done = iter(made if isinstance(made, list) else await made)
        may_have_failed = len(run.failures) != before and not self.item.nullable
        for owner, length in zip(owners, lengths, strict=True):
            part = list(islice(done, length))
            failed = may_have_failed and any(item is FAILED for item in part)
            completed[owner] = (None if self.nullable else FAILED) if failed else part
        return completed

    async def _unpack(
        self, run: Run, field: "PlannedField", values: list[Any], place: Place
    ) -> tuple[list[int], list[list[Any]], list[Any]]:
        """Return which values are lists, these lists, and the results for the other values."""
        if has_awaitables(values):
            values = await await_values(run.pace, values)
        owners, lists, completed = [], [], []
        for index, value in enumerate(values):
            instead = check_presence(self, run, field, value, place, index)
            if instead is _UNKNOWN:
                try:
                    lists.append(await _read_items(field, value))
                    owners.append(index)
                except Exception as error:  # noqa: BLE001 - whatever an iterator raises is an error of the field
                    instead = run.fail(place, index, field.nodes, error, nullable=self.nullable)
            completed.append(instead)
        return owners, lists, completed


async def _read_items(field: "PlannedField", value: Any) -> list[Any]:
    if hasattr(value, "__aiter__"):
        return [item async for item in value]
    if not is_iterable(value):
        raise GraphQLError(f"Expected Iterable, but did not find one for field '{field.parent_type}.{field.name}'.")
    return list(value)


class RuntimeTypes:
    """Remembers the object type of each class of values in an abstract type, and the classes that a type accepts."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, type], GraphQLObjectType] = {}
        self._accepted: dict[str, set[type]] = {}

    def list_accepted_classes(self, type_: GraphQLObjectType) -> set[type]:
        """Return the classes that a type is known to accept; the set grows."""
        return self._accepted.setdefault(type_.name, set())

    async def find(
        self,
        run: Run,
        field: "PlannedField",
        abstract: GraphQLAbstractType,
        details: list[FieldDetails],
        value: Any,
    ) -> GraphQLObjectType:
        """Return the object type of a value. Raises graphql-core's errors."""
        key = (abstract.name, type(value))
        found = self._found.get(key)
        if found is None:
            info = make_raw_info(run, field)
            name = (abstract.resolve_type or default_type_resolver)(value, info, abstract)
            if is_awaitable_class(type(name)):
                name = await cast("Awaitable[Any]", name)
            found = run.core.ensure_valid_runtime_type(name, abstract, details, info, value)
            await accept_class(run, field, found, self.list_accepted_classes(found), details, value)
            self._found[key] = found
        return found


async def accept_class(
    run: Run,
    field: "PlannedField",
    type_: GraphQLObjectType,
    accepted: set[type],
    details: list[FieldDetails],
    value: Any,
) -> None:
    """Call `is_type_of` for a class that was not seen before. Raises graphql-core's error if the type refuses it."""
    if type(value) in accepted:
        return
    if type_.is_type_of is not None:
        answer: Any = type_.is_type_of(value, make_raw_info(run, field))
        if not (await answer if is_awaitable_class(type(answer)) else answer):
            raise invalid_return_type_error(type_, value, details)
    accepted.add(type(value))


def check_presence(shape: Shape, run: Run, field: "PlannedField", value: Any, place: Place, index: int) -> Any:
    """Return the result for an exception or a null; ``_UNKNOWN`` for any other value.

    An exception fails, and so does a null where null is forbidden.
    """
    if isinstance(value, Exception):
        return run.fail(place, index, field.nodes, value, nullable=shape.nullable)
    if value is None or value is Undefined:
        if shape.nullable:
            return None
        error = TypeError(f"Cannot return null for non-nullable field {field.parent_type}.{field.name}.")
        return run.fail(place, index, field.nodes, error, nullable=False)
    return _UNKNOWN


def no_failure_below(shape: Shape, done: Any) -> Any:
    """Replace failures by null if this position may be null, so that they do not go further up."""
    return None if done is FAILED and shape.nullable else done


async def complete_distinct(
    run: Run, selection: "Selection", values: list[Any], owners: Sequence[int], place: Place
) -> list[Any]:
    """Complete each object once, even if it stands in the list several times.

    ``owners`` are their indexes at the place.
    """
    distinct = dict(zip(map(id, values), values, strict=True))
    if len(distinct) == len(values) == len(owners) and isinstance(owners, range):
        return await selection.complete(run, values, place)
    numbers = {identity: number for number, identity in enumerate(distinct)}
    chosen = [numbers[id(value)] for value in values]
    done = await selection.complete(run, list(distinct.values()), ChosenPlace(place, owners, chosen))
    return [done[number] for number in chosen]
