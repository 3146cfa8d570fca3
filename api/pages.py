"""Browser pages that call from another origin (CORS).

A preflight carries no credential, so it tells nothing about a tenant. The answer is the same for every origin that a
tenant could allow. The `Origin` of the request itself is checked when its tenant is known. An earlier answer (401, 413,
503 and the like) tells nothing about a tenant. A page must be able to read it to sign in again, so its headers name the
origin, too. A page that the tenant does not allow cannot read the answer.
"""

from collections.abc import Collection
from dataclasses import replace

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import RequestRefused
from loyalty.rules.origins import SHOWN_LENGTH, SHOWN_SCHEMES, Origin, is_allowed, is_of_service, read_sent_origin
from permissions.actor import Actor
from schema.masking import ErrorCode

PREFLIGHT_SECONDS = 7_200
"""The time for which a browser may remember a preflight: the longest that Chrome accepts. It is the same for all
tenants."""

REQUEST_HEADERS = (
    "accept",
    "accept-language",
    "apollo-require-preflight",
    "apollographql-client-name",
    "apollographql-client-version",
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "content-type",
    "graphql-client-name",
    "graphql-client-version",
    "graphql-require-preflight",
    "idempotency-key",
    "last-event-id",
    "pragma",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-apollo-operation-id",
    "x-apollo-operation-name",
    "x-graphql-client-name",
    "x-graphql-client-version",
    "x-request-id",
    "x-requested-with",
)
"""The headers that Apollo, urql, Relay, graphql-sse, Sentry and OpenTelemetry send."""

ANSWER_HEADERS = (
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "www-authenticate",
    "x-request-id",
)
"""The headers of an answer that a page may read beside its media type."""

ORIGIN_NOT_ALLOWED = "ORIGIN_NOT_ALLOWED"
MAX_LOGGED_HEADERS = 10
_REFUSED = "page_refused"

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.pages")


class PageRefused(Exception):
    """The tenant does not allow the origin of the page. The message says who can allow it."""


class PageHeaders:
    """The outermost layer: gives answers the headers with which a page of another origin may read them.

    It does so at one path, and at all paths that begin with a prefix.
    """

    def __init__(self, app: ASGIApp, path: str, prefix: str) -> None:
        self.app = app
        self.path = path
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. A request without an `Origin` does not come from a page of another origin."""
        origin = None
        if scope["type"] == "http" and (scope["path"] == self.path or scope["path"].startswith(self.prefix)):
            origin = _read_sent_origin(Headers(scope=scope))
        if origin is None:
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        shown = str(origin)

        async def send_to_page(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                headers.add_vary_header("Origin")
                if not state.get(_REFUSED):
                    headers["access-control-allow-origin"] = shown
                    headers["access-control-expose-headers"] = ", ".join(ANSWER_HEADERS)
                message = {**message, "headers": headers.raw}
            await send(message)

        await self.app(scope, receive, send_to_page)


def is_preflight(headers: Headers) -> bool:
    """Return whether an OPTIONS request is a browser's question before the real request."""
    return "origin" in headers and "access-control-request-method" in headers


def answer_preflight(headers: Headers) -> Response:
    """Return the methods and headers that a page may send.

    They are the same for every origin that a tenant could allow. Raises `RequestRefused` for an origin that no tenant
    can allow.
    """
    if _read_sent_origin(headers) is None:
        shown = headers["origin"][:SHOWN_LENGTH]
        log.info("a preflight of no usable origin was refused", origin=shown)
        raise RequestRefused(
            403,
            ErrorCode.FORBIDDEN,
            f"A page of the origin {shown!r} cannot call: serve it from {SHOWN_SCHEMES}.",
            reason=ORIGIN_NOT_ALLOWED,
        )
    asked = headers.get("access-control-request-headers", "").lower().split(",")
    if strange := sorted({name.strip() for name in asked} - {"", *REQUEST_HEADERS}):
        log.info(
            "a page wants to send headers that no page may send; leave them out",
            origin=headers["origin"][:SHOWN_LENGTH],
            headers=[name[:SHOWN_LENGTH] for name in strange[:MAX_LOGGED_HEADERS]],
        )
    return Response(
        status_code=204,
        headers={
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": ", ".join(REQUEST_HEADERS),
            "access-control-max-age": str(PREFLIGHT_SECONDS),
            "vary": "Access-Control-Request-Headers",
        },
    )


def admit_page(actor: Actor, headers: Headers, scope: Scope, everywhere: Collection[str]) -> Actor:
    """Return the actor if the page may call. If the tenant allows the page's origin, the actor gets that origin.

    Servers and apps send no `Origin`, so nothing is checked for them. `everywhere` are origins that may call for every
    tenant. Raises `PageRefused`.
    """
    if "origin" not in headers or headers.get("sec-fetch-site") == "same-origin":
        return actor
    origin = _read_sent_origin(headers)
    if origin is not None:
        if is_of_service(origin, headers.get("host")) or is_allowed(origin, everywhere):
            return actor
        actor = replace(actor, origin=origin)
        if actor.comes_from_allowed_page:
            return actor
    hide_from_page(scope)
    shown = headers["origin"][:SHOWN_LENGTH] if origin is None else str(origin)
    log.info(
        "a page was refused: its origin is not among the allowed origins of its tenant",
        origin=shown,
        tenant=str(actor.tenant_id),
        remedy="allowedOriginsSet",
    )
    if origin is None:
        raise PageRefused(f"Pages of the origin {shown!r} cannot be allowed: serve the page from {SHOWN_SCHEMES}.")
    raise PageRefused(
        f"Pages of {shown} may not call for this tenant. Who holds LOYALTY_MANAGE allows them with allowedOriginsSet."
    )


def hide_from_page(scope: Scope) -> None:
    """Leave out the headers with which a page of another origin could read the answer."""
    scope["state"][_REFUSED] = True


def _read_sent_origin(headers: Headers) -> Origin | None:
    """Return the origin of the calling page; None if there is none, more than one, or one that no tenant can allow."""
    sent = headers.getlist("origin")
    return read_sent_origin(sent[0]) if len(sent) == 1 else None
