"""Let a value that is no GraphQL for its type harm its own item of a batch only.

Such a value is a wrong one of an enum, null, or a number for a text. GraphQL refuses the whole request for it. So
when the variables of a request cannot be read, the items of its batches are looked through: what is wrong becomes an
`UnreadableValue` in its place, and the batch refuses that item with its path. Names of fields that are unknown still
refuse the whole: they are mistakes of the program that sends.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    is_required_input_field,
    type_from_ast,
)

from schema.scalars import UnreadableValue

ITEMS = "items"

INPUT = "input"
"""The only argument of a mutation: paths in its ``userErrors`` begin below it."""

MAX_VALUES_NAMED = 12
"""Of an enum with more values, the refusal names none."""


def mark_unreadable_items(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None, variables: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the variables with everything marked that is wrong inside items of batches; None when nothing is."""
    operation = _find_operation(document, operation_name)
    if operation is None:
        return None
    marked = dict(variables)
    for definition in operation.variable_definitions or ():
        name, type_ = definition.variable.name.value, type_from_ast(schema, definition.type)
        if name in marked:
            marked[name] = _mark_batch(schema, type_, marked[name])
    return marked if any(marked[name] is not variables[name] for name in marked) else None


def let_marks_pass(schema: GraphQLSchema) -> None:
    """Let every scalar and enum of a schema hand on what is marked already. The scalars of GraphQL are everybody's."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType) and not hasattr(type_, _MARKED):
            type_.coerce_input_value = partial(_read_unless_marked, type_.coerce_input_value)  # type: ignore[method-assign]
            setattr(type_, _MARKED, True)


_MARKED = "treue_hands_marks_on"


def _read_unless_marked(read: Callable[..., Any], value: Any, *arguments: Any) -> Any:
    return value if isinstance(value, UnreadableValue) else read(value, *arguments)


def _find_operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode | None:
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    return next((one for one in operations if name is None or (one.name and one.name.value == name)), None)


@cache
def _batches(schema: GraphQLSchema) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the inputs that hold a batch, and of their items."""
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


def _mark_batch(schema: GraphQLSchema, type_: Any, value: Any) -> Any:
    inputs, items = _batches(schema)
    type_ = _nullable(type_)
    if isinstance(type_, GraphQLList) and isinstance(value, list) and get_named_type(type_).name in items:
        return _mark_list(type_.of_type, value)
    if (
        isinstance(type_, GraphQLInputObjectType)
        and type_.name in inputs
        and isinstance(value, dict)
        and ITEMS in value
    ):
        batch = _mark_batch(schema, type_.fields[ITEMS].type, value[ITEMS])
        return value if batch is value[ITEMS] else {**value, ITEMS: batch}
    return value


def _mark(type_: Any, value: Any) -> Any:
    """The value itself when all of it can be read."""
    if isinstance(type_, GraphQLNonNull):
        return _stand_in(type_, "must not be null") if value is None else _mark(type_.of_type, value)
    if value is None:
        return None
    if isinstance(type_, GraphQLList):
        return _mark_list(type_.of_type, value)
    if isinstance(type_, GraphQLInputObjectType):
        return _mark_object(type_, value)
    reason = _why_unreadable(type_, value)
    return value if reason is None else UnreadableValue(value, reason)


def _mark_list(item_type: Any, value: Any) -> Any:
    if not isinstance(value, list):
        return _mark(item_type, value)
    marked = [_mark(item_type, item) for item in value]
    return marked if any(new is not old for new, old in zip(marked, value, strict=True)) else value


def _mark_object(type_: GraphQLInputObjectType, value: Any) -> Any:
    if not isinstance(value, dict):
        return _stand_in(type_, "must be an object")
    marked = {
        name: _mark(type_.fields[name].type, given) if name in type_.fields else given for name, given in value.items()
    }
    for name, field in type_.fields.items():
        if name not in value and is_required_input_field(field):
            marked[name] = _stand_in(field.type, "must be given")
    same = len(marked) == len(value) and all(marked[name] is value[name] for name in value)
    return value if same else marked


def _why_unreadable(type_: Any, value: Any) -> str | None:
    try:
        type_.coerce_input_value(value)
    except GraphQLError as error:
        if isinstance(type_, GraphQLEnumType):
            return _why_no_value_of(type_)
        return f"is no {type_.name}: {error.message}"
    return None


def _why_no_value_of(type_: GraphQLEnumType) -> str:
    if len(type_.values) > MAX_VALUES_NAMED:
        return f"is no value of {type_.name}"
    return f"must be one of {', '.join(type_.values)}"


def _stand_in(type_: Any, reason: str, above: int = 0) -> Any:
    """A value that GraphQL reads as one of the type, with a mark for a place so many levels above its own."""
    type_ = _nullable(type_)
    if isinstance(type_, GraphQLList):
        return [_stand_in(type_.of_type, reason, above + 1)]
    if isinstance(type_, GraphQLInputObjectType):
        required = {name: field for name, field in type_.fields.items() if is_required_input_field(field)}
        fields = required or dict([next(iter(type_.fields.items()))])
        return {name: _stand_in(field.type, reason, above + 1) for name, field in fields.items()}
    return UnreadableValue(None, reason, above)


def _nullable(type_: Any) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_
