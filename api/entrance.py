"""Admit a request or socket: turn its credential or cookie into an actor, and check the page that calls."""

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
    """Admits requests and sockets.

    ``authenticate`` turns the value of an Authorization header and the caller's address into an actor. Pages of
    ``allowed_origins`` may call for every tenant. ``unavailable`` are the errors that are raised while the database is
    away. ``sessions`` accept a cookie if there is no Authorization header; without them no cookie is accepted.
    """

    authenticate: Callable[[str | None, str | None], Awaitable[Actor]]
    allowed_origins: Collection[str]
    unavailable: tuple[type[Exception], ...]
    sessions: StaffSessions | None = None

    async def admit(self, request: Request) -> Actor:
        """Return the actor of a request, and note it for the access log. Raises `RequestRefused`."""
        sent = request.headers.getlist("authorization")
        if len(sent) > 1:
            raise unauthenticated("Send one Authorization header.", missing=False)
        try:
            return await self._find_actor(request.headers, request.scope, sent[0] if sent else None)
        except ForeignPage as refused:
            hide_from_page(request.scope)
            raise page_refused(str(refused), CROSS_SITE) from None
        except PageRefused as refused:
            raise page_refused(str(refused), ORIGIN_NOT_ALLOWED) from None
        except Unauthenticated as refused:
            raise unauthenticated(str(refused), missing=refused.missing) from None
        except TenantNotActive as refused:
            raise not_active(refused) from None
        except self.unavailable:
            raise unavailable(UNAVAILABLE_MESSAGE) from None

    async def admit_socket(self, headers: Headers, scope: Scope, authorization: str | None) -> Actor:
        """Return the actor of a socket, and note it for the access log.

        Raises `Unauthenticated`, `PageRefused`, `ForeignPage` or `TenantNotActive`.
        """
        return await self._find_actor(headers, scope, authorization, is_socket=True)

    async def _find_actor(
        self, headers: Headers, scope: Scope, authorization: str | None, *, is_socket: bool = False
    ) -> Actor:
        """Return the actor of the credential, else of the session cookie, after checking the page that calls."""
        cookie = self.sessions.cookie_of(headers) if self.sessions and authorization is None else None
        if self.sessions is None or cookie is None:
            actor = await self.authenticate(authorization, peer_of(scope))
            note_actor(scope, actor)
            return admit_page(actor, headers, scope, self.allowed_origins)
        self.sessions.refuse_foreign_page(headers, is_socket=is_socket)
        actor = await self.sessions.actor_of(cookie)
        note_actor(scope, actor)
        return actor
