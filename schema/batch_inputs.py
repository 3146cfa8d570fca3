"""Build the objects of inputs quickly.

The items of a batch are built in slices, so that the process serves other requests. strawberry looks up the names and
types of all fields again for each input. Here they are looked up once for a type. The items of a batch are only wrapped
when the arguments are read; `guarded` converts them, some in each turn of the event loop.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import MISSING
from functools import partial
from typing import Any, NamedTuple

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLScalarType, GraphQLSchema, get_nullable_type
from strawberry.relay import GlobalID
from strawberry.types.arguments import InputContext
from strawberry.types.base import StrawberryMaybe, StrawberryObjectDefinition, StrawberryOptional, has_object_definition

from schema.batch_items import INPUT, ITEMS

SLICE_INPUTS = 20
"""Items of a batch that are converted in one turn of the event loop, a few milliseconds."""

_DEPTH_OF_ITEMS = 3
"""The length of an item's path: the argument, `items`, the position."""


class _Field(NamedTuple):
    """A field of an input: its name in Python and in the API, and its type."""

    python_name: str
    name: str
    type_: Any
    is_plain: bool
    """Whether its values are single values that graphql-core has converted already."""
    nested: StrawberryObjectDefinition | None
    """The definition of its input type; None if it is no input, or a list of inputs."""


class _Plan(NamedTuple):
    """How an input is built: its fields, and the values of fields without a default."""

    absent: Mapping[str, None]
    fields: tuple[_Field, ...]


class PendingItem(NamedTuple):
    """An item of a batch that is not converted yet."""

    plan: _Plan
    type_: type
    given: Mapping[str, Any]
    context: InputContext

    def convert(self) -> Any:
        """Return the item as an input of its type."""
        return _build(self.plan, self.type_, self.given, self.context)


def prepare_inputs(schema: GraphQLSchema) -> None:
    """Plan each input type of a schema once, and build its inputs by that plan."""
    for type_ in schema.type_map.values():
        if not isinstance(type_, GraphQLInputObjectType):
            continue
        definition = type_.extensions.get("strawberry-definition")
        if isinstance(definition, StrawberryObjectDefinition) and definition.from_input is None:
            definition.from_input = partial(_build_or_wait, _plan(type_, definition))


def _plan(type_: GraphQLInputObjectType, definition: StrawberryObjectDefinition) -> _Plan:
    names = {field.extensions["strawberry-definition"].python_name: name for name, field in type_.fields.items()}
    fields = definition.fields
    absent = [one for one in fields if one.default_value is MISSING and one.default_factory is MISSING]
    planned = []
    for one in fields:
        name, kind = names[one.python_name], one.resolve_type(type_definition=definition)
        is_leaf = isinstance(get_nullable_type(type_.fields[name].type), GraphQLScalarType | GraphQLEnumType)
        is_maybe = isinstance(kind, StrawberryMaybe)
        inner = kind.of_type if isinstance(kind, StrawberryOptional) and not is_maybe else kind
        nested = inner.__strawberry_definition__ if has_object_definition(inner) else None
        is_plain = is_leaf and not is_maybe and inner is not GlobalID
        planned.append(_Field(one.python_name, name, kind if nested is None else inner, is_plain, nested))
    return _Plan({one.python_name: None for one in absent}, tuple(planned))


def _build_or_wait(plan: _Plan, type_: type, given: Mapping[str, Any], context: InputContext) -> Any:
    path = context.path
    if len(path) == _DEPTH_OF_ITEMS and path[:2] == (INPUT, ITEMS):
        return PendingItem(plan, type_, given, context)
    return _build(plan, type_, given, context)


def _build(plan: _Plan, type_: type, given: Mapping[str, Any], context: InputContext) -> Any:
    """Build an input as strawberry does: an absent field keeps its default, or is None without a default."""
    values: dict[str, Any] = dict(plan.absent)
    for python_name, name, field_type, is_plain, nested in plan.fields:
        if name not in given:
            continue
        value = given[name]
        if is_plain or (value is None and nested is not None):
            values[python_name] = value
        elif nested is not None and nested.from_input is not None:
            values[python_name] = nested.from_input(field_type, value, _below(context, name))
        else:
            values[python_name] = context.convert(value, field_type, name)
    return type_(**values)


def _below(context: InputContext, name: str) -> InputContext:
    """Return the context of an input that a field holds."""
    return InputContext(context.info, context.config, context.scalar_registry, (*context.path, name))


async def convert_items(given: Any) -> None:
    """Convert the items of an input that has items. The event loop gets a turn after each slice."""
    items = getattr(given, ITEMS, None)
    if not isinstance(items, list):
        return
    for number, item in enumerate(items, 1):
        if isinstance(item, PendingItem):
            items[number - 1] = item.convert()
        if number % SLICE_INPUTS == 0:
            await asyncio.sleep(0)
