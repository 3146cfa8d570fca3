"""Let a wrong value in an item of a batch refuse that item only, and not the whole request.

A wrong value is an unknown value of an enum, a null, or a number in place of a text. GraphQL refuses the whole request
for such a value. So this module reads the items before graphql-core reads the other variables. It puts an
`UnreadableValue` in place of each wrong value, and the batch refuses that item with its path. An unknown field name
still refuses the whole request: it is a mistake in the client's program. Reading the largest batch takes 0.2 s, so the
event loop gets a turn after each slice.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    coerce_input_value,
    get_named_type,
    get_nullable_type,
    is_required_input_field,
    type_from_ast,
)
from graphql.execution.values import VariableValues
from graphql.utilities.coerce_input_value import coerce_default_value

from loyalty.rules.text import UNSTORABLE, is_storable
from schema.masking import MAX_ERRORS
from schema.scalars import UnreadableValue

ITEMS = "items"

INPUT = "input"
"""The only argument of a mutation: paths in its ``userErrors`` begin below it."""

SLICE_ITEMS = 20
"""Items that are read in one turn of the event loop, a few milliseconds."""

MAX_VALUES_NAMED = 12
"""The refusal of a value lists the values of its enum, unless the enum has more values than this."""


class ReadVariables(dict[str, Any]):
    """The variables of a request as the client sent them, together with the items of batches that are read already."""

    def __init__(self, sent: Mapping[str, Any], batches: Mapping[str, "_Batch"]) -> None:
        super().__init__(sent)
        self._batches = batches

    @property
    def unread(self) -> dict[str, Any]:
        """Return the variables that graphql-core has to read.

        The items of a batch are left out. If some items of a batch are refused, these items are kept, so that
        graphql-core reports them.
        """
        return {**self, **{name: batch.put(self[name], batch.unread) for name, batch in self._batches.items()}}

    def complete(self, values: VariableValues) -> None:
        """Put the items that are read already into the values that graphql-core has read."""
        for name, batch in self._batches.items():
            values.coerced[name] = batch.put(values.coerced[name], batch.items)
            values.sources[name] = values.sources[name]._replace(value=self[name])


class _Batch(NamedTuple):
    """The items of one batch: ``items`` are read already, ``unread`` are for graphql-core."""

    is_list: bool
    """True if the variable is the list of items; False if it is the input that holds the list."""
    items: list[Any]
    unread: list[Any]

    def put(self, value: Any, items: list[Any]) -> Any:
        """Return the value of the variable with other items in it."""
        return items if self.is_list else {**value, ITEMS: items}


class RefusedItem(Exception):
    """An item has an unknown field, or a @oneOf input in it has not exactly one field. It cannot be marked."""


async def read_batches(
    schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Read the items of all batches in the variables.

    A wrong value in an item is marked as an `UnreadableValue`. Each item is read once, and the event loop gets a turn
    after each slice of items. If no variable holds a batch, the variables are returned unchanged. Only mutations take
    batches.
    """
    if operation.operation is not OperationType.MUTATION:
        return variables
    batches: dict[str, _Batch] = {}
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        found = _find_batch(schema, type_from_ast(schema, definition.type), variables.get(name))
        if found is not None:
            item_type, items, is_list = found
            batches[name] = await _read_items(item_type, items, is_list=is_list)
    return ReadVariables(variables, batches) if batches else variables


async def _read_items(item_type: Any, items: list[Any], *, is_list: bool) -> _Batch:
    """Read the items of one batch.

    If items are refused, the batch holds no items that are read. It holds the refused items for graphql-core, each in
    its place, with accepted values in the other places. So graphql-core reports every refused item.
    """
    read: list[Any] = []
    refused: dict[int, Any] = {}
    for number, item in enumerate(items, 1):
        try:
            read.append(read_item(item_type, item))
        except RefusedItem:
            refused[number - 1] = item
            if len(refused) > MAX_ERRORS:
                break
        if number % SLICE_ITEMS == 0:
            await asyncio.sleep(0)
    if not refused:
        return _Batch(is_list, read, [])
    filling = _stand_in(item_type, "")
    return _Batch(is_list, [], [refused.get(index, filling) for index in range(max(refused) + 1)])


def let_marks_pass(schema: GraphQLSchema) -> None:
    """Let every scalar and enum of a schema accept an `UnreadableValue` and return it unchanged.

    The built-in scalars of GraphQL are shared by all schemas, so each type is changed only once. The scalar String also
    marks texts that cannot be stored: such a text refuses its own field or item, and not the request.
    """
    mark_texts(schema)
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType) and not hasattr(type_, _MARKED):
            type_.coerce_input_value = partial(_read_unless_marked, type_.coerce_input_value)  # type: ignore[method-assign]
            setattr(type_, _MARKED, True)


_MARKED = "treue_hands_marks_on"


def mark_texts(schema: GraphQLSchema) -> None:
    """Let the scalar String return an `UnreadableValue` for a text that PostgreSQL cannot store."""
    string = schema.type_map.get(GraphQLString.name)
    if isinstance(string, GraphQLScalarType) and not hasattr(string, _MARKED):
        string.coerce_input_value = partial(_read_text, string.coerce_input_value)


