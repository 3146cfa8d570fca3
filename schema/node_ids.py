"""Opaque global ids: which type and which row. Malformed, unknown and foreign ids all lead nowhere, alike."""

import base64
import binascii
from typing import NamedTuple
from uuid import UUID

import strawberry

from loyalty.rules.errors import NotFound

MAX_ID_LENGTH = 120

_WORDS = {"EarningRule": "earning rule", "ApiToken": "API token"}
"""What a refusal calls a type whose name is more than one word: the same as the use cases call it."""


class NodeId(NamedTuple):
    """What a global id names."""

    type_name: str
    id: UUID


def encode_id(type_name: str, row_id: UUID) -> strawberry.ID:
    """The global id of a row."""
    return strawberry.ID(base64.urlsafe_b64encode(f"{type_name}:{row_id}".encode()).decode().rstrip("="))


def decode_id(text: str) -> NodeId | None:
    """What a global id names, or None when it is not one of ours, to the letter."""
    if len(text) > MAX_ID_LENGTH:
        return None
    try:
        type_name, _, row_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(":")
        node = NodeId(type_name, UUID(row_id))
    except (ValueError, binascii.Error):
        return None
    return node if encode_id(*node) == text else None


def row_id_of(text: str, type_name: str, *path: str) -> UUID:
    """The row a global id of this type names; raises NotFound for anything else."""
    node = decode_id(text)
    if node is None or node.type_name != type_name:
        raise NotFound(_WORDS.get(type_name, type_name.lower()), path)
    return node.id
