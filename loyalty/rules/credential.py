"""What holds for every stored credential: those of a tenant, and those of the platform."""

from datetime import datetime
from typing import Protocol


class StoredCredential(Protocol):
    """A credential that may be revoked, and may have an end."""

    @property
    def revoked_at(self) -> datetime | None:
        """When it was revoked; None where it was not."""

    @property
    def expires_at(self) -> datetime | None:
        """When it ends by itself; None where it does not."""


def is_live(credential: StoredCredential, now: datetime) -> bool:
    """Tell whether a credential is neither revoked nor expired."""
    return credential.revoked_at is None and (credential.expires_at is None or credential.expires_at > now)
