"""/schema.graphql: the printed schema, public, with an ETag so that tools fetch it only if it changed."""

import hashlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SDL_PATH = "/schema.graphql"


def sdl_route(sdl: str) -> Route:
    """Return the route that serves the schema."""
    body = sdl.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "no-cache"}

    async def serve_sdl(request: Request) -> Response:
        if _matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="text/plain; charset=utf-8")

    return Route(SDL_PATH, serve_sdl, methods=["GET"])


def _matches(if_none_match: str | None, etag: str) -> bool:
    """Compare ETags weakly, as RFC 9110, section 13.1.2 says."""
    if if_none_match is None:
        return False
    candidates = (candidate.strip().removeprefix("W/") for candidate in if_none_match.split(","))
    return any(candidate in {"*", etag} for candidate in candidates)
