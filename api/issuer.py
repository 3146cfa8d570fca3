"""The local issuer of JWTs for staff and customers: ES256, one issuer, one audience. One key signs; older keys verify.

Only tokens that this issuer signed are accepted. The algorithm is fixed here, and `kid` only chooses one of this
issuer's keys. So `alg: none`, a confusion of HS with RS, and keys inside a token have no effect.
"""

import datetime as dt
import hashlib
import hmac
import os
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol

from loyalty.rules.ids import TenantId, TokenId
from loyalty.rules.text import is_storable
from permissions.actor import SignedToken
from permissions.catalog import UnknownGrant, parse_grants
from permissions.roles import Role

ALGORITHM = "ES256"
CURVE = "P-256"
ISSUER = "treue"
AUDIENCE = "treue-api"
LEEWAY = dt.timedelta(seconds=30)
"""`nbf` and `iat` may lie so far in the future, because another clock may be ahead. The end of a token is exact."""

MAX_LIFETIME = dt.timedelta(days=31)
MAX_TOKEN_LENGTH = 4_096
MAX_TEXT_LENGTH = 255
KEY_FILE_MODE = 0o600
MAX_KEYS = 10
"""The number of keys of an issuer: the key that signs, and the keys of tokens that have not ended."""

MAX_REMEMBERED_SIGNATURES = 10_000
"""The number of verified tokens that one process remembers. It keeps the hash of a token and its claims."""

_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
_PARAMETERS = "EC PARAMETERS"
"""A block that openssl writes before a key. It names the curve, which the key names as well."""


class InvalidToken(Exception):
    """The token is not one that this issuer signed for this service, or not valid now.

    The reason is for logs, not callers.
    """


class ClientClaim(NamedTuple):
    """The OAuth client of an access token, and the client's secret that was used to get the token."""

    id: TokenId
    secret_mark: str


class Claims(NamedTuple):
    """The claims of a valid token. `subject` is the id of a staff member, or the UUID of a customer.

    `grants` narrow the role to some permissions (names in GraphQL); None means all permissions of the role. `maker` is
    the signed token that made this one; `maker_token_id` is the API token or OAuth client that made it. Without both,
    an operator made it. `client` is set only in access tokens of OAuth clients, which have the role INTEGRATION.
    """

    subject: str
    tenant_id: TenantId
    role: Role
    name: str
    expires_at: dt.datetime
    token_id: str
    grants: tuple[str, ...] | None
    issued_at: dt.datetime
    maker: SignedToken | None = None
    maker_token_id: TokenId | None = None
    client: ClientClaim | None = None

    @property
    def signed(self) -> SignedToken:
        """The signed token as its revocation names it."""
        return SignedToken(self.token_id, self.subject, self.issued_at)


