"""Columns: the values of one field for a whole list of rows, turned into what is sent in one step.

A column looks at the classes of its values. When all have one class that needs no work, or one step for all of them,
it is done; otherwise graphql-core's own function of the scalar or enum sees each value, and words its own errors.
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLEnumType, GraphQLLeafType
from graphql.type.scalars import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT

Convert = Callable[[list[Any]], list[Any] | None]
"""Turns values of one class into what is sent; None when one of them needs to be looked at alone."""

LeafColumns = Mapping[type, Convert | None]
"""For each exact class of values what turns them into what is sent; None where they are sent as they are."""


def convert_ints(values: list[Any]) -> list[Any] | None:
    """Whole numbers that GraphQL's Int can hold, as they are."""
    return values if min(values) >= GRAPHQL_MIN_INT and max(values) <= GRAPHQL_MAX_INT else None


def convert_distinct(serialize: Callable[[Any], Any]) -> Convert:
    """Serialize each distinct value once: for scalars that look at every value, such as texts with a form."""

    def convert(values: list[Any]) -> list[Any] | None:
        done = {value: serialize(value) for value in set(values)}
        return None if None in done.values() else [done[value] for value in values]

    return convert


STANDARD_COLUMNS: Mapping[str, LeafColumns] = {
    "String": {str: None},
    "ID": {str: None},
    "Boolean": {bool: None},
    "Int": {int: convert_ints},
}
"""The columns of GraphQL's own scalars. Float has none: each value is looked at."""


def make_enum_columns(enum: GraphQLEnumType) -> LeafColumns:
    """Columns of an enum, for its members and for the bare values that stand in rows."""
    values = [value.value for value in enum.values.values()]
    members = list(getattr(enum, "wrapped_cls", ()))
    columns: dict[type, Convert | None] = {}
    for kind in {type(value) for value in (*values, *members)}:
        names = {value: enum.coerce_output_value(value) for value in (*values, *members) if type(value) is kind}
        columns[kind] = _convert_by_name(names)
    return columns


def _convert_by_name(names: Mapping[Any, str]) -> Convert:
    def convert(values: list[Any]) -> list[Any] | None:
        try:
            return [names[value] for value in values]
        except (KeyError, TypeError):
            return None

    return convert


def find_columns(leaf: GraphQLLeafType, given: Mapping[str, LeafColumns]) -> LeafColumns:
    """The columns of a scalar or enum; none for a scalar that nobody gave any."""
    if isinstance(leaf, GraphQLEnumType):
        return make_enum_columns(leaf)
    return given.get(leaf.name) or STANDARD_COLUMNS.get(leaf.name) or {}
