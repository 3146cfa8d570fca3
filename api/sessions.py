"""The cookie of a person who signed in with a browser: its form, the pages that may send it, and its actor.

A browser sends a cookie with every call, even if another site made the call. So a request with a cookie is accepted
only from a page of the service's own address. Its `Origin` must say so, and it must have a header that no page of
another origin may send. For a WebSocket only the `Origin` is checked, which browsers always send there.
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
"""The reason of the refusal of a request with a session that a page of another address made."""

MAX_REMEMBERED_SESSIONS = 10_000
MAX_COOKIE_HEADER_LENGTH = 16_384
"""The number of characters of all cookies of a request. In a longer header no cookie is read."""

_COOKIE = re.compile(r"(?P<tenant>[0-9a-f]{32})\.(?P<secret>[0-9A-Za-z_]+)", re.ASCII)

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.sessions")


class ForeignPage(Exception):
    """A page of another address made a request with a session cookie. The message says why it is refused."""


class CookieJar(NamedTuple):
    """Names, reads and writes the cookies of an address.

    The names have the prefix `__Host-` if the address is https.
    """

    address: SignInAddress

    def name(self, purpose: str) -> str:
        """Return the name of a cookie."""
        return f"__Host-treue_{purpose}" if self.address.is_secure else f"treue_{purpose}"

    def find(self, headers: Headers, purpose: str) -> str | None:
        """Return the value of a cookie; None if there is none. None also for more than one: their origin is unclear."""
        text = "; ".join(headers.getlist("cookie"))
        if len(text) > MAX_COOKIE_HEADER_LENGTH:
            return None
        name = self.name(purpose)
        pairs = (part.strip().partition("=") for part in text.split(";"))
        found = [value for key, _, value in pairs if key == name]
        return found[0] if len(found) == 1 else None

    def set(self, response: Response, purpose: str, value: str, lifetime: dt.timedelta) -> None:
        """Let the browser keep a cookie. No script can read it, and no form of another site can send it."""
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
    """The cookie of a new session, and the hash of its secret. Only the hash is stored."""

    cookie: str
    sha256: str


def make_session(tenant_id: TenantId) -> NewSession:
    """Return a new cookie value for a session of a tenant, and its hash. It stores nothing."""
    secret = make_token(SESSION_KIND)
    return NewSession(f"{tenant_id.hex}.{secret.text}", secret.sha256)


FindSession = Callable[[TenantId, str], Awaitable[Actor | None]]
"""Finds the actor of a session by the hash of the session's secret."""


class StaffSessions:
    """Turns session cookies into actors. `find` reads a session, `read_standing` reads the standing of its actor."""

    def __init__(self, jar: CookieJar, find: FindSession, read_standing: Callable[[Actor], Awaitable[Actor]]) -> None:
        self.jar = jar
        self._find = find
        self._read_standing = read_standing
        # The person of a session never changes. Their standing does: it is read every time.
        self._known: OrderedDict[tuple[TenantId, str], Actor] = OrderedDict()

    def cookie_of(self, headers: Headers) -> str | None:
        """Return the session cookie of a request without an Authorization header; None if there is none."""
        return self.jar.find(headers, SESSION_KIND)

    async def actor_of(self, cookie: str) -> Actor:
        """Return the person with their standing now. Raises `Unauthenticated` or `TenantNotActive`."""
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
        """Return the person of a session without checking their standing; None for a cookie without a session."""
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
    """Return the tenant that a cookie names and the hash of its secret; None for a cookie of another form."""
    parts = _COOKIE.fullmatch(cookie)
    if parts is None or not is_token(parts["secret"]):
        return None
    return TenantId(UUID(parts["tenant"])), hash_token(parts["secret"])
