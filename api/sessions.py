"""The cookie of a person who signed in with a browser: what it looks like, who may send it, and whom it stands for.

A browser sends a cookie with every call, even with one that another site made it send. So a request counts only when it
comes from a page of the service's own address. Its `Origin` says so, and it has a header that no page of another origin
may send. A WebSocket has the `Origin` alone, which browsers always send there.
"""

import datetime as dt
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response

from api.authentication import Unauthenticated
from api.tokens import hash_token, is_token, make_token
from loyalty.rules.ids import TenantId
from loyalty.rules.origins import SHOWN_LENGTH
from loyalty.rules.sign_in import SignInAddress
from permissions.actor import Actor

SESSION_HEADER = "x-treue-session"
SESSION_HEADER_VALUE = "1"
SESSION_KIND = "session"
CROSS_SITE = "CROSS_SITE_REQUEST"
"""Why a request with a session is refused that no page of the service's own address made."""

MAX_REMEMBERED_SESSIONS = 10_000
MAX_COOKIE_HEADER_LENGTH = 16_384
"""Characters of all cookies of a request; longer ones hold no cookie of ours."""

_COOKIE = re.compile(r"(?P<tenant>[0-9a-f]{32})\.(?P<secret>[0-9A-Za-z_]+)", re.ASCII)

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.sessions")


class ForeignPage(Exception):
    """A request with a session cookie that no page of the service's own address made. The message says why."""


class CookieJar(NamedTuple):
    """How cookies are named and kept at an address: with the prefix `__Host-` where it is https."""

    address: SignInAddress

    def name(self, purpose: str) -> str:
        """The name of a cookie."""
        return f"__Host-treue_{purpose}" if self.address.is_secure else f"treue_{purpose}"

    def find(self, headers: Headers, purpose: str) -> str | None:
        """The value of a cookie. None where there is none, or more than one: then nobody knows whose it is."""
        text = "; ".join(headers.getlist("cookie"))
        if len(text) > MAX_COOKIE_HEADER_LENGTH:
            return None
        name = self.name(purpose)
        pairs = (part.strip().partition("=") for part in text.split(";"))
        found = [value for key, _, value in pairs if key == name]
        return found[0] if len(found) == 1 else None

    def set(self, response: Response, purpose: str, value: str, lifetime: dt.timedelta) -> None:
        """Let the browser keep a cookie that no script reads and no other site's form sends."""
        seconds = int(lifetime.total_seconds())
        response.set_cookie(
            self.name(purpose), value, seconds, path="/", secure=self.address.is_secure, httponly=True, samesite="lax"
        )

    def delete(self, response: Response, purpose: str) -> None:
        """Let the browser forget a cookie."""
        response.delete_cookie(
            self.name(purpose), path="/", secure=self.address.is_secure, httponly=True, samesite="lax"
        )


class NewSession(NamedTuple):
    """The cookie of a new session, and the hash of its secret, which is what is stored."""

    cookie: str
    sha256: str


def make_session(tenant_id: TenantId) -> NewSession:
    """Return a new cookie value for a session of a tenant, and its hash. It stores nothing."""
    secret = make_token(SESSION_KIND)
    return NewSession(f"{tenant_id.hex}.{secret.text}", secret.sha256)


FindSession = Callable[[TenantId, str], Awaitable[Actor | None]]
"""Finds the actor that a session describes, by the hash of its secret."""


class StaffSessions:
    """Turns session cookies into actors. `find` reads a session, `read_standing` whether it stands now."""

    def __init__(self, jar: CookieJar, find: FindSession, read_standing: Callable[[Actor], Awaitable[Actor]]) -> None:
        self.jar = jar
        self._find = find
        self._read_standing = read_standing
        # What a session says never changes; whether it stands is read every time.
        self._known: OrderedDict[tuple[TenantId, str], Actor] = OrderedDict()

    def cookie_of(self, headers: Headers) -> str | None:
        """The session cookie of a request without an Authorization header; None where there is none."""
        return self.jar.find(headers, SESSION_KIND)

    async def actor_of(self, cookie: str) -> Actor:
        """The person as they stand now. Raises `Unauthenticated`, or `TenantNotActive`."""
        place = _read_cookie(cookie)
        known = self._known.get(place) if place else None
        if place is not None and known is None:
            known = await self._find(*place)
        if place is None or known is None:
            raise Unauthenticated("The session is over: sign in again.")
        self._remember(place, known)
        try:
            return await self._read_standing(known)
        except Unauthenticated:
            self._known.pop(place, None)
            raise Unauthenticated("The session is over: sign in again.") from None

    async def find_person(self, cookie: str) -> Actor | None:
        """Whom a session describes, whether they stand or not; None for a cookie without a session."""
        place = _read_cookie(cookie)
        return await self._find(*place) if place else None

    def refuse_foreign_page(self, headers: Headers, *, is_socket: bool = False) -> None:
        """Raise `ForeignPage` unless a page of the service's own address makes the request."""
        origins = headers.getlist("origin")
        is_own = origins == [self.jar.address.origin]
        if not origins and not is_socket:
            is_own = headers.get("sec-fetch-site") == "same-origin"
        if not is_own:
            log.info(
                "a session cookie of another page was refused", origin=origins[0][:SHOWN_LENGTH] if origins else None
            )
            raise ForeignPage(f"A session counts in pages of {self.jar.address.origin} only.")
        if not is_socket and headers.getlist(SESSION_HEADER) != [SESSION_HEADER_VALUE]:
            raise ForeignPage(f"Send the header {SESSION_HEADER}: {SESSION_HEADER_VALUE} with a session.")

    def _remember(self, place: tuple[TenantId, str], actor: Actor) -> None:
        self._known[place] = actor
        self._known.move_to_end(place)
        if len(self._known) > MAX_REMEMBERED_SESSIONS:
            self._known.popitem(last=False)


def _read_cookie(cookie: str) -> tuple[TenantId, str] | None:
    """The tenant that a cookie names, and the hash of its secret; None for what is no cookie of ours."""
    parts = _COOKIE.fullmatch(cookie)
    if parts is None or not is_token(parts["secret"]):
        return None
    return TenantId(UUID(parts["tenant"])), hash_token(parts["secret"])
