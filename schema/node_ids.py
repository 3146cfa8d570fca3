"""Opaque global ids: which type and which row. Malformed, unknown and foreign ids all lead nowhere, alike.

Most rows have an id of their own. An item of the catalogue is known by its kind and external id, so its global id holds
these.
"""

import base64
import binascii
from typing import NamedTuple
from uuid import UUID

import strawberry

from loyalty.rules.errors import NotFound

MAX_ID_LENGTH = 1_500
"""Characters of a global id: an external id of 255 characters of four bytes each, in base64, fits."""

KEYED_TYPES = frozenset({"CatalogItem"})
"""Types whose rows are known by kind and external id."""

_WORDS = {
    "EarningRule": "earning rule",
    "ApiToken": "API token",
    "OauthClient": "OAuth client",
    "OidcIssuer": "OIDC issuer",
    "GiftCard": "gift card",
    "GiftCardGift": "gift",
    "GiftCardHold": "hold",
    "GiftCardProduct": "gift card product",
    "AuditEntry": "audit entry",
}
"""What a refusal calls a type whose name is more than one word: the same as the use cases call it."""


class RowKey(NamedTuple):
    """The natural key of a row without an id of its own."""

    kind: str
    external_id: str


class NodeId(NamedTuple):
    """What a global id names: a row by its id, or by its key for the types in ``KEYED_TYPES``."""

    type_name: str
    id: UUID | RowKey


def encode_id(type_name: str, row_id: UUID) -> strawberry.ID:
    """The global id of a row."""
    return _encode_id(f"{type_name}:{row_id}")


def encode_key(type_name: str, kind: str, external_id: str) -> strawberry.ID:
    """The global id of a row that is known by kind and external id."""
    return _encode_id(f"{type_name}:{kind}:{external_id}")


def decode_id(text: str) -> NodeId | None:
    """What a global id names, or None when it is not one of ours, to the letter."""
    if len(text) > MAX_ID_LENGTH:
        return None
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        type_name, _, rest = content.partition(":")
        if type_name in KEYED_TYPES:
            kind, _, external_id = rest.partition(":")
            return (
                NodeId(type_name, RowKey(kind, external_id))
                if encode_key(type_name, kind, external_id) == text
                else None
            )
        row_id = UUID(rest)
    except (ValueError, binascii.Error):
        return None
    return NodeId(type_name, row_id) if encode_id(type_name, row_id) == text else None


def row_id_of(text: str, type_name: str, *path: str) -> UUID:
    """The row a global id of this type names; raises NotFound for anything else."""
    node = decode_id(text)
    if node is None or node.type_name != type_name or isinstance(node.id, RowKey):
        raise NotFound(_WORDS.get(type_name, type_name.lower()), path)
    return node.id


def _encode_id(content: str) -> strawberry.ID:
    return strawberry.ID(base64.urlsafe_b64encode(content.encode()).decode().rstrip("="))
