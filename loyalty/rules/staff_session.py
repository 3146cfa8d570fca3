"""Sessions of staff who sign in with a browser: how long they live, and which of them a logout token ends."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

SESSION_LIFETIME = timedelta(hours=8)
"""From signing in to the end of a session, however much it is used: a working day."""

SIGN_IN_SECONDS = 600
"""How long a browser may take at the provider."""

MAX_SESSIONS_OF_PERSON = 20
"""Sessions of one person at the same time; a new one ends the oldest."""

PROVIDER_SESSION_MAX_LENGTH = 255
"""Characters of the claim `sid`."""


class SignIn(NamedTuple):
    """What a browser has proved at a provider, beside who it is."""

    state_sha256: str
    """Of the random value that the sign-in began with; it counts once."""
    provider_session: str | None
    """The session at the provider, the claim `sid`."""
    issued_at: datetime
    """When the provider signed the ID token, by its clock."""


class Logout(NamedTuple):
    """What a provider's logout token says: a session at the provider, all sessions of a person, or a person's session.

    Only sessions of ID tokens that the provider had signed by ``issued_at`` end, so that a token that is sent again
    ends nothing that began later.
    """

    issuer_id: UUID
    subject: str | None
    provider_session: str | None
    issued_at: datetime
