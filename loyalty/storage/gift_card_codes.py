"""Store codes of gift cards so that a keyed hash finds them and decryption shows them again.

The same keys encrypt the secrets of tenants' applications at their identity providers. Keys of the issuer encrypt
browser sign-ins. The database never holds a code in clear, nor a key. So a copy of the database shows no code, and
checks no guess. Each key gives two: one hashes (HMAC-SHA-256 over tenant and code), one encrypts (AES-256-GCM, with
tenant and card as additional data). So a sealed code opens only for its own card.
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
"""The bytes of a key."""

MAX_KEYS = 10
"""The number of keys at one time: the newest one, and earlier ones."""

_KEY_NAME_LENGTH: Final = 4
_NONCE_LENGTH: Final = 12


class CodeUnreadable(Exception):
    """No key opens a sealed code or secret: its key is missing from the settings, or the row was changed."""


class CodeKeyMissing(CodeUnreadable):
    """The key that sealed a code is not one of the keys of this process."""


def new_code() -> GiftCardCode:
    """Return a new code, from the randomness of the operating system, so that it cannot be guessed."""
    while True:
        code = make_code(secrets.randbits(RANDOM_BITS))
        if code is not None:
            return code


class _Key(NamedTuple):
    """The two keys made of one secret. ``name`` says which secret sealed a code, and nothing about the secret."""

    name: bytes
    hashing: bytes
    sealing: AESGCM


@dataclass(frozen=True, slots=True, repr=False)
class CodeKeys:
    """The keys of this installation, the newest first. The newest hashes and seals; all of them find and open."""

    keys: tuple[_Key, ...]

    @classmethod
    def of(cls, secrets_: Sequence[bytes]) -> "CodeKeys":
        """Make the keys from secrets of 32 bytes, the newest first. Raises ValueError for wrong secrets."""
        if not 1 <= len(secrets_) <= MAX_KEYS or len(set(secrets_)) != len(secrets_):
            raise ValueError(f"needs 1 to {MAX_KEYS} different keys")
        if any(len(secret) != KEY_LENGTH for secret in secrets_):
            raise ValueError(f"needs keys of {KEY_LENGTH} bytes")
        return cls(tuple(_key(secret) for secret in secrets_))

    def hash(self, tenant_id: TenantId, code: GiftCardCode) -> bytes:
        """Return the hash by which a new card is found: 32 bytes, with the newest key."""
        return _hash(self._newest(), tenant_id, code)

    def hashes(self, tenant_id: TenantId, code: GiftCardCode) -> tuple[bytes, ...]:
        """Return the hashes by which the card of a code may be found: one for each key, the newest first."""
        self._newest()
        return tuple(_hash(key, tenant_id, code) for key in self.keys)

    def seal(self, tenant_id: TenantId, card_id: GiftCardId, code: GiftCardCode) -> bytes:
        """Return the encrypted code of a card, in the form of ``seal_text``."""
        return self.seal_text(_place(tenant_id, card_id), code)

    def open(self, tenant_id: TenantId, card_id: GiftCardId, sealed: bytes) -> GiftCardCode:
        """Return the code of a card. Raises CodeUnreadable if no key opens it."""
        return GiftCardCode(self.open_text(_place(tenant_id, card_id), sealed))

    def seal_text(self, place: bytes, text: str) -> bytes:
        """Encrypt a secret text for one place.

        Returns the name of the newest key, a nonce, and the result of AES-GCM.
        """
        key, nonce = self._newest(), os.urandom(_NONCE_LENGTH)
        return key.name + nonce + key.sealing.encrypt(nonce, text.encode(), place)

    def open_text(self, place: bytes, sealed: bytes) -> str:
        """Return the text that was sealed for a place. Raises CodeUnreadable if no key opens it."""
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
        """Return whether the newest key sealed this code.

        If not, it may be sealed and hashed again, so that its key can be removed.
        """
        return sealed.startswith(self._newest().name)

    def _newest(self) -> _Key:
        if not self.keys:
            raise RuntimeError("This process was given no keys for codes of gift cards.")
        return self.keys[0]


NO_CODE_KEYS: Final = CodeKeys(())
"""For processes that never handle a code of a gift card. Handling one there is a bug."""


def _key(secret: bytes) -> _Key:
    name, hashing, sealing = (hmac.digest(secret, purpose, "sha256") for purpose in (b"name", b"hash", b"seal"))
    return _Key(name[:_KEY_NAME_LENGTH], hashing, AESGCM(sealing))


def _hash(key: _Key, tenant_id: TenantId, code: GiftCardCode) -> bytes:
    return hmac.digest(key.hashing, tenant_id.bytes + code.encode(), "sha256")


def _place(tenant_id: TenantId, card_id: GiftCardId) -> bytes:
    return tenant_id.bytes + card_id.bytes
