"""Where a request comes from. Behind proxies that are trusted it is what the nearest of them says."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from loyalty.rules.network import is_within

FORWARDED_FOR = "x-forwarded-for"
MAX_HOPS = 20
"""Addresses of the header that are looked at, from the right."""


class Peers:
    """Notes the caller's address for those who ask for it with `peer_of`."""

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[str] = ()) -> None:
        self.app = app
        self._trusted = tuple(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or socket on."""
        if scope["type"] in {"http", "websocket"}:
            scope.setdefault("state", {})["peer"] = find_peer(scope, self._trusted)
        await self.app(scope, receive, send)


def peer_of(scope: Scope) -> str | None:
    """The caller's address, None when there is none, as on a Unix socket."""
    peer: str | None = scope.get("state", {}).get("peer")
    return peer


def find_peer(scope: Scope, trusted: Sequence[str]) -> str | None:
    """The address of the last one in the chain of proxies that is not trusted.

    Each proxy appends to the header the address that it was called from. What stands further left was said by
    somebody who is not trusted, and counts nothing.
    """
    client = scope.get("client")
    peer: str | None = client[0] if client else None
    if not trusted or not is_within(peer, trusted):
        return peer
    said = ",".join(Headers(scope=scope).getlist(FORWARDED_FOR)).split(",")
    for address in [one.strip() for one in reversed(said)][:MAX_HOPS]:
        if not address:
            return peer
        peer = address
        if not is_within(address, trusted):
            return peer
    return peer
