"""A type shows a row: each attribute and loader that its fields name is there. No request has to ask for the field."""

import inspect
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
from graphql import GraphQLObjectType

from schema.loaders import LOADERS
from schema.root import treue_schema
from schema.types.node import ROWS

ATTRIBUTES = ("attribute", "key", "kind", "name")
"""What the functions that declare fields call the attribute of the row that they read."""


def _shapes() -> dict[str, tuple[Any, type]]:
    """Return the types that say which row they read, with that row."""
    types = treue_schema()._schema.type_map.values()  # noqa: SLF001 - no other way
    definitions = [
        one.extensions["strawberry-definition"]
        for one in types
        if isinstance(one, GraphQLObjectType) and "strawberry-definition" in one.extensions
    ]
    read = [(one, getattr(one.origin, "is_type_of", None)) for one in definitions]
    return {one.name: (one, ROWS[tells.__func__]) for one, tells in read if tells is not None}


SHAPES = _shapes()


def _attributes_of(row: type) -> set[str]:
    """Return what can be read of a row: its fields, and what its class computes."""
    own = {name for name, _ in inspect.getmembers(row) if not name.startswith("_")}
    return own | set(get_type_hints(row)) | set(getattr(row, "__dataclass_fields__", ()))


def _names_in(resolver: Any) -> Iterator[tuple[str, str]]:
    """Yield each name that a declared resolver uses, and whether it is an attribute or a loader."""
    for variable, value in inspect.getclosurevars(resolver).nonlocals.items():
        if variable == "loader":
            yield "loader", value
        elif variable == "attributes":
            yield from (("attribute", one) for one in value)
        elif variable in ATTRIBUTES and isinstance(value, str):
            yield "attribute", value


def _names_read(definition: Any) -> Iterator[tuple[str, str, str]]:
    """Yield what the fields of a type read: the field, what kind of name it is, and the name."""
    for field in definition.fields:
        if field.base_resolver is None:
            yield field.python_name, "attribute", field.python_name
        else:
            for kind, name in _names_in(field.base_resolver.wrapped_func):
                yield field.python_name, kind, name


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_type_reads_what_its_row_has(name: str) -> None:
    definition, row = SHAPES[name]
    known = {"attribute": _attributes_of(row), "loader": set(LOADERS)}
    assert [one for one in _names_read(definition) if one[2] not in known[one[1]]] == []


def test_all_ways_to_declare_a_field_are_looked_into() -> None:
    """A type with each of them: an attribute, a global id, another name, a relation, and who did it."""
    definition, _ = SHAPES["Redemption"]
    read = {(field, kind, name) for field, kind, name in _names_read(definition)}
    assert len(SHAPES) > 30
    assert {("points", "attribute", "points"), ("id", "attribute", "id")} <= read
    assert {kind for _, kind, _ in read} == {"attribute", "loader"}
    assert {name for _, kind, name in read if kind == "attribute"} >= {"customer_id", "actor", "actor_kind"}
