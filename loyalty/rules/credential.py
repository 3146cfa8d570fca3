"""The rule for every stored credential, of a tenant or of the platform."""

from datetime import datetime
from typing import Protocol


class StoredCredential(Protocol):
    """A credential that may be revoked, and may expire."""

    @property
    def revoked_at(self) -> datetime | None:
        """When it was revoked; None if it was not."""

    @property
    def expires_at(self) -> datetime | None:
        """When it expires; None if it never does."""


def is_live(credential: StoredCredential, now: datetime) -> bool:
    """Tell whether a credential is neither revoked nor expired."""
    return credential.revoked_at is None and (credential.expires_at is None or credential.expires_at > now)