def _read_text(read: Callable[..., Any], value: Any, *arguments: Any) -> Any:
    text = read(value, *arguments)
    return text if is_storable(text) else UnreadableValue(value, UNSTORABLE)


def _read_unless_marked(read: Callable[..., Any], value: Any, *arguments: Any) -> Any:
    return value if isinstance(value, UnreadableValue) else read(value, *arguments)


@cache
def _batches(schema: GraphQLSchema) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the inputs that hold a batch, and the names of their items' types."""
    inputs: set[str] = set()
    items: set[str] = set()
    for field in schema.mutation_type.fields.values() if schema.mutation_type else ():
        given = get_named_type(field.args[INPUT].type) if INPUT in field.args else None
        if not isinstance(given, GraphQLInputObjectType) or ITEMS not in given.fields:
            continue
        item = get_named_type(given.fields[ITEMS].type)
        if isinstance(item, GraphQLInputObjectType):
            inputs.add(given.name)
            items.add(item.name)
    return frozenset(inputs), frozenset(items)


def _find_batch(schema: GraphQLSchema, type_: Any, value: Any) -> tuple[Any, list[Any], bool] | None:
    """Find the batch in the value of a variable; None if there is none.

    Returns the type of an item, the items, and whether the variable is the list itself (True) or the input that holds
    it.
    """
    inputs, items = _batches(schema)
    type_ = get_nullable_type(type_)
    if isinstance(type_, GraphQLList) and isinstance(value, list) and get_named_type(type_).name in items:
        return type_.of_type, value, True
    if isinstance(type_, GraphQLInputObjectType) and type_.name in inputs and isinstance(value, dict):
        within = _find_batch(schema, type_.fields[ITEMS].type, value.get(ITEMS))
        return None if within is None else (*within[:2], False)
    return None


def read_item(type_: Any, value: Any) -> Any:
    """Read a value as `coerce_input_value` of graphql-core does, but mark each value that it would refuse.

    Raises `RefusedItem` for a mistake that cannot be marked.
    """
    if isinstance(type_, GraphQLNonNull):
        return _read_stand_in(type_, "must not be null") if value is None else read_item(type_.of_type, value)
    if value is None:
        return None
    if isinstance(type_, GraphQLList):
        return [read_item(type_.of_type, item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(type_, GraphQLInputObjectType):
        return _read_object(type_, value)
    try:
        return type_.coerce_input_value(value)
    except GraphQLError as error:
        return UnreadableValue(value, _why_unreadable(type_, error))


def _read_object(type_: GraphQLInputObjectType, value: Any) -> Any:
    """Read the fields of an input object, and mark a value that is no object or a required field that is missing.

    Raises `RefusedItem` for an unknown field, and for a @oneOf input that has not exactly one field.
    """
    if not isinstance(value, dict):
        return _read_stand_in(type_, "must be an object")
    fields = type_.fields
    if not value.keys() <= fields.keys():
        raise RefusedItem
    if type_.is_one_of and (len(value) != 1 or None in value.values()):
        raise RefusedItem
    read: dict[str, Any] = {}
    for name, field in fields.items():
        if name in value:
            read[field.out_name or name] = read_item(field.type, value[name])
        elif is_required_input_field(field):
            read[field.out_name or name] = _read_stand_in(field.type, "must be given")
        elif (default := coerce_default_value(field)) is not Undefined:
            read[field.out_name or name] = default
    try:
        return type_.out_type(read)
    except GraphQLError:  # strawberry asks here whether a @oneOf input has one field
        raise RefusedItem from None


def _read_stand_in(type_: Any, reason: str) -> Any:
    return coerce_input_value(_stand_in(type_, reason), type_)


def _why_unreadable(type_: Any, error: GraphQLError) -> str:
    if isinstance(type_, GraphQLEnumType):
        return _why_no_value_of(type_)
    return f"is no {type_.name}: {error.message}"


def _why_no_value_of(type_: GraphQLEnumType) -> str:
    if len(type_.values) > MAX_VALUES_NAMED:
        return f"is no value of {type_.name}"
    return f"must be one of {', '.join(type_.values)}"


def _stand_in(type_: Any, reason: str, above: int = 0) -> Any:
    """Return a value that GraphQL accepts for a type, in place of a value that it would refuse.

    Its leaf is an ``UnreadableValue`` that carries the reason. ``above`` is how many levels above the leaf the refused
    value stands, such as a list or an object.
    """
    type_ = get_nullable_type(type_)
    if isinstance(type_, GraphQLList):
        return [_stand_in(type_.of_type, reason, above + 1)]
    if isinstance(type_, GraphQLInputObjectType):
        required = {name: field for name, field in type_.fields.items() if is_required_input_field(field)}
        fields = required or dict([next(iter(type_.fields.items()))])
        return {name: _stand_in(field.type, reason, above + 1) for name, field in fields.items()}
    return UnreadableValue(None, reason, above)
