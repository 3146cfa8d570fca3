"""How codes of gift cards are kept: found by a keyed hash, shown again by decrypting them. Secrets of the tenants'
applications at their identity providers are encrypted by the same keys, and browser sign-ins by keys of the issuer.

The database never holds a code in clear, nor the keys. So a copy of it shows no code, and checks no guess. Each key
makes two: one hashes (HMAC-SHA-256 over tenant and code), one encrypts (AES-256-GCM, with tenant and card as additional
data, so a sealed code opens only where it was put).
"""

import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from loyalty.rules.gift_card_code import RANDOM_BITS, GiftCardCode, make_code
from loyalty.rules.ids import GiftCardId, TenantId

KEY_LENGTH = 32
"""Bytes of a key."""

MAX_KEYS = 10
"""Keys at one time: the newest and those it took over from."""

_KEY_NAME_LENGTH: Final = 4
_NONCE_LENGTH: Final = 12


class CodeUnreadable(Exception):
    """A sealed code or secret that no key opens: its key is missing from the settings, or the row was tampered with."""


class CodeKeyMissing(CodeUnreadable):
    """The key that sealed a code is not among the keys of this process."""


def new_code() -> GiftCardCode:
    """A code that nobody can guess, from the randomness of the operating system."""
    while True:
        code = make_code(secrets.randbits(RANDOM_BITS))
        if code is not None:
            return code


class _Key(NamedTuple):
    """What one key is used for. ``name`` says which key sealed a code, and nothing about the key."""

    name: bytes
    hashing: bytes
    sealing: AESGCM


@dataclass(frozen=True, slots=True, repr=False)
class CodeKeys:
    """The keys of this installation, the newest first: it hashes and seals, and all of them find and open."""

    keys: tuple[_Key, ...]

    @classmethod
    def of(cls, secrets_: Sequence[bytes]) -> "CodeKeys":
        """The keys that secrets of 32 bytes make, the newest first. Raises ValueError for wrong secrets."""
        if not 1 <= len(secrets_) <= MAX_KEYS or len(set(secrets_)) != len(secrets_):
            raise ValueError(f"needs 1 to {MAX_KEYS} different keys")
        if any(len(secret) != KEY_LENGTH for secret in secrets_):
            raise ValueError(f"needs keys of {KEY_LENGTH} bytes")
        return cls(tuple(_key(secret) for secret in secrets_))

    def hash(self, tenant_id: TenantId, code: GiftCardCode) -> bytes:
        """What a new card is found by: 32 bytes, of the newest key."""
        return _hash(self._newest(), tenant_id, code)

    def hashes(self, tenant_id: TenantId, code: GiftCardCode) -> tuple[bytes, ...]:
        """What the card of a code may be found by: one hash for each key, the newest first."""
        self._newest()
        return tuple(_hash(key, tenant_id, code) for key in self.keys)

    def seal(self, tenant_id: TenantId, card_id: GiftCardId, code: GiftCardCode) -> bytes:
        """The encrypted code of a card, as ``seal_text`` makes it."""
        return self.seal_text(_place(tenant_id, card_id), code)

    def open(self, tenant_id: TenantId, card_id: GiftCardId, sealed: bytes) -> GiftCardCode:
        """The code of a card. Raises CodeUnreadable where no key opens it."""
        return GiftCardCode(self.open_text(_place(tenant_id, card_id), sealed))

    def seal_text(self, place: bytes, text: str) -> bytes:
        """A secret text, encrypted for one place: the name of the newest key, a nonce, and what AES-GCM gives."""
        key, nonce = self._newest(), os.urandom(_NONCE_LENGTH)
        return key.name + nonce + key.sealing.encrypt(nonce, text.encode(), place)

    def open_text(self, place: bytes, sealed: bytes) -> str:
        """The text that was sealed for a place. Raises CodeUnreadable where no key opens it."""
        name, nonce = sealed[:_KEY_NAME_LENGTH], sealed[_KEY_NAME_LENGTH : _KEY_NAME_LENGTH + _NONCE_LENGTH]
        body = sealed[_KEY_NAME_LENGTH + _NONCE_LENGTH :]
        key = next((key for key in self.keys if hmac.compare_digest(key.name, name)), None)
        if key is None:
            raise CodeKeyMissing("The key that sealed this secret is not among the keys of this process.")
        try:
            return key.sealing.decrypt(nonce, body, place).decode()
        except (InvalidTag, ValueError) as error:
            raise CodeUnreadable("This sealed secret was changed, or moved from another place.") from error

    def is_current(self, sealed: bytes) -> bool:
        """Whether the newest key sealed this code; else it may be sealed and hashed again, and its key end."""
        return sealed.startswith(self._newest().name)

    def _newest(self) -> _Key:
        if not self.keys:
            raise RuntimeError("This process was given no keys for codes of gift cards.")
        return self.keys[0]


NO_CODE_KEYS: Final = CodeKeys(())
"""For processes that never meet a code of a gift card; meeting one is a bug there."""


def _key(secret: bytes) -> _Key:
    name, hashing, sealing = (hmac.digest(secret, purpose, "sha256") for purpose in (b"name", b"hash", b"seal"))
    return _Key(name[:_KEY_NAME_LENGTH], hashing, AESGCM(sealing))


def _hash(key: _Key, tenant_id: TenantId, code: GiftCardCode) -> bytes:
    return hmac.digest(key.hashing, tenant_id.bytes + code.encode(), "sha256")


def _place(tenant_id: TenantId, card_id: GiftCardId) -> bytes:
    return tenant_id.bytes + card_id.bytes
