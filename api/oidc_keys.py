"""The public keys of identity providers: found by discovery, kept for an hour, read again for an unknown key.

Unknown keys cause at most one request in a minute to a provider, for any number of tokens and senders.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from api.oidc_fetch import FetchFailed

DISCOVERY = "/.well-known/openid-configuration"
KEYS_SECONDS = 3_600.0
"""How long keys are kept before they are read again."""

UNKNOWN_KEY_SECONDS = 60.0
"""For so long after keys were read, an unknown key does not cause another read."""

FAILURE_SECONDS = 10.0
"""For so long after a failed read, the provider is not asked again."""

MAX_KEYS = 50
MAX_PROVIDERS = 1_000
MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192

type_of_algorithm = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}

PublicKey = RSAKey | ECKey | OKPKey

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.oidc")


@dataclass(slots=True)
class _Provider:
    """The keys and the discovery document of one provider, and when they were read."""

    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)
    read_at: float | None = None
    failed_at: float | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class ProviderKeys:
    """Keys of providers by their issuer. `fetch` reads the JSON object at an address, or raises `FetchFailed`."""

    def __init__(
        self, fetch: Callable[[str], Awaitable[dict[str, Any]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._providers: OrderedDict[str, _Provider] = OrderedDict()

    async def find(self, issuer: str, key_id: str, algorithm: str) -> PublicKey | None:
        """Return the key with this id for this algorithm; None if the provider has no such key, or cannot be read."""
        found = (await self._read_if_due(issuer, key_id)).keys.get(key_id)
        return None if found is None else _import(found, algorithm)

    async def describe(self, issuer: str) -> dict[str, Any] | None:
        """Return the discovery document that was read with the provider's keys; None if it cannot be read."""
        return (await self._read_if_due(issuer, None)).described or None

    async def _read_if_due(self, issuer: str, key_id: str | None) -> _Provider:
        """Return the remembered keys of a provider, after reading them again if that is due."""
        provider = self._providers.setdefault(issuer, _Provider())
        self._providers.move_to_end(issuer)
        while len(self._providers) > MAX_PROVIDERS:
            self._providers.popitem(last=False)
        if self._is_due(provider, key_id):
            async with provider.reading:
                if self._is_due(provider, key_id):
                    await self._read(provider, issuer)
        return provider

    def _is_due(self, provider: _Provider, key_id: str | None) -> bool:
        now = self._clock()
        if provider.failed_at is not None and now - provider.failed_at < FAILURE_SECONDS:
            return False
        if provider.read_at is None:
            return True
        age = now - provider.read_at
        is_unknown = key_id is not None and key_id not in provider.keys
        return age >= KEYS_SECONDS or (is_unknown and age >= UNKNOWN_KEY_SECONDS)

    async def _discover(self, issuer: str) -> tuple[dict[str, Any], list[Any]]:
        """Read the discovery document and the published keys of an issuer. Raises `FetchFailed`."""
        described = await self._fetch(issuer.rstrip("/") + DISCOVERY)
        if described.get("issuer") != issuer:
            raise FetchFailed("discovery names another issuer")
        address = described.get("jwks_uri")
        if not isinstance(address, str):
            raise FetchFailed("discovery names no keys")
        keys = (await self._fetch(address)).get("keys")
        if not isinstance(keys, list) or len(keys) > MAX_KEYS:
            raise FetchFailed("no list of keys")
        return described, keys

    async def _read(self, provider: _Provider, issuer: str) -> None:
        """Read the discovery document and the keys.

        If the read fails, the earlier ones are kept until they are twice ``KEYS_SECONDS`` old.
        """
        try:
            described, keys = await self._discover(issuer)
        except FetchFailed as failed:
            log.warning("the keys of an identity provider cannot be read", issuer=issuer, reason=str(failed))
            provider.failed_at = self._clock()
            if provider.read_at is not None and self._clock() - provider.read_at >= 2 * KEYS_SECONDS:
                provider.keys, provider.described, provider.read_at = {}, {}, None
            return
        provider.keys, provider.described = _by_id(keys), described
        provider.read_at, provider.failed_at = self._clock(), None


def _by_id(keys: list[Any]) -> dict[str, dict[str, Any]]:
    """Return the keys by their id. An id that two keys have is left out."""
    found: dict[str, dict[str, Any]] = {}
    twice: set[str] = set()
    for key in keys:
        key_id = key.get("kid") if isinstance(key, dict) else None
        if isinstance(key_id, str) and key_id:
            twice |= {key_id} & found.keys()
            found[key_id] = key
    return {key_id: key for key_id, key in found.items() if key_id not in twice}


def _import(key: dict[str, Any], algorithm: str) -> PublicKey | None:
    """Return the key if it is public and meant for signatures with this algorithm."""
    if not _is_meant_for(key, algorithm):
        return None
    try:
        imported = JWKRegistry.import_key({name: value for name, value in key.items() if name in _PUBLIC})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(imported, RSAKey):
        return imported if MIN_RSA_BITS <= imported.public_key.key_size <= MAX_RSA_BITS else None
    if isinstance(imported, ECKey | OKPKey) and imported.curve_name == _CURVES[algorithm]:
        return imported
    return None


def _is_meant_for(key: dict[str, Any], algorithm: str) -> bool:
    if key.get("kty") != type_of_algorithm.get(algorithm) or key.get("use", "sig") != "sig":
        return False
    operations = key.get("key_ops", ["verify"])
    return key.get("alg", algorithm) == algorithm and isinstance(operations, list) and "verify" in operations


_CURVES = {"ES256": "P-256", "EdDSA": "Ed25519"}
_PUBLIC = frozenset({"kty", "n", "e", "crv", "x", "y"})
