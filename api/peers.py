"""The address of the caller. Behind trusted proxies it is the address that the nearest of them reports."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from loyalty.rules.network import is_within

FORWARDED_FOR = "x-forwarded-for"
MAX_HOPS = 20
"""The number of addresses in the header that are read, from the right."""


class Peers:
    """Notes the caller's address, which `peer_of` returns later."""

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[str] = ()) -> None:
        self.app = app
        self._trusted = tuple(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or socket on."""
        if scope["type"] in {"http", "websocket"}:
            scope.setdefault("state", {})["peer"] = find_peer(scope, self._trusted)
        await self.app(scope, receive, send)


def peer_of(scope: Scope) -> str | None:
    """Return the caller's address; None if there is none, as on a Unix socket."""
    peer: str | None = scope.get("state", {}).get("peer")
    return peer


def find_peer(scope: Scope, trusted: Sequence[str]) -> str | None:
    """Return the last address in the chain of proxies that is not trusted.

    Each proxy appends to the header the address that called it. An address further left was written by a sender who is
    not trusted, so it is ignored.
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
