"""Read tokens that a tenant's own identity provider signed for its staff (OpenID Connect, RFC 7519, RFC 8725).

No claim of a token is trusted before its signature is verified. Its issuer and audience only name a provider that a
tenant has set, and the keys of that provider decide. Keys, algorithms and addresses inside a token are ignored.
"""

import base64
import binascii
import datetime as dt
import hashlib
import json
import re
import warnings
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from uuid import UUID

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning

from api.issuer import ISSUER, MAX_TOKEN_LENGTH, InvalidToken, check_times
from api.oidc_keys import ProviderKeys, type_of_algorithm
from loyalty.rules.member import check_email, tidy_email
from loyalty.rules.text import is_storable
from loyalty.services.oidc_issuer import FoundIssuer
from loyalty.storage.oidc_issuers import OidcIssuerRow, parse_mapped_roles
from permissions.actor import (
    MAX_DISPLAY_LENGTH,
    Actor,
    ActorKind,
    IssuerMark,
    SignedToken,
    subject_at_provider,
)

ALGORITHMS = tuple(type_of_algorithm)
HEADER_NAMES = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
"""The names that a token's header may hold. They include no key, no address of a key, and no `crit`."""

TOKEN_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
MAX_AUDIENCES = 4
MAX_SUBJECT_LENGTH = 200
MAX_ROLES = 200
"""The number of values that the claim of roles may have; a longer list is refused."""

MAX_STAFF_LIFETIME = dt.timedelta(hours=24)
MAX_REMEMBERED_ISSUERS = 10_000
DISPLAY_CLAIMS = ("name", "preferred_username", "email")

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


FindIssuer = Callable[[str, str], Awaitable[FoundIssuer | None]]
"""Finds the provider that a tenant has set, by issuer and audience."""


class StaffProviders:
    """Turns the tokens of tenants' identity providers into actors.

    The caller reads their standing, as for every token.
    """

    def __init__(self, find_issuer: FindIssuer, keys: ProviderKeys, clock: Callable[[], dt.datetime]) -> None:
        self._find_issuer = find_issuer
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], FoundIssuer] = OrderedDict()

    async def actor_of(self, token: str) -> Actor:
        """Return the actor that a token describes. Raises `InvalidToken`."""
        header, claims = read_parts(token)
        found = await self._provider_of(claims)
        await verify_signature(self._keys, found.row.issuer, token, header)
        expires_at, issued_at = check_times(claims, self._clock(), MAX_STAFF_LIFETIME)
        token_id = f"oidc:{hashlib.sha256(token.encode()).hexdigest()[:32]}"
        return describe_person(found, claims, token_id, issued_at, expires_at)

    def forget(self, actor: Actor) -> None:
        """Forget the provider of an actor, so that the next request reads it again."""
        stale = [pair for pair, found in self._known.items() if actor.issuer and found.row.id == actor.issuer.id]
        for pair in stale:
            del self._known[pair]

    async def _provider_of(self, claims: dict[str, Any]) -> FoundIssuer:
        """Return the provider that issuer and audience name. Raises `InvalidToken` unless they name exactly one."""
        issuer, audience = claims.get("iss"), claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if not isinstance(issuer, str) or not isinstance(audiences, list) or not 1 <= len(audiences) <= MAX_AUDIENCES:
            raise InvalidToken("no issuer or audience")
        found: list[tuple[FoundIssuer, str]] = []
        for one in audiences:
            if not isinstance(one, str) or len(one) > MAX_TOKEN_LENGTH or not is_storable(one + issuer):
                raise InvalidToken("no audience")
            provider = await self._find(issuer, one)
            if provider is not None:
                found.append((provider, one))
        meant = [provider for provider, one in found if (provider.row.issuer, provider.row.audience) == (issuer, one)]
        # A client id leads to the tenant, too. It may stand beside the audience; alone it makes no bearer token.
        if len(meant) != 1 or any(provider.row.id != meant[0].row.id for provider, _ in found):
            raise InvalidToken("no tenant has set this issuer and audience, or several have")
        return meant[0]

    async def _find(self, issuer: str, audience: str) -> FoundIssuer | None:
        """Return the provider of an issuer and audience, and remember it; None if no tenant has set them."""
        pair = (issuer, audience)
        known = self._known.get(pair)
        if known is None:
            known = await self._find_issuer(issuer, audience)
            if known is None:
                return None
            self._known[pair] = known
            if len(self._known) > MAX_REMEMBERED_ISSUERS:
                self._known.popitem(last=False)
        return known


