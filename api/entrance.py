"""How a request or socket gets in: its credential or cookie becomes an actor, and its page must be allowed."""

from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from api.authentication import Unauthenticated
from api.errors import not_active, page_refused, unauthenticated, unavailable
from api.pages import ORIGIN_NOT_ALLOWED, PageRefused, admit_page, hide_from_page
from api.peers import peer_of
from api.requests import note_actor
from api.sessions import CROSS_SITE, ForeignPage, StaffSessions
from loyalty.rules.errors import TenantNotActive
from permissions.actor import Actor
from schema.masking import UNAVAILABLE_MESSAGE


class Entrance(NamedTuple):
    """What lets a request in.

    ``authenticate`` turns the value of an Authorization header, and the caller's address, into an actor. Pages of
    ``allowed_origins`` may call for every tenant. ``unavailable`` is what is raised while the database is away.
    ``sessions`` let people in by a cookie where there is no Authorization header; without them no cookie counts.
    """

    authenticate: Callable[[str | None, str | None], Awaitable[Actor]]
    allowed_origins: Collection[str]
    unavailable: tuple[type[Exception], ...]
    sessions: StaffSessions | None = None

    async def admit(self, request: Request) -> Actor:
        """Who calls, as the access log then knows. Raises `RequestRefused`."""
        actor = await self._authenticate(request)
        note_actor(request.scope, actor)
        if actor.session is not None:
            return actor  # of a page of the service's own address, which was looked at before
        try:
            return admit_page(actor, request.headers, request.scope, self.allowed_origins)
        except PageRefused as refused:
            raise page_refused(str(refused), ORIGIN_NOT_ALLOWED) from None

    async def admit_socket(self, headers: Headers, scope: Scope, authorization: str | None) -> Actor:
        """Who introduces a socket: by a credential, else by the cookie of the handshake.

        Raises `Unauthenticated`, `PageRefused`, `ForeignPage` or `TenantNotActive`.
        """
        cookie = self.sessions.cookie_of(headers) if self.sessions and authorization is None else None
        if self.sessions is not None and cookie is not None:
            self.sessions.refuse_foreign_page(headers, is_socket=True)
            actor = await self.sessions.actor_of(cookie)
            note_actor(scope, actor)
            return actor
        actor = await self.authenticate(authorization, peer_of(scope))
        note_actor(scope, actor)
        return admit_page(actor, headers, scope, self.allowed_origins)

    async def _authenticate(self, request: Request) -> Actor:
        headers = request.headers.getlist("authorization")
        if len(headers) > 1:
            raise unauthenticated("Send one Authorization header.", missing=False)
        cookie = self.sessions.cookie_of(request.headers) if self.sessions and not headers else None
        try:
            if self.sessions is not None and cookie is not None:
                self.sessions.refuse_foreign_page(request.headers)
                return await self.sessions.actor_of(cookie)
            return await self.authenticate(headers[0] if headers else None, peer_of(request.scope))
        except ForeignPage as refused:
            hide_from_page(request.scope)
            raise page_refused(str(refused), CROSS_SITE) from None
        except Unauthenticated as refused:
            raise unauthenticated(str(refused), missing=refused.missing) from None
        except TenantNotActive as refused:
            raise not_active(refused) from None
        except self.unavailable:
            raise unavailable(UNAVAILABLE_MESSAGE) from None