class IssuedToken(NamedTuple):
    """A token just signed, and the instant it ends."""

    text: str
    expires_at: dt.datetime


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Issuer:
    """Signs tokens with `key`, and verifies tokens that `key` or one of the `older` keys signed.

    The claims `iss` and `aud` must be `issuer` and `audience`. Raises `ValueError` for keys that it cannot use.
    """

    def __init__(
        self,
        key: ECKey,
        *,
        older: Sequence[ECKey] = (),
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        clock: Callable[[], dt.datetime] = _now,
    ) -> None:
        keys = [key, *older]
        if len(keys) > MAX_KEYS:
            raise ValueError(f"The issuer takes at most {MAX_KEYS} keys")
        if not all(one.is_private and one.curve_name == CURVE for one in keys):
            raise ValueError(f"The issuer needs a private key on the curve {CURVE}")
        self._keys = {one.thumbprint(): one for one in keys}
        if len(self._keys) < len(keys):
            raise ValueError("The issuer has a key twice")
        self._key = key
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._verified: OrderedDict[bytes, tuple[dict[str, Any], Claims | None]] = OrderedDict()
        self.key_id = key.thumbprint()

    @classmethod
    def from_key_file(cls, path: Path, *, clock: Callable[[], dt.datetime] = _now) -> Self:
        """Read the private keys (PEM) of an issuer. The first key signs.

        Raises `OSError` or `ValueError` if there is no key that it can read.
        """
        key, *older = read_keys(path)
        return cls(key, older=older, clock=clock)

    @classmethod
    def generate(cls, path: Path, *, clock: Callable[[], dt.datetime] = _now) -> Self:
        """Make a new key and write it to a new file that only its owner can read.

        Raises `FileExistsError` if the file exists: it is never overwritten.
        """
        key = ECKey.generate_key(CURVE)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.as_pem(private=True))
        return cls(key, clock=clock)

    def derive_keys(self, purpose: str) -> list[bytes]:
        """Derive a secret of 32 bytes from each key for one purpose (HMAC-SHA-256).

        The secret of the signing key comes first. Every process with the same keys derives the same secrets.
        """
        return [hmac.digest(key.as_pem(private=True), purpose.encode(), "sha256") for key in self._keys.values()]

    def issue(  # noqa: PLR0913 - one for each claim, all by name
        self,
        *,
        subject: str,
        tenant_id: TenantId,
        role: Role,
        name: str,
        lifetime: dt.timedelta,
        grants: tuple[str, ...] | None = None,
        ends_by: dt.datetime | None = None,
        maker: SignedToken | None = None,
        maker_token_id: TokenId | None = None,
        client: ClientClaim | None = None,
        token_id: uuid.UUID | None = None,
        issued_at: dt.datetime | None = None,
    ) -> IssuedToken:
        """Sign a token. `lifetime` is more than zero and at most `MAX_LIFETIME`; a customer's subject is a UUID.

        The token ends after its lifetime or at `ends_by`, whichever is earlier. It also ends with its makers: `maker`
        is a signed token, `maker_token_id` the id of an API token or OAuth client. A repeated call with the same
        values, `token_id` and `issued_at` signs the same claims. Raises `ValueError` or `InvalidToken` for claims that
        `verify` would refuse.
        """
        if not dt.timedelta(0) < lifetime <= MAX_LIFETIME:
            raise ValueError(f"A token lives more than no time and at most {MAX_LIFETIME.days} days")
        began_at = int((issued_at or self._clock()).timestamp())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "iat": began_at,
            "nbf": began_at,
            "exp": _last_second(began_at, lifetime, ends_by),
            "jti": str(token_id or uuid.uuid4()),
            "tenant": str(tenant_id),
            "role": role.value,
            "name": name,
        }
        if grants is not None:
            parse_grants(grants)
            claims["permissions"] = list(grants)
        if maker is not None:
            claims["maker"] = {"jti": maker.id, "sub": maker.subject, "iat": int(maker.issued_at.timestamp())}
        if maker_token_id is not None:
            claims["maker_token"] = str(maker_token_id)
        if client is not None:
            claims["client"] = {"id": str(client.id), "secret": client.secret_mark}
        checked = self._read_claims(claims)
        header = {"alg": ALGORITHM, "kid": self.key_id, "typ": "JWT"}
        return IssuedToken(jwt.encode(header, claims, self._key, algorithms=[ALGORITHM]), checked.expires_at)

    def verify(self, token: str) -> Claims:
        """Return the claims of a token that this issuer signed and that is valid now.

        Raises `InvalidToken` for any other text. A right signature stays right, and so do claims, so each is checked
        once and remembered. The times are compared at every call.
        """
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004 - JWS has three parts
            raise InvalidToken("not the form of a JWT")
        mark = hashlib.sha256(token.encode("ascii")).digest()
        known = self._verified.get(mark)
        if known is None:
            known = self._verified[mark] = (self._decode(token), None)
            if len(self._verified) > MAX_REMEMBERED_SIGNATURES:
                self._verified.popitem(last=False)
        else:
            self._verified.move_to_end(mark)
        values, claims = known
        if claims is None:
            claims = self._read_claims(values)
            self._verified[mark] = values, claims
        else:
            check_times(values, self._clock(), MAX_LIFETIME)
        return claims

    def _decode(self, token: str) -> dict[str, Any]:
        """Return the claims of a token after verifying its signature with one of this issuer's keys."""
        try:
            return jwt.decode(token, self._key_of, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidToken(f"not signed by us: {type(error).__name__}") from None

    def _key_of(self, signed: GuestProtocol) -> ECKey:
        """Return the issuer's key that the token's header names."""
        kid = signed.headers().get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise InvalidToken("unknown key id")
        return key

    def _read_claims(self, claims: dict[str, Any]) -> Claims:
        """Check the claims of a token with a right signature, and return them. Raises `InvalidToken`."""
        if claims.get("iss") != self._issuer:
            raise InvalidToken("another issuer")
        if claims.get("aud") != self._audience:
            raise InvalidToken("another audience")
        if "nbf" not in claims:
            raise InvalidToken("nbf is missing")
        expires_at, issued_at = check_times(claims, self._clock(), MAX_LIFETIME)
        client = _client(claims)
        role = _role(claims, client)
        subject = _text(claims, "sub")
        if role is Role.CUSTOMER:
            _uuid(subject, "sub")
        return Claims(
            subject=subject,
            tenant_id=TenantId(_uuid(_text(claims, "tenant"), "tenant")),
            role=role,
            name=_text(claims, "name"),
            expires_at=expires_at,
            token_id=_text(claims, "jti"),
            grants=_grants(claims),
            issued_at=issued_at,
            maker=_maker(claims),
            maker_token_id=_maker_token_id(claims),
            client=client,
        )


def read_keys(path: Path) -> list[ECKey]:
    """Return the private keys of a file, in their order.

    Raises `OSError` or `ValueError`; its text shows nothing of a key.
    """
    text = path.read_text("ascii", errors="replace")
    blocks = [match[0] for match in _PEM_BLOCK.finditer(text) if match[1] != _PARAMETERS]
    if not blocks:
        raise ValueError("there is no key in PEM")
    return [ECKey.import_key(block) for block in blocks]


def _last_second(issued_at: int, lifetime: dt.timedelta, ends_by: dt.datetime | None) -> int:
    end = issued_at + max(1, int(lifetime.total_seconds()))
    return end if ends_by is None else min(end, int(ends_by.timestamp()))


def check_times(
    claims: dict[str, Any], now: dt.datetime, max_lifetime: dt.timedelta
) -> tuple[dt.datetime, dt.datetime]:
    """Return the end and the beginning of a token. Raises `InvalidToken` if the token is not valid now."""
    expires_at, issued_at = _instant(claims, "exp"), _instant(claims, "iat")
    if expires_at <= now:
        raise InvalidToken("expired")
    if "nbf" in claims and _instant(claims, "nbf") > now + LEEWAY:
        raise InvalidToken("not valid yet")
    if issued_at > now + LEEWAY:
        raise InvalidToken("issued in the future")
    if expires_at - issued_at > max_lifetime:
        raise InvalidToken("lives too long")
    return expires_at, issued_at


def _instant(claims: dict[str, Any], name: str) -> dt.datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidToken(f"{name} is no number of seconds")
    try:
        return dt.datetime.fromtimestamp(value, dt.UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidToken(f"{name} is no instant") from None


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_LENGTH or not is_storable(value):
        raise InvalidToken(f"{name} is no text")
    return value


def _uuid(text: str, name: str) -> uuid.UUID:
    """Return the UUID.

    Refuses every spelling but the canonical one: `uuid.UUID` also takes braces, URNs and bare digits.
    """
    try:
        value = uuid.UUID(text)
    except ValueError:
        raise InvalidToken(f"{name} is no UUID") from None
    if str(value) != text:
        raise InvalidToken(f"{name} is no UUID")
    return value


def _maker(claims: dict[str, Any]) -> SignedToken | None:
    maker = claims.get("maker")
    if maker is None:
        return None
    if not isinstance(maker, dict):
        raise InvalidToken("maker is no token")
    return SignedToken(_text(maker, "jti"), _text(maker, "sub"), _instant(maker, "iat"))


def _maker_token_id(claims: dict[str, Any]) -> TokenId | None:
    if claims.get("maker_token") is None:
        return None
    return TokenId(_uuid(_text(claims, "maker_token"), "maker_token"))


def _client(claims: dict[str, Any]) -> ClientClaim | None:
    client = claims.get("client")
    if client is None:
        return None
    if not isinstance(client, dict) or claims.get("permissions") is None:
        raise InvalidToken("client is no client of a partner")
    return ClientClaim(TokenId(_uuid(_text(client, "id"), "client")), _text(client, "secret"))


def _role(claims: dict[str, Any], client: ClientClaim | None) -> Role:
    value = claims.get("role")
    if not isinstance(value, str) or value not in Role.__members__:
        raise InvalidToken("no role")
    if (value == Role.INTEGRATION) != (client is not None):
        raise InvalidToken("a role that does not fit: partners have clients, people have none")
    return Role(value)


def _grants(claims: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the grants of a token; None if it has no such claim. Raises `InvalidToken` for an unknown permission."""
    value = claims.get("permissions")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(grant, str) for grant in value):
        raise InvalidToken("permissions are no list of names")
    try:
        parse_grants(value)
    except UnknownGrant:
        raise InvalidToken("an unknown permission") from None
    return tuple(value)
