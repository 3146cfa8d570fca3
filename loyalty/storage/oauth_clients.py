"""The stored OAuth clients: rows beside the API tokens, see `credentials`."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from loyalty.storage.api_tokens import ApiTokenRow


class OAuthClientRow(NamedTuple):
    """An OAuth client as its tenant sees it."""

    id: UUID
    name: str
    permissions: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    networks: list[str] | None
    former_ends_at: datetime | None


def client_row(row: ApiTokenRow) -> OAuthClientRow:
    """Return a stored client as its tenant sees it."""
    return OAuthClientRow._make(getattr(row, name) for name in OAuthClientRow._fields)
