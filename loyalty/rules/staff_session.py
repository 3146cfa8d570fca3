"""Browser sessions of staff: how long they live, and which of them a logout token ends."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

SESSION_LIFETIME = timedelta(hours=8)
"""The time from signing in to the end of a session, used or not: a working day."""

SIGN_IN_SECONDS = 600
"""The longest time that a browser may stay at the provider."""

MAX_SESSIONS_OF_PERSON = 20
"""The most sessions of one person at the same time. A new one ends the oldest."""

PROVIDER_SESSION_MAX_LENGTH = 255
"""The most characters of the claim `sid`."""

LOGOUT_REMEMBERED = timedelta(seconds=2 * SIGN_IN_SECONDS)
"""The time for which a logout token is remembered: the longest sign-in, and as long again for its last steps."""

MAX_REMEMBERED_LOGOUTS = 10_000
"""The most logout tokens of one tenant that are remembered. A new one takes the place of the oldest."""

REVOCATION_PREFIX = "session:"
"""A session is revoked as a signed token whose id is this prefix and the id of the session."""

USER_AGENT_MAX_LENGTH = 200
"""The most characters that are kept of the header `User-Agent`."""


class SignIn(NamedTuple):
    """What a finished sign-in at a provider proves, beside the identity of the person."""

    state_sha256: str
    """The SHA-256 of the random value that the sign-in began with. It can be used once."""
    provider_session: str | None
    """The session at the provider: the claim `sid`."""
    issued_at: datetime
    """When the provider signed the ID token, by its clock."""
    user_agent: str | None = None
    """The header `User-Agent` of the browser, tidied."""


class Logout(NamedTuple):
    """The content of a provider's logout token: a session at the provider, all sessions of a person, or both.

    It ends only sessions of ID tokens that the provider signed until ``issued_at``. So a token that is sent again does
    not end a session that began later. A sign-in whose ID token was signed until then begins no session any more.
    """

    issuer_id: UUID
    subject: str | None
    provider_session: str | None
    issued_at: datetime


def tidy_user_agent(sent: str | None) -> str | None:
    """Return the header `User-Agent` as it is kept: printable ASCII, cut to its limit; None if nothing is left."""
    kept = "".join(one for one in sent or "" if one.isascii() and one.isprintable()).strip()
    return kept[:USER_AGENT_MAX_LENGTH] or None
