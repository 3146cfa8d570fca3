"""Objects with an opaque global id, and the rows that each type reads."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

from schema.node_ids import encode_id

ROWS: dict[Callable[..., bool], type] = {}
"""The rows that types read, by the function that checks a row for GraphQL."""

Row = TypeVar("Row")
Shape = TypeVar("Shape")


@strawberry.interface(description="An object with a global id. More types may come.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque; the same for as long as the object exists.")


def reads(row: type) -> Any:
    """Say which row a type reads. The class sets ``is_type_of`` to the result."""

    def is_type_of(cls: type, value: Any, _info: Any) -> bool:
        return isinstance(value, (row, cls))

    ROWS[is_type_of] = row
    return classmethod(is_type_of)


def row_of(_kind: type[Row], shape: object) -> Row:
    """Return ``self`` in a field of a type as what it is: the row that the type reads."""
    return cast("Row", shape)


def node_id(type_name: str, attribute: str = "id") -> Any:
    """Declare the global id of a type, made of its row's own id."""

    def resolve(root: Any) -> strawberry.ID:
        return encode_id(type_name, getattr(root, attribute))

    return strawberry.field(resolver=resolve, description="Opaque; the same for as long as the object exists.")


def show_row(_shape: type[Shape], row: object) -> Shape:
    """Return a row as the type that reads it. A test compares the fields of each type with its row."""
    return cast("Shape", row)


def show_row_if_any(_shape: type[Shape], row: object | None) -> Shape | None:
    """Return a row that may be None as the type that reads it."""
    return cast("Shape | None", row)


def show_rows(_shape: type[Shape], rows: object) -> list[Shape]:
    """Return a list of rows as the type that reads them."""
    return cast("list[Shape]", rows)
