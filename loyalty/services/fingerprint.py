"""The fingerprint of a request: two requests with the same one ask for the same thing."""

import hashlib
from typing import Any

import orjson


def fingerprint(request: Any) -> str:
    """SHA-256 over the canonical JSON of a request made of dataclasses, enums, dates and plain values."""
    return hashlib.sha256(orjson.dumps(request, option=orjson.OPT_SORT_KEYS)).hexdigest()
