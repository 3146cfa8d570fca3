"""The state of a sign-in while the browser is at the provider: state, nonce and PKCE verifier, in an encrypted cookie.

The cookie is short-lived. So a sign-in can end only in the browser and at the provider where it began. And nobody can
fill a table with sign-ins that never end.
"""

import base64
import datetime as dt
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from loyalty.rules.ids import TenantId
from loyalty.rules.staff_session import SIGN_IN_SECONDS
from loyalty.storage.gift_card_codes import CodeKeys, CodeUnreadable

PENDING_KIND = "sign_in"
MAX_PENDING_LENGTH = 4_000
"""The number of characters of the cookie: browsers keep 4,096 bytes including its name."""


class SignInPlace(NamedTuple):
    """A tenant and its provider at which a person signs in."""

    tenant_id: TenantId
    provider_id: UUID


class PendingSignIn(NamedTuple):
    """A sign-in that has begun. ``session`` is the session data of authlib's client."""

    session: dict[str, Any]
    return_path: str


class PendingSignIns:
    """Encrypts and decrypts the cookie. ``keys`` have 32 bytes each: the first one encrypts, all of them decrypt."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = CodeKeys.of(keys)

    def seal(self, place: SignInPlace, pending: PendingSignIn, now: dt.datetime) -> str:
        """Return the value of the cookie, for this provider only. Raises ValueError if it is too long for a browser."""
        until = int(now.timestamp()) + SIGN_IN_SECONDS
        text = orjson.dumps({"session": pending.session, "return": pending.return_path, "until": until}).decode()
        sealed = self._keys.seal_text(_name_place(place), text)
        value = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        if len(value) > MAX_PENDING_LENGTH:
            raise ValueError("too long for a cookie")
        return value

    def open(self, place: SignInPlace, value: str, now: dt.datetime) -> PendingSignIn | None:
        """Return the sign-in that began at this provider; None for any other text, and for one that took too long."""
        if len(value) > MAX_PENDING_LENGTH:
            return None
        try:
            sealed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            text = self._keys.open_text(_name_place(place), sealed)
        except (ValueError, CodeUnreadable):
            return None
        read = orjson.loads(text)
        return None if read["until"] <= now.timestamp() else PendingSignIn(read["session"], read["return"])


def _name_place(place: SignInPlace) -> bytes:
    return b"sign-in" + place.tenant_id.bytes + place.provider_id.bytes
