"""Get the values of a field for a whole list of objects, in one of six ways.

The way is chosen when a document is planned. An exception of a resolver takes the place of its value. Completing the
value makes it an error of the field.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from graphql import GraphQLField, GraphQLObjectType, default_field_resolver
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from execution.running import UNPLACED, Run, await_values, is_async

if TYPE_CHECKING:
    from execution.selections import PlannedField

RESOLVE_ALL = "resolve_all"
"""The key of a strawberry field's metadata under which a resolver for a whole list is found.

The resolver gets the objects and the ``strawberry.Info``. It returns a value or an exception for each object."""

_DEFINITION = "strawberry-definition"
"""The key under which strawberry keeps its own field in a field of graphql-core."""


class Resolver(Protocol):
    """Gets the values of one field."""

    suspends: bool
    """Whether getting the values may wait."""

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any] | Awaitable[list[Any]]:
        """Return the value of each row, or the exception in its place."""


class Constant:
    """Returns the same value for all rows: ``__typename``."""

    suspends = False

    def __init__(self, value: object) -> None:
        self.value = value

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any]:  # noqa: ARG002
        """Return the value, once for each row."""
        return [self.value] * len(rows)


class Attribute:
    """Returns an attribute of the row."""

    suspends = False

    def __init__(self, name: str) -> None:
        self.get = attrgetter(name)

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any]:  # noqa: ARG002
        """Return the attribute of each row."""
        try:
            return list(map(self.get, rows))
        except Exception:  # noqa: BLE001 - which row it is shows one by one
            return call_each(self.get, rows)


class Call:
    """Calls a function with the row, the info, or both. The field has no arguments in GraphQL."""

    suspends = False

    def __init__(self, call: Callable[[Any, Any], Any], *, needs_info: bool) -> None:
        self.call = call
        self.needs_info = needs_info

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any]:
        """Return the function's result for each row."""
        info = make_info(run, field) if self.needs_info else None
        call = self.call
        values = []
        for row in rows:
            try:
                values.append(call(row, info))
            except Exception as error:  # noqa: BLE001 - one row that fails is an error of its field
                values.append(error)
        return values


class AsyncCall(Call):
    """Calls a coroutine function in the same way."""

    suspends = True

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> Awaitable[list[Any]]:  # type: ignore[override]
        """Return the results of the coroutines, which run at the same time."""
        return await_values(run.pace, super().get_values(run, field, rows))


class CallForAll:
    """Calls a function once with all rows."""

    def __init__(self, call: Callable[[list[Any], Any], Any]) -> None:
        self.call = call
        self.suspends = is_async(call)

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any] | Awaitable[list[Any]]:
        """Return the function's result for each row."""
        info = make_info(run, field)
        if self.suspends:
            return self._get_later(rows, info)
        try:
            return _check_count(self.call(rows, info), rows)
        except Exception as error:  # noqa: BLE001 - it stands for every row
            return [error] * len(rows)

    async def _get_later(self, rows: list[Any], info: Any) -> list[Any]:
        try:
            return _check_count(await self.call(rows, info), rows)
        except Exception as error:  # noqa: BLE001 - it stands for every row
            return [error] * len(rows)


class Generic:
    """Calls graphql-core's resolve function of the field, with arguments that are read once for all rows.

    For all other fields.
    """

    suspends = True

    def __init__(self, definition: GraphQLField) -> None:
        self.resolve = definition.resolve or default_field_resolver

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any]:
        """Return the function's result for each row. If an argument cannot be read, all rows fail."""
        try:
            arguments = field.read_arguments(run)
        except Exception as error:  # noqa: BLE001 - it stands for every row
            return [error] * len(rows)
        info = make_raw_info(run, field)
        resolve = self.resolve
        return call_each(lambda row: resolve(row, info, **arguments), rows)


def call_each(call: Callable[[Any], Any], rows: Sequence[Any]) -> list[Any]:
    """Return the function's result for each row, or the exception that it raises."""
    values = []
    for row in rows:
        try:
            values.append(call(row))
        except Exception as error:  # noqa: BLE001 - one row that fails is an error of its field
            values.append(error)
    return values


def make_raw_info(run: Run, field: "PlannedField") -> Any:
    """Return graphql-core's info for a field of a whole list."""
    return run.core.build_resolve_info(field.definition, field.nodes, field.parent_type, UNPLACED)


def make_info(run: Run, field: "PlannedField") -> Any:
    """Return strawberry's info for a field of a whole list."""
    return Info(_raw_info=make_raw_info(run, field), _field=field.definition.extensions[_DEFINITION])


def choose_resolver(parent: GraphQLObjectType, definition: GraphQLField, name: str) -> Resolver:
    """Choose the resolver of a field."""
    if name == "__typename":
        return Constant(parent.name)
    field = definition.extensions.get(_DEFINITION)
    if not isinstance(field, StrawberryField) or not _is_plain(definition, field):
        return Generic(definition)
    if field.base_resolver is None:
        return Attribute(field.python_name)
    for_all = field.metadata.get(RESOLVE_ALL)
    if for_all is not None:
        return CallForAll(for_all)
    return _choose_call(field) or Generic(definition)


def _is_plain(definition: GraphQLField, field: StrawberryField) -> bool:
    """Return whether strawberry only calls the field's own function, without extensions and without arguments."""
    resolve = definition.resolve
    is_strawberrys = getattr(resolve, "__module__", "") == "strawberry.schema.schema_converter"
    has_default_mark = hasattr(resolve, "_is_default")
    is_usual_class = type(field).get_result is StrawberryField.get_result
    return is_strawberrys and has_default_mark and is_usual_class and not field.extensions and not definition.args


def _choose_call(field: StrawberryField) -> Resolver | None:
    """Return a direct call of the field's function; None if it takes anything except row and info by position."""
    resolver = field.base_resolver
    if resolver is None:
        return None
    info, *rows = (
        resolver.info_parameter,
        resolver.self_parameter,
        resolver.root_parameter,
        resolver.parent_parameter,
    )
    kinds = []
    for parameter in resolver.signature.parameters.values():
        if parameter.kind not in {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}:
            return None
        if info is not None and parameter.name == info.name:
            kinds.append("info")
        elif any(row is not None and parameter.name == row.name for row in rows):
            kinds.append("row")
        else:
            return None
    function: Any = resolver.wrapped_func
    calls: dict[tuple[str, ...], Callable[[Any, Any], Any]] = {
        (): lambda _row, _info: function(),
        ("row",): lambda row, _info: function(row),
        ("info",): lambda _row, info: function(info),
        ("row", "info"): function,
        ("info", "row"): lambda row, info: function(info, row),
    }
    call = calls.get(tuple(kinds))
    if call is None:
        return None
    return (AsyncCall if field.is_async else Call)(call, needs_info=info is not None)


def _check_count(values: Any, rows: list[Any]) -> list[Any]:
    found = list(values)
    if len(found) != len(rows):
        raise RuntimeError(f"a resolver for {len(rows)} rows gave {len(found)} values")
    return found
