"""Fields that every payload has, described once."""

from typing import Any

import strawberry

from schema.user_error import UserError


def user_errors_field() -> Any:
    """Declare ``userErrors``."""
    return strawberry.field(description="Why nothing happened; empty when it did. The other fields are null then.")


def optional_key_field() -> Any:
    """Declare the ``idempotencyKey`` of a mutation that creates something and moves no points or money."""
    return strawberry.field(
        default=None,
        description="1 to 255 characters. A retry with the same key makes nothing new; the same key with another "
        "input is an IdempotencyConflict. Keys belong to one caller and operation.",
    )


def replayed_field() -> Any:
    """Declare ``replayed``."""
    return strawberry.field(
        default=None,
        description="True when this key had been answered before: nothing happened this time, and what the first call "
        "made is shown as it is now.",
    )


def secret_field(name: str) -> Any:
    """Declare the ``secret`` of a new credential, or the new secret of an existing one."""
    return strawberry.field(
        default=None,
        description=f"The {name}. Keep it now or never: only its hash is stored, so a retry is answered with null.",
    )


UserErrors = list[UserError]
