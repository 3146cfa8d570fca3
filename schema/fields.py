"""Declare fields that compute a small value from their row.

A field that reads the database is declared with ``loaded``. A field with a better name is kept under the old name until
a day. ``replaced_by`` names the new one; ``shows`` reads the same attribute under the new name.
"""

from collections.abc import Callable
from typing import Any

import strawberry

from execution.resolvers import RESOLVE_ALL

OLD_NAMES_GO_AFTER = "2027-06-30"
"""The day after which a release may drop the fields that are deprecated now: at least 180 days later."""


def computed(
    *,
    description: str,
    deprecation_reason: str | None = None,
    resolve_all: Callable[[list[Any], Any], Any] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a field that a method computes. In the method, ``self`` is the row of the type.

    ``resolve_all`` computes the field for a list of rows, with an exception in the place of a value that failed.
    """
    metadata = {} if resolve_all is None else {RESOLVE_ALL: resolve_all}
    declare: Callable[[Callable[..., Any]], Any] = strawberry.field(
        description=description, deprecation_reason=deprecation_reason, metadata=metadata
    )
    return declare


def shows(attribute: str, *, description: str) -> Any:
    """Declare a field that shows an attribute of the row under another name."""

    def resolve(root: Any) -> Any:
        return getattr(root, attribute)

    return strawberry.field(resolver=resolve, description=description)


def replaced_by(name: str) -> str:
    """Return the reason of a deprecated field: the name of the field that replaces it."""
    return f"Use `{name}`, whose name has one type everywhere. Goes after {OLD_NAMES_GO_AFTER}."