def describe_person(
    found: FoundIssuer, claims: dict[str, Any], token_id: str, issued_at: dt.datetime, expires_at: dt.datetime
) -> Actor:
    """Return the actor that the verified claims of a provider describe. Their standing is not read yet.

    Raises `InvalidToken`.
    """
    if "events" in claims:
        raise InvalidToken("a security event, and no sign-in")
    subject = read_subject(claims)
    name = subject_at_provider(found.row.id, subject)
    return Actor(
        kind=ActorKind.STAFF,
        tenant_id=found.tenant_id,
        subject=name,
        # The permissions of these roles are read with the standing, as for the roles of a member.
        permissions=frozenset(),
        display=_display(claims, subject),
        expires_at=expires_at,
        signed=(SignedToken(token_id, name, issued_at),),
        issuer=IssuerMark(found.row.id, found.row.version),
        claimed=_find_claimed_roles(found.row, claims),
        email=_read_verified_email(claims),
    )


def read_subject(claims: dict[str, Any]) -> str:
    """Return the claim `sub`. Raises `InvalidToken`."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_LENGTH or not is_storable(subject):
        raise InvalidToken("no subject")
    return subject


async def verify_signature(keys: ProviderKeys, issuer: str, token: str, header: dict[str, Any]) -> None:
    """Raise `InvalidToken` unless a published key of the issuer has signed the token."""
    algorithm = header["alg"]
    key = await keys.find(issuer, header["kid"], algorithm)
    if key is None:
        raise InvalidToken("no such key of the provider")
    try:
        with warnings.catch_warnings():
            # The provider names its algorithm; the name EdDSA is old and means Ed25519 here.
            warnings.simplefilter("ignore", SecurityWarning)
            signed = jws.deserialize_compact(token, key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise InvalidToken(f"not signed by the provider: {type(error).__name__}") from None
    if signed.payload != _decode(token.split(".")[1]):
        raise InvalidToken("read in two ways")


def names_another_issuer(token: str) -> bool:
    """Return whether a token names another issuer than this installation. No signature has been verified yet."""
    try:
        return read_parts(token)[1].get("iss") != ISSUER
    except InvalidToken:
        return False


def read_parts(token: str, types: Collection[str] = TOKEN_TYPES) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token, without verifying its signature. Only one form of token is read.

    ``types`` are the accepted types of token. Raises `InvalidToken` for any other text.
    """
    parts = token.split(".")
    if len(token) > MAX_TOKEN_LENGTH or len(parts) != 3 or not all(_BASE64URL.fullmatch(part) for part in parts):  # noqa: PLR2004
        raise InvalidToken("not the form of a JWT")
    header, claims = _object(parts[0]), _object(parts[1])
    if header.keys() - HEADER_NAMES:
        raise InvalidToken("a header that is not read")
    if header.get("alg") not in ALGORITHMS:
        raise InvalidToken("an algorithm that is not read")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= 255:  # noqa: PLR2004 - as other texts of tokens
        raise InvalidToken("no key id")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in types:
        raise InvalidToken("another type of token")
    return header, claims


def _object(part: str) -> dict[str, Any]:
    """Decode a JSON object in base64url. Refuses a second spelling of the same bytes, and a repeated name."""
    try:
        text = _decode(part)
        if base64.urlsafe_b64encode(text).rstrip(b"=").decode() != part:
            raise InvalidToken("not the only spelling of base64url")
        read = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidToken("no JSON") from None
    if not isinstance(read, dict):
        raise InvalidToken("no JSON object")
    return read


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise InvalidToken("a name that is there twice")
    return read


def _refuse_constant(_name: str) -> None:
    raise InvalidToken("NaN or Infinity")


def _find_claimed_roles(row: OidcIssuerRow, claims: dict[str, Any]) -> frozenset[UUID]:
    """Return the ids of the tenant's roles that the provider's claim of roles stands for; none without the claim."""
    said = claims.get(row.role_claim, [])
    values = [said] if isinstance(said, str) else said
    if not isinstance(values, list) or len(values) > MAX_ROLES or not all(isinstance(value, str) for value in values):
        raise InvalidToken("a claim of roles that is not read")
    return frozenset(role_id for value, role_id in parse_mapped_roles(row) if value in values)


def _read_verified_email(claims: dict[str, Any]) -> str | None:
    """Return the e-mail address that the provider has verified. Members are invited by it."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or check_email(email, ()) is not None:
        return None
    return tidy_email(email)


def _display(claims: dict[str, Any], subject: str) -> str:
    for name in DISPLAY_CLAIMS:
        value = claims.get(name)
        if isinstance(value, str) and value.strip() and is_storable(value):
            return value.strip()[:MAX_DISPLAY_LENGTH]
    return subject[:MAX_DISPLAY_LENGTH]
