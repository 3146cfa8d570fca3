"""Opaque global ids: a type and a row. A malformed id, an unknown id and an id of another tenant are answered alike.

Most rows have an id of their own. An item of the catalogue has a kind and an external id instead, so its global id
holds these.
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
"""Types whose rows are found by kind and external id."""

_WORDS = {
    "EarningRule": "earning rule",
    "ApiToken": "API token",
    "OauthClient": "OAuth client",
    "BrowserSession": "browser session",
    "OidcIssuer": "OIDC issuer",
    "GiftCard": "gift card",
    "GiftCardGift": "gift",
    "GiftCardHold": "hold",
    "GiftCardProduct": "gift card product",
    "AuditEntry": "audit entry",
}
"""The names in refusals for types whose name has more than one word. The use cases use the same names."""


class RowKey(NamedTuple):
    """The natural key of a row without an id of its own."""

    kind: str
    external_id: str


class NodeId(NamedTuple):
    """The content of a global id: the type, and the row's id, or its key for the types in ``KEYED_TYPES``."""

    type_name: str
    id: UUID | RowKey


def encode_id(type_name: str, row_id: UUID) -> strawberry.ID:
    """Return the global id of a row."""
    return _encode_content(f"{type_name}:{row_id}")


def encode_key(type_name: str, kind: str, external_id: str) -> strawberry.ID:
    """Return the global id of a row that is found by kind and external id."""
    return _encode_content(f"{type_name}:{kind}:{external_id}")


def decode_id(text: str) -> NodeId | None:
    """Return the content of a global id; None unless the text is exactly an id of this API."""
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
    """Return the row's id from a global id of this type. Raises NotFound for any other text."""
    node = decode_id(text)
    if node is None or node.type_name != type_name or isinstance(node.id, RowKey):
        raise NotFound(_WORDS.get(type_name, type_name.lower()), path)
    return node.id


def _encode_content(content: str) -> strawberry.ID:
    return strawberry.ID(base64.urlsafe_b64encode(content.encode()).decode().rstrip("="))
