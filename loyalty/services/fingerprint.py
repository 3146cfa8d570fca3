"""The fingerprint of a request: two requests with the same fingerprint ask for the same thing.

Fingerprints are stored for ever and compared after an upgrade of the server. So each request lists its values by hand,
in the order of the first release. Values of later releases go into ``added`` and count only if they are given.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from loyalty.rules.money import Money


def fingerprint(values: Sequence[Any], **added: Any) -> str:
    """Return the SHA-256 of a request's canonical JSON.

    ``values`` are tuples, dictionaries, enums, dates and plain values. Their number and order never change, nor the
    order of a dictionary's keys. ``added`` are values of later releases: a value of None leaves the fingerprint as it
    was before.
    """
    later = {name: added[name] for name in sorted(added) if added[name] is not None}
    request = [*values, later] if later else list(values)
    return hashlib.sha256(orjson.dumps(request, default=_plain)).hexdigest()


def money_identity(money: Money) -> dict[str, Any]:
    """Return the values of an amount of money for a fingerprint."""
    return {"amount_minor": money.amount_minor, "currency": money.currency}


def _plain(value: Any) -> Any:
    """Return a named tuple as a plain tuple, for JSON. Raises TypeError for other types."""
    if isinstance(value, tuple):
        return tuple(value)
    raise TypeError
