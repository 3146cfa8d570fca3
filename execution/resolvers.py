"""How the values of a field are got for a whole list of objects: one of six ways, chosen when a document is planned.

Whatever a resolver raises takes the place of its value: completing the value turns it into an error of the field.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from graphql import GraphQLField, GraphQLObjectType, default_field_resolver
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from execution.running import UNPLACED, Run, is_async, settle

if TYPE_CHECKING:
    from execution.selections import PlannedField

RESOLVE_ALL = "resolve_all"
"""The key of a strawberry field's metadata that holds a resolver for a whole list.

It is called with the objects and the ``strawberry.Info``; it gives a value or an exception for each, in their order.
"""

_DEFINITION = "strawberry-definition"
"""Where strawberry leaves its own field in a field of graphql-core."""


class Resolver(Protocol):
    """Gets the values of one field."""

    suspends: bool
    """Whether getting the values may wait for something."""

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any] | Awaitable[list[Any]]:
        """The value of each row, or the exception that took its place."""


class Constant:
    """The same value for all: ``__typename``."""

    suspends = False

    def __init__(self, value: object) -> None:
        self.value = value

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any]:  # noqa: ARG002
        """The value, once for each row."""
        return [self.value] * len(rows)


class Attribute:
    """An attribute of the row."""

    suspends = False

    def __init__(self, name: str) -> None:
        self.get = attrgetter(name)

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any]:  # noqa: ARG002
        """The attribute of each row."""
        try:
            return list(map(self.get, rows))
        except Exception:  # noqa: BLE001 - which row it is shows one by one
            return call_each(self.get, rows)


class Call:
    """A function that strawberry would call with the row, the info, or both, and with no arguments of GraphQL."""

    suspends = False

    def __init__(self, call: Callable[[Any, Any], Any], *, needs_info: bool) -> None:
        self.call = call
        self.needs_info = needs_info

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any]:
        """What the function gives for each row."""
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
    """The same with a coroutine function."""

    suspends = True

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> Awaitable[list[Any]]:  # type: ignore[override]
        """What the coroutines bring, all at the same time."""
        return settle(run.pace, super().get_values(run, field, rows))


class CallForAll:
    """A function that takes all rows at once."""

    def __init__(self, call: Callable[[list[Any], Any], Any]) -> None:
        self.call = call
        self.suspends = is_async(call)

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any] | Awaitable[list[Any]]:
        """What the function gives for each row."""
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
    """Anything else: graphql-core's resolve function of the field, with arguments that are read once for all rows."""

    suspends = True

    def __init__(self, definition: GraphQLField) -> None:
        self.resolve = definition.resolve or default_field_resolver

    def get_values(self, run: Run, field: "PlannedField", rows: list[Any]) -> list[Any]:
        """What the function gives for each row; an argument that cannot be read fails all of them."""
        try:
            arguments = field.read_arguments(run)
        except Exception as error:  # noqa: BLE001 - it stands for every row
            return [error] * len(rows)
        info = make_raw_info(run, field)
        resolve = self.resolve
        return call_each(lambda row: resolve(row, info, **arguments), rows)


def call_each(call: Callable[[Any], Any], rows: Sequence[Any]) -> list[Any]:
    """What a function gives for each row, or the exception that it raises."""
    values = []
    for row in rows:
        try:
            values.append(call(row))
        except Exception as error:  # noqa: BLE001 - one row that fails is an error of its field
            values.append(error)
    return values


def make_raw_info(run: Run, field: "PlannedField") -> Any:
    """graphql-core's info for a field of a whole list."""
    return run.core.build_resolve_info(field.definition, field.nodes, field.parent_type, UNPLACED)


def make_info(run: Run, field: "PlannedField") -> Any:
    """The info of strawberry for a field of a whole list."""
    return Info(_raw_info=make_raw_info(run, field), _field=field.definition.extensions[_DEFINITION])


def choose_resolver(parent: GraphQLObjectType, definition: GraphQLField, name: str) -> Resolver:
    """The way to get the values of a field."""
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
    """Whether strawberry only calls the field's own function: nothing is around it, and it takes no arguments."""
    resolve = definition.resolve
    is_strawberrys = getattr(resolve, "__module__", "") == "strawberry.schema.schema_converter"
    has_default_mark = hasattr(resolve, "_is_default")
    is_usual_class = type(field).get_result is StrawberryField.get_result
    return is_strawberrys and has_default_mark and is_usual_class and not field.extensions and not definition.args


def _choose_call(field: StrawberryField) -> Resolver | None:
    """A direct call of the field's function; None when it takes anything but the row and the info, by position."""
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
