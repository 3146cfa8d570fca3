"""Read the fields of a change: an absent field keeps the stored value, and null is refused if a value is required."""

from typing import Any

import strawberry

from loyalty.rules.absent import ABSENT
from loyalty.rules.errors import InvalidInput


def choose_given(value: Any, stored: Any, *path: str) -> Any:
    """Return the given value, or the stored one if the field is absent. Raises InvalidInput for null."""
    if value is strawberry.UNSET:
        return stored
    if value is None:
        raise InvalidInput.one(*path, reason="must not be null; leave it out to keep it")
    return value


def sent(value: Any) -> Any:
    """Return the sent value, also null; ABSENT for an absent field."""
    return ABSENT if value is strawberry.UNSET else value


def read_given_fields(change: Any, *names: str, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the named fields that were given. Raises InvalidInput for null. ``path`` is the path of the change."""
    values = {name: choose_given(getattr(change, name), strawberry.UNSET, *path, name) for name in names}
    return {name: value for name, value in values.items() if value is not strawberry.UNSET}
