"""The probes: /healthz says whether the process lives, /readyz whether it can serve.

Neither tells a caller the reason.
"""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

READY_SECONDS = 3.0
"""A check that takes longer counts as failed."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.health")


def health_routes(ready: Callable[[], Awaitable[None]]) -> list[Route]:
    """Return the routes of both probes. `ready` raises if the process cannot serve.

    Probes come every few seconds, so only a changed answer is logged.
    """
    was_ready = True

    async def healthz(_request: Request) -> Response:
        return _answer(200, "ok")

    async def readyz(_request: Request) -> Response:
        nonlocal was_ready
        try:
            async with asyncio.timeout(READY_SECONDS):
                await ready()
        except Exception as error:  # noqa: BLE001 - whatever it is, we are not ready
            if was_ready:
                log.warning("not ready", reason=type(error).__name__)
            was_ready = False
            return _answer(503, "unavailable")
        if not was_ready:
            log.info("ready again")
        was_ready = True
        return _answer(200, "ok")

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]


def _answer(status: int, word: str) -> Response:
    body = orjson.dumps({"status": word})
    return Response(body, status_code=status, headers={"cache-control": "no-store"}, media_type="application/json")
