"""The actions of the platform on tenants, and the credentials of the platform."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from loyalty.rules.described_enum import DescribedEnum

PLATFORM_TOKEN = "platform"  # noqa: S105 - a kind
"""The kind of the platform's credentials. It is part of their text."""

MAX_TENANTS_AT_ONCE = 1_000
"""The most tenants that one call may create."""

MAX_PLATFORM_TOKENS = 100
"""The most live credentials of the platform."""

MAX_TOKEN_DAYS = 3_650
LAST_USE_INTERVAL = timedelta(minutes=1)
"""The precision of the noted last use of a credential."""


class PlatformActionKind(DescribedEnum):
    """What the platform did. More may come."""

    TENANT_CREATED = "TENANT_CREATED", "A tenant was created."
    TENANT_SUSPENDED = "TENANT_SUSPENDED", "A tenant was suspended: its credentials are refused."
    TENANT_RESUMED = "TENANT_RESUMED", "A suspended tenant is active again."
    TENANT_CLOSED = "TENANT_CLOSED", "A tenant was closed for good."
    TENANT_ENTITLED = "TENANT_ENTITLED", "The loyalty module was granted to a tenant, or taken back."
    TENANT_LIMITED = "TENANT_LIMITED", "A tenant got a budget of its own, or that of the settings again."
    TENANT_MOVED = "TENANT_MOVED", "A tenant was moved to another cluster."
    TENANT_EXPORTED = "TENANT_EXPORTED", "Everything that is held of a tenant was written to a file."
    TOKEN_CREATED = "TOKEN_CREATED", "A credential of the platform was made."
    TOKEN_REVOKED = "TOKEN_REVOKED", "A credential of the platform was revoked."


class PlatformAction(NamedTuple):
    """An action of the platform: its kind, the name of its object, and the object's state before and after, by field.

    ``before`` is None for a new object. ``tenant_id`` is None for an action on the platform's own credentials.
    """

    kind: PlatformActionKind
    name: str
    before: Any
    after: Any
    tenant_id: UUID | None = None


class PlatformCaller(NamedTuple):
    """The caller who acts for the platform: the holder of a credential, or an operator at the command line.

    ``subject`` is stable. ``name`` is the name of the caller for people.
    """

    subject: str
    name: str
    token_id: UUID | None = None


OPERATOR = PlatformCaller("platform:operator", "Operator")
"""The caller for the commands `treue tenant …` and `treue platform …`."""


def caller_of_token(token_id: UUID, name: str) -> PlatformCaller:
    """Return the caller for the holder of a credential of the platform."""
    return PlatformCaller(f"platform:{token_id}", name, token_id)
