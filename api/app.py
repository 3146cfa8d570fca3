"""Build the ASGI application from values. This module reads no settings and opens no connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route, WebSocketRoute

from api.connections import FindFallen, OpenConnections
from api.errors import not_found
from api.gift_cards import CARDS_PREFIX
from api.graphql import MAX_BODY_BYTES, GraphQLView
from api.health import health_routes
from api.operation import OperationRequest
from api.pages import PageHeaders
from api.peers import Peers
from api.requests import RequestLog, RequestWatch
from api.sdl import sdl_route
from api.sessions import StaffSessions
from permissions.actor import Actor
from schema.executable import ExecutableSchema, print_sdl
from tenancy.tracing import Tracer

GRAPHQL_PATH = "/graphql"


@contextlib.asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


def create_app(  # noqa: PLR0913 - one for each part, the optional ones by name
    schema: ExecutableSchema,
    authenticate: Callable[[str | None, str | None], Awaitable[Actor]],
    make_context: Callable[[OperationRequest], object],
    find_fallen: FindFallen,
    ready: Callable[[], Awaitable[None]],
    *,
    allowed_origins: Collection[str] = (),
    trusted_proxies: Sequence[str] = (),
    more_routes: Sequence[Route] = (),
    lifespan: Callable[[], AbstractAsyncContextManager[None]] = _nothing,
    max_body_bytes: int = MAX_BODY_BYTES,
    watch: RequestWatch | None = None,
    tracer: Tracer | None = None,
    sessions: StaffSessions | None = None,
) -> Starlette:
    """Return the application.

    `authenticate` turns the value of an Authorization header and the caller's address into an actor, or raises
    `Unauthenticated`. `make_context` makes the context of one operation. `find_fallen` is called every few seconds with
    the actors of each tenant that has open connections. `ready` raises if the process cannot serve. Pages of
    `allowed_origins` may call for every tenant; each tenant may allow more origins. `trusted_proxies` are networks: if
    a request comes from one of them, its header `X-Forwarded-For` names the caller's address. `more_routes` are served
    beside the API. `lifespan` is entered before the first request and left after the last. `watch` is called for every
    request; `tracer` makes a span for it. With `sessions` a person can call with a cookie.
    """
    connections = OpenConnections(find_fallen)
    view = GraphQLView(
        schema,
        authenticate,
        make_context,
        connections,
        allowed_origins=allowed_origins,
        max_body_bytes=max_body_bytes,
        sessions=sessions,
    )

    @contextlib.asynccontextmanager
    async def run(_app: Starlette) -> AsyncIterator[None]:
        async with lifespan():
            beside = [asyncio.create_task(connections.watch())]
            if watch is not None:
                beside.append(asyncio.create_task(watch.watch_loop()))
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                await connections.close_all()

    routes = [Route(GRAPHQL_PATH, view), sdl_route(print_sdl(schema)), *health_routes(ready), *more_routes]
    app = Starlette(
        routes=[*routes, WebSocketRoute(GRAPHQL_PATH, view)],
        middleware=[
            Middleware(PageHeaders, path=GRAPHQL_PATH, prefix=CARDS_PREFIX),
            Middleware(RequestLog, watch=watch, routes=[route.path for route in routes], tracer=tracer),
            Middleware(Peers, trusted_proxies=trusted_proxies),
        ],
        exception_handlers={HTTPException: not_found},
        lifespan=run,
    )
    app.router.redirect_slashes = False
    app.state.connections = connections
    app.state.view = view
    return app
