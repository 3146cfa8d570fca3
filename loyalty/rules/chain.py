"""The hash that chains the entries of one account: it covers the entry and the hash of the entry before."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

CHAIN_START = bytes(32)
"""The hash before the first entry of an account."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def chain_hash(before: bytes, text: str) -> bytes:
    """Return the SHA-256 (FIPS 180-4) over the 32 bytes `before` and a text in UTF-8."""
    return hashlib.sha256(before + text.encode()).digest()


def hash_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal.

    Where a text may be erased later, a chain covers this hash of the text in place of the text.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def chain_text(entry: Mapping[str, Any], fields: Iterable[str]) -> str:
    """Return some fields of an entry as the text that the hash covers, with `|` between them.

    Ids are in lower-case hexadecimal with hyphens. Instants are whole microseconds since 1970 in UTC. An absent value
    is the empty text.
    """
    return "|".join([_field_text(entry[name]) for name in fields])


def _field_text(value: Any) -> str:
    """Return one value in the form that `chain_text` describes."""
    if value is None:
        return ""
    return str((value - _EPOCH) // _MICROSECOND) if isinstance(value, datetime) else str(value)
