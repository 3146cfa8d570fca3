"""What a change gives: a field that is left out keeps what is stored, and null is no value for what always has one."""

from typing import Any

import strawberry

from loyalty.rules.absent import ABSENT
from loyalty.rules.errors import InvalidInput


def choose_given(value: Any, stored: Any, *path: str) -> Any:
    """The value that was given, or what is stored when it was left out; InvalidInput for null."""
    if value is strawberry.UNSET:
        return stored
    if value is None:
        raise InvalidInput.one(*path, reason="must not be null; leave it out to keep it")
    return value


def sent(value: Any) -> Any:
    """The value that was sent, null included; ABSENT for a field that was left out."""
    return ABSENT if value is strawberry.UNSET else value


def read_given_fields(change: Any, *names: str, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """The named fields that were given; InvalidInput for null. ``path`` leads to the change."""
    values = {name: choose_given(getattr(change, name), strawberry.UNSET, *path, name) for name in names}
    return {name: value for name, value in values.items() if value is not strawberry.UNSET}
