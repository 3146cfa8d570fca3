"""The cost of introspection, measured with the sizes of this schema: its lists are as long as the schema.

One usual introspection query costs `INTROSPECTION_COST`, and every other one in proportion to it. So an operation can
read the schema once, and not fifty times.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLSchema,
    get_introspection_query,
    is_abstract_type,
    is_interface_type,
    is_object_type,
)

INTROSPECTION_COST = 18_000
"""The cost of the usual introspection query."""

USUAL_QUERY = get_introspection_query(
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
    one_of=True,
)
"""The query with which tools read the whole schema, with all its options."""

_INNER_TYPES = 0.5
"""The average number of inner types (`ofType`) of a type: lists and non-null types have one, others have none."""


class IntrospectionSizes(NamedTuple):
    """The average lengths of the lists of introspection.

    `one_type` is how much more than the average a type may hold if it is looked up by name: it may be the largest one,
    and its fields lead to types with fields.
    """

    lists: Mapping[tuple[str, str], float]
    one_type: float


@lru_cache(maxsize=8)
def introspection_sizes(schema: GraphQLSchema) -> IntrospectionSizes:
    """Return the sizes of a schema's lists."""
    types = list(schema.type_map.values())
    with_fields = [type_ for type_ in types if is_object_type(type_) or is_interface_type(type_)]
    fields = [len(type_.fields) for type_ in with_fields]
    inputs = [len(type_.fields) for type_ in types if isinstance(type_, GraphQLInputObjectType)]
    values = [len(type_.values) for type_ in types if isinstance(type_, GraphQLEnumType)]
    arguments = sum(len(field.args) for type_ in with_fields for field in type_.fields.values())
    directives = schema.directives
    total = len(types)
    lists = {
        ("__Schema", "types"): float(total),
        ("__Schema", "directives"): float(len(directives)),
        ("__Type", "fields"): sum(fields) / total,
        ("__Type", "inputFields"): sum(inputs) / total,
        ("__Type", "enumValues"): sum(values) / total,
        ("__Type", "interfaces"): sum(len(type_.interfaces) for type_ in with_fields) / total,
        ("__Type", "possibleTypes"): (
            sum(len(schema.get_possible_types(type_)) for type_ in types if is_abstract_type(type_)) / total
        ),
        ("__Type", "ofType"): _INNER_TYPES,
        ("__Field", "args"): arguments / max(1, sum(fields)),
        ("__Directive", "args"): sum(len(directive.args) for directive in directives) / max(1, len(directives)),
    }
    largest, average = max(fields, default=1), max(1, sum(fields)) / total
    return IntrospectionSizes(lists, largest / average * total / max(1, len(fields)))
