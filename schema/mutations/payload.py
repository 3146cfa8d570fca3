"""What every payload has: its errors, described once."""

from typing import Any

import strawberry

from schema.errors import UserError


def user_errors_field() -> Any:
    """Declare ``userErrors``."""
    return strawberry.field(description="Why nothing happened; empty when it did. The other fields are null then.")


UserErrors = list[UserError]
