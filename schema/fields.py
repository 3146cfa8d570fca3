"""Fields that compute something small from their row. What reads the database is declared with ``loaded`` instead."""

from collections.abc import Callable
from typing import Any

import strawberry


def computed(*, description: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a field that a method computes; within the method ``self`` is the row that the type reads."""
    declare: Callable[[Callable[..., Any]], Any] = strawberry.field(description=description)
    return declare
