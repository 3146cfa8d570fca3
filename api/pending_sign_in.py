"""What a browser keeps while it is at the provider: state, nonce and PKCE verifier, encrypted in a short-lived cookie.

So a sign-in can only end in the browser in which it began, at the provider at which it began, and nobody can fill a
table with sign-ins that never end.
"""

import base64
import binascii
import datetime as dt
import os
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from loyalty.rules.ids import TenantId
from loyalty.rules.staff_session import SIGN_IN_SECONDS

PENDING_KIND = "sign_in"
MAX_PENDING_LENGTH = 4_000
"""Characters of the cookie: browsers keep 4,096 bytes with its name."""

_NONCE_LENGTH = 12


class SignInPlace(NamedTuple):
    """The provider of a tenant at which somebody signs in."""

    tenant_id: TenantId
    provider_id: UUID


class PendingSignIn(NamedTuple):
    """A sign-in that has begun. ``session`` is what authlib's client keeps."""

    session: dict[str, Any]
    return_path: str


class PendingSignIns:
    """Seals and opens the cookie. ``keys`` have 32 bytes each: the first one seals, all of them open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, place: SignInPlace, pending: PendingSignIn, now: dt.datetime) -> str:
        """The value of the cookie, for this provider alone. Raises ValueError where a browser would not keep it."""
        nonce = os.urandom(_NONCE_LENGTH)
        until = int(now.timestamp()) + SIGN_IN_SECONDS
        text = orjson.dumps({"session": pending.session, "return": pending.return_path, "until": until})
        sealed = nonce + self._ciphers[0].encrypt(nonce, text, _name(place))
        value = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        if len(value) > MAX_PENDING_LENGTH:
            raise ValueError("too long for a cookie")
        return value

    def open(self, place: SignInPlace, value: str, now: dt.datetime) -> PendingSignIn | None:
        """The sign-in that began at this provider; None for any other text, and for one that took too long."""
        if len(value) > MAX_PENDING_LENGTH:
            return None
        try:
            sealed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        except (ValueError, binascii.Error):
            return None
        opened = (_decrypt(cipher, sealed, _name(place)) for cipher in self._ciphers)
        text = next((one for one in opened if one is not None), None)
        if text is None:
            return None
        read = orjson.loads(text)
        return None if read["until"] <= now.timestamp() else PendingSignIn(read["session"], read["return"])


def _decrypt(cipher: AESGCM, sealed: bytes, name: bytes) -> bytes | None:
    try:
        return cipher.decrypt(sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:], name)
    except (InvalidTag, ValueError):
        return None


def _name(place: SignInPlace) -> bytes:
    return b"sign-in" + place.tenant_id.bytes + place.provider_id.bytes
