"""The fingerprint of a request: two requests with the same one ask for the same thing."""

import hashlib
from typing import Any

import orjson


def fingerprint(request: Any) -> str:
    """SHA-256 over the canonical JSON of a request made of tuples, dataclasses, enums, dates and plain values."""
    return hashlib.sha256(orjson.dumps(request, default=_plain, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _plain(value: Any) -> Any:
    """A named tuple as the tuple that it is."""
    if isinstance(value, tuple):
        return tuple(value)
    raise TypeError
