"""The platform's own API: a small schema at its own address, for credentials of the platform only.

It runs in its own process and as another database role than the servers of tenants. So it cannot read a tenant's
customers or points, and those servers know no credential of the platform.
"""

import asyncio
import contextlib
import hmac
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.websockets import WebSocket

from api.app import GRAPHQL_PATH
from api.authentication import Unauthenticated, bearer_credential
from api.connections import OpenConnections
from api.errors import (
    RequestRefused,
    bad_request,
    not_found,
    page_refused,
    request_id_of,
    unauthenticated,
    unavailable,
)
from api.graphql import GraphQLView, refuse_other_bodies
from api.health import health_routes
from api.metrics import ServerMetrics
from api.negotiation import EVENT_STREAM
from api.peers import Peers, peer_of
from api.requests import RequestLog
from api.service import UNAVAILABLE
from api.tokens import hash_token, is_token
from loyalty.rules.platform import PlatformCaller
from loyalty.services.platform import find_caller
from loyalty.services.world import World
from permissions.actor import Actor
from schema.masking import UNAVAILABLE_MESSAGE, ErrorCode
from schema.platform.context import PlatformContext
from schema.platform.root import platform_schema
from tenancy.database import Database
from tenancy.metrics import collect_doors
from tenancy.startup import ANY_REVISION, refuse_unready
from tenancy.tracing import Tracer

MAX_REFUSED_TOKENS = 20
"""The number of wrong credentials that one address may send within the time."""

REFUSED_SECONDS = 60.0
MAX_WATCHED_ADDRESSES = 10_000
"""The number of addresses that a process remembers. The address that was refused longest ago is forgotten first."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.platform")


class RefusedTokens:
    """Counts wrong credentials for each address, and says how long an address must wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused: OrderedDict[str, list[float]] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """Return how many whole seconds the address must wait before it may try again; 0 if it may try now."""
        recent = self._recent(address)
        if len(recent) < MAX_REFUSED_TOKENS:
            return 0
        return max(1, int(recent[0] + REFUSED_SECONDS - self._clock()) + 1)

    def note(self, address: str) -> None:
        """Count one more wrong credential of the address."""
        self._refused[address] = [*self._recent(address), self._clock()][-MAX_REFUSED_TOKENS:]
        self._refused.move_to_end(address)
        if len(self._refused) > MAX_WATCHED_ADDRESSES:
            self._refused.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - REFUSED_SECONDS
        return [at for at in self._refused.get(address, ()) if at > since]


class PlatformView(GraphQLView):
    """The address of the platform's API: only HTTP, and only for servers."""

    def __init__(self, world: World, cursor_key: bytes) -> None:
        super().__init__(
            platform_schema(UNAVAILABLE), _refuse_everybody, _refuse_context, OpenConnections(_find_nobody)
        )
        self._world = world
        self._cursor_key = cursor_key
        self._refused = RefusedTokens()

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Any:
        """Authenticate, and make the context of this operation."""
        if not isinstance(request, Request) or not isinstance(response, Response):
            return None
        if "origin" in request.headers:
            raise page_refused("Pages of browsers cannot call the platform's API.", "ORIGIN_NOT_ALLOWED")
        refuse_other_bodies(request)
        if response.media_type == EVENT_STREAM:
            raise bad_request("The platform's API has no streams.")
        caller = await self._find_caller(request)
        request.scope["state"]["actor_kind"] = "PLATFORM"
        return PlatformContext(self._world, caller, request_id_of(request), self._cursor_key)

    async def _find_caller(self, request: Request) -> PlatformCaller:
        """Return the caller. Refuses a wrong credential, and an address that has sent too many of them."""
        address = peer_of(request.scope) or ""
        wait = self._refused.wait_seconds(address)
        if wait:
            raise RequestRefused(
                429,
                ErrorCode.RATE_LIMITED,
                "Too many wrong credentials came from this address.",
                {"retry-after": str(wait)},
                reason="TOO_MANY_WRONG_TOKENS",
            )
        caller = await self._read_caller(request)
        if caller is None:
            self._refused.note(address)
            log.warning("a credential of the platform was refused", address=address)
            raise unauthenticated("The credential is not valid.", missing=False)
        return caller

    async def _read_caller(self, request: Request) -> PlatformCaller | None:
        """Return the caller of the credential in the request; None if the credential is wrong."""
        headers = request.headers.getlist("authorization")
        try:
            token = bearer_credential(headers[0] if len(headers) == 1 else None)
        except Unauthenticated as refused:
            raise unauthenticated(str(refused), missing=refused.missing) from None
        if not is_token(token):
            return None
        try:
            return await find_caller(self._world, hash_token(token))
        except UNAVAILABLE:
            raise unavailable(UNAVAILABLE_MESSAGE) from None


async def _refuse_everybody(_authorization: str | None, _peer: str | None) -> Actor:
    """Refuse: no actor of a tenant may call here."""
    raise Unauthenticated("The credential is not valid.")


def _refuse_context(_request: object) -> object:
    raise TypeError("no operation of a tenant runs here")


async def _find_nobody(_tenant_id: object, _actors: object) -> set[Actor]:
    """Return no actors: this process has no open connections."""
    return set()


def build_platform(
    database: Database,
    *,
    trusted_proxies: Sequence[str] = (),
    registry: CollectorRegistry | None = None,
    newest_revision: str = ANY_REVISION,
    tracer: Tracer | None = None,
) -> Starlette:
    """Return the application of one process of the platform. ``database`` belongs to the relay's role.

    The process is not ready if the database is at an older revision than ``newest_revision``. Metrics go into
    ``registry``; ``tracer``, if given, gets spans of requests and operations. Cursors are sealed with a key made of the
    database's address, because the process has no key of tenants.
    """
    view = PlatformView(World(database), hmac.digest(database.url.encode(), b"platform cursors", "sha256"))

    metrics = None if registry is None else ServerMetrics(registry)
    if metrics is not None:
        metrics.collect_from(collect_doors("relay", database))
    view.executable.watch = metrics
    view.executable.tracer = tracer

    async def ready() -> None:
        await refuse_unready(database, newest_revision)

    @contextlib.asynccontextmanager
    async def run(_app: Starlette) -> AsyncIterator[None]:
        await refuse_unready(database)
        watching = None if metrics is None else asyncio.create_task(metrics.watch_loop())
        try:
            yield
        finally:
            if watching is not None:
                watching.cancel()
            await database.close()

    routes = [Route(GRAPHQL_PATH, view), *health_routes(ready)]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(RequestLog, watch=metrics, routes=[route.path for route in routes], tracer=tracer),
            Middleware(Peers, trusted_proxies=trusted_proxies),
        ],
        exception_handlers={HTTPException: not_found},
        lifespan=run,
    )
    app.router.redirect_slashes = False
    app.state.connections = view.connections
    return app
