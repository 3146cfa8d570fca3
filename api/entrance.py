"""How an HTTP request gets in: its one Authorization header becomes an actor, and its page must be allowed."""

from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple

from starlette.requests import Request

from api.authentication import Unauthenticated
from api.errors import not_active, page_refused, unauthenticated, unavailable
from api.pages import ORIGIN_NOT_ALLOWED, PageRefused, admit_page
from api.peers import peer_of
from api.requests import note_actor
from loyalty.rules.errors import TenantNotActive
from permissions.actor import Actor
from schema.masking import UNAVAILABLE_MESSAGE


class Entrance(NamedTuple):
    """What lets a request in.

    ``authenticate`` turns the value of an Authorization header, and the caller's address, into an actor. Pages of
    ``allowed_origins`` may call for every tenant. ``unavailable`` is what is raised while the database is away.
    """

    authenticate: Callable[[str | None, str | None], Awaitable[Actor]]
    allowed_origins: Collection[str]
    unavailable: tuple[type[Exception], ...]

    async def admit(self, request: Request) -> Actor:
        """Who calls, as the access log then knows. Raises `RequestRefused`."""
        actor = await self._authenticate(request)
        note_actor(request.scope, actor)
        try:
            return admit_page(actor, request.headers, request.scope, self.allowed_origins)
        except PageRefused as refused:
            raise page_refused(str(refused), ORIGIN_NOT_ALLOWED) from None

    async def _authenticate(self, request: Request) -> Actor:
        headers = request.headers.getlist("authorization")
        if len(headers) > 1:
            raise unauthenticated("Send one Authorization header.", missing=False)
        try:
            return await self.authenticate(headers[0] if headers else None, peer_of(request.scope))
        except Unauthenticated as refused:
            raise unauthenticated(str(refused), missing=refused.missing) from None
        except TenantNotActive as refused:
            raise not_active(refused) from None
        except self.unavailable:
            raise unavailable(UNAVAILABLE_MESSAGE) from None
