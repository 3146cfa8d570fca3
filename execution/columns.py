"""Columns: convert the values of one field for a whole list of rows, in one step if possible.

A column looks at the classes of its values. If all values have one class that needs no work, or one step for all, that
is all. Otherwise graphql-core's own function of the scalar or enum converts each value, and writes its own errors.
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLEnumType, GraphQLLeafType
from graphql.type.scalars import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT

Convert = Callable[[list[Any]], list[Any] | None]
"""Converts values of one class for the answer; returns None if a value must be converted alone."""

LeafColumns = Mapping[type, Convert | None]
"""For each exact class of values the function that converts them; None if they need no conversion."""


def convert_ints(values: list[Any]) -> list[Any] | None:
    """Return whole numbers unchanged if GraphQL's Int can hold them all; else None."""
    return values if min(values) >= GRAPHQL_MIN_INT and max(values) <= GRAPHQL_MAX_INT else None


def convert_distinct(serialize: Callable[[Any], Any]) -> Convert:
    """Return a function that serializes each distinct value once: for scalars that check every value."""

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
"""The columns of GraphQL's own scalars. Float has none: each value is converted alone."""


def make_enum_columns(enum: GraphQLEnumType) -> LeafColumns:
    """Return the columns of an enum, for its members and for the plain values in rows."""
    values = [value.value for value in enum.values.values()]
    members = list(getattr(enum, "wrapped_cls", ()))
    columns: dict[type, Convert | None] = {}
    for kind in {type(value) for value in (*values, *members)}:
        names = {value: enum.coerce_output_value(value) for value in (*values, *members) if type(value) is kind}
        columns[kind] = _convert_to_names(names)
    return columns


def _convert_to_names(names: Mapping[Any, str]) -> Convert:
    """Return a function that replaces members or values of an enum by their names in GraphQL.

    ``names`` has the name of each. The function returns None if a value is not in it: then each value is converted
    alone, with graphql-core's error for the wrong one.
    """

    def convert(values: list[Any]) -> list[Any] | None:
        try:
            return [names[value] for value in values]
        except (KeyError, TypeError):
            return None

    return convert


def find_columns(leaf: GraphQLLeafType, given: Mapping[str, LeafColumns]) -> LeafColumns:
    """Return the columns of a scalar or enum; none for a scalar without given columns."""
    if isinstance(leaf, GraphQLEnumType):
        return make_enum_columns(leaf)
    return given.get(leaf.name) or STANDARD_COLUMNS.get(leaf.name) or {}
