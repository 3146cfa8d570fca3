"""Read ID tokens of a browser sign-in (OpenID Connect Core) and logout tokens (OpenID Connect Back-Channel Logout 1.0).

The provider is known before the token comes: the browser began there, or the address names it. So a token must be of
that provider.
"""

import datetime as dt
import hmac
from collections.abc import Callable
from typing import Any, NamedTuple

from api.issuer import InvalidToken, check_times
from api.oidc import MAX_STAFF_LIFETIME, describe_person, read_parts, read_subject, verify_signature
from api.oidc_keys import ProviderKeys
from loyalty.rules.staff_session import PROVIDER_SESSION_MAX_LENGTH, Logout
from loyalty.rules.text import is_storable
from loyalty.services.oidc_issuer import FoundIssuer
from permissions.actor import Actor, subject_at_provider

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TYPES = frozenset({"logout+jwt", "application/logout+jwt", "jwt", "application/jwt"})
ID_TOKEN_TYPES = frozenset({"jwt", "application/jwt"})


class ProvedPerson(NamedTuple):
    """The person in an ID token, before their standing is read, and further facts of the sign-in."""

    actor: Actor
    provider_session: str | None
    issued_at: dt.datetime


class SignInTokens:
    """Reads the tokens of browser sign-ins with the keys that providers publish."""

    def __init__(self, keys: ProviderKeys, clock: Callable[[], dt.datetime]) -> None:
        self._keys = keys
        self._clock = clock

    async def read_id_token(self, found: FoundIssuer, token: str, nonce: str) -> ProvedPerson:
        """Return the person who signed in. Raises `InvalidToken`."""
        claims = await self._read(found, token, ID_TOKEN_TYPES)
        sent = claims.get("nonce")
        if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), nonce.encode()):
            raise InvalidToken("another nonce")
        expires_at, issued_at = check_times(claims, self._clock(), MAX_STAFF_LIFETIME)
        person = describe_person(found, claims, "sign-in", issued_at, expires_at)
        return ProvedPerson(person, _read_provider_session(claims), issued_at)

    async def read_logout_token(self, found: FoundIssuer, token: str) -> Logout:
        """Return whose sessions end. Raises `InvalidToken`."""
        claims = await self._read(found, token, LOGOUT_TYPES)
        _, issued_at = check_times(claims, self._clock(), MAX_STAFF_LIFETIME)
        if "nonce" in claims:
            raise InvalidToken("a nonce, which only ID tokens have")
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
            raise InvalidToken("no event of a logout")
        token_id = claims.get("jti")
        if not isinstance(token_id, str) or not token_id:
            raise InvalidToken("no id")
        subject = subject_at_provider(found.row.id, read_subject(claims)) if "sub" in claims else None
        provider_session = _read_provider_session(claims)
        if subject is None and provider_session is None:
            raise InvalidToken("neither a person nor a session")
        return Logout(found.row.id, subject, provider_session, issued_at)

    async def _read(self, found: FoundIssuer, token: str, types: frozenset[str]) -> dict[str, Any]:
        """Return the claims of a token that the provider signed for the tenant's application. Raises `InvalidToken`."""
        header, claims = read_parts(token, types)
        if claims.get("iss") != found.row.issuer:
            raise InvalidToken("another issuer")
        _check_audience(claims, found)
        await verify_signature(self._keys, found.row.issuer, token, header)
        return claims


def _check_audience(claims: dict[str, Any], found: FoundIssuer) -> None:
    """Refuse a token unless its audience is the application. Only the tenant's own audience may stand beside it."""
    audience, client_id = claims.get("aud"), found.row.client_id
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences or len(audiences) > 2:  # noqa: PLR2004 - these two
        raise InvalidToken("another audience")
    if any(one not in (client_id, found.row.audience) for one in audiences):
        raise InvalidToken("an audience that is not known")
    if claims.get("azp", client_id) != client_id:
        raise InvalidToken("given to another application")


def _read_provider_session(claims: dict[str, Any]) -> str | None:
    session = claims.get("sid")
    if session is None:
        return None
    if not isinstance(session, str) or not 1 <= len(session) <= PROVIDER_SESSION_MAX_LENGTH or not is_storable(session):
        raise InvalidToken("a session that is not read")
    return session
