"""The fingerprint of a request: two requests with the same one ask for the same thing.

Fingerprints are stored for ever and compared after an upgrade of the server. So each request names its values here by
hand, in the order of the first release; what is added later goes into ``added`` and counts only when it is given.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from loyalty.rules.money import Money


def fingerprint(values: Sequence[Any], **added: Any) -> str:
    """Return the SHA-256 of a request's canonical JSON.

    ``values`` are tuples, dictionaries, enums, dates and plain values. Their number and order never change, the order
    of a dictionary's keys included. ``added`` are values that a later release knows: one that is None leaves the
    fingerprint as it was before.
    """
    later = {name: added[name] for name in sorted(added) if added[name] is not None}
    request = [*values, later] if later else list(values)
    return hashlib.sha256(orjson.dumps(request, default=_plain)).hexdigest()


def money_identity(money: Money) -> dict[str, Any]:
    """What identifies an amount of money."""
    return {"amount_minor": money.amount_minor, "currency": money.currency}


def _plain(value: Any) -> Any:
    """A named tuple as the tuple that it is."""
    if isinstance(value, tuple):
        return tuple(value)
    raise TypeError
