"""Objects with an opaque global id, and how a type says which rows it reads."""

from typing import Any

import strawberry

from schema.node_ids import encode_id


@strawberry.interface(description="An object with a global id. More types may come.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque; the same for as long as the object exists.")


def reads(row: type) -> Any:
    """Tell GraphQL which rows a type shows; its class sets ``is_type_of`` to the result."""

    def is_type_of(cls: type, value: Any, _info: Any) -> bool:
        return isinstance(value, (row, cls))

    return classmethod(is_type_of)


def node_id(type_name: str, attribute: str = "id") -> Any:
    """Declare the global id of a type over its row's own id."""

    def resolve(root: Any) -> strawberry.ID:
        return encode_id(type_name, getattr(root, attribute))

    return strawberry.field(resolver=resolve, description="Opaque; the same for as long as the object exists.")


def shown(row: Any) -> Any:
    """Hand a row to GraphQL as the type that reads it. The type checker cannot know; the schema's tests do."""
    return row
