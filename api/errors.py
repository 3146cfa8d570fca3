"""The answers to requests that the edge refuses: JSON in the shape of a GraphQL error, with code and request id."""

from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

from loyalty.rules.errors import TenantNotActive
from schema.masking import INTERNAL_MESSAGE, RETRY_AFTER_SECONDS, ErrorCode, retry_hint

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
REALM = 'Bearer realm="treue"'


class RequestRefused(Exception):
    """A request is refused before any operation runs."""

    def __init__(
        self,
        status: int,
        code: ErrorCode,
        message: str,
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(message)


def bad_request(message: str) -> RequestRefused:
    """400: the body is not a GraphQL request."""
    return RequestRefused(400, ErrorCode.BAD_USER_INPUT, message)


def unauthenticated(message: str, *, missing: bool) -> RequestRefused:
    """401 with the challenge that RFC 6750 (section 3) asks for."""
    challenge = REALM if missing else f'{REALM}, error="invalid_token"'
    return RequestRefused(401, ErrorCode.UNAUTHENTICATED, message, {"www-authenticate": challenge})


def not_active(error: TenantNotActive) -> RequestRefused:
    """403: the credential is right, but its tenant is suspended or closed."""
    return RequestRefused(403, ErrorCode.FORBIDDEN, error.message, reason=error.code)


def page_refused(message: str, reason: str) -> RequestRefused:
    """403: the credential is right, but the tenant does not let this page call."""
    return RequestRefused(403, ErrorCode.FORBIDDEN, message, reason=reason)


def unavailable(message: str) -> RequestRefused:
    """503: the database or another part of the service is away."""
    return RequestRefused(503, ErrorCode.UNAVAILABLE, message, {"retry-after": str(RETRY_AFTER_SECONDS)})


def internal() -> RequestRefused:
    """500: a bug in this service, which has been logged."""
    return RequestRefused(500, ErrorCode.INTERNAL, INTERNAL_MESSAGE)


def error_body(code: ErrorCode, message: str, request_id: str, reason: str | None = None) -> bytes:
    """Return the body of an answer with one error and no `data`.

    `reason` is a text for programs, more exact than the code.
    """
    said = {} if reason is None else {"reason": reason}
    extensions = {**retry_hint(code), **said, "code": code.value, "requestId": request_id}
    return orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})


def error_response(refused: RequestRefused, request_id: str, media_type: str = JSON) -> Response:
    """Return the answer to a refused request."""
    body = error_body(refused.code, refused.message, request_id, refused.reason)
    headers = {"cache-control": "no-store", **refused.headers}
    return Response(body, status_code=refused.status, headers=headers, media_type=media_type)


def request_id_of(request: Request) -> str:
    """Return the id that `RequestLog` gave this request."""
    return str(request.scope["state"]["request_id"])


async def not_found(request: Request, _error: Exception) -> Response:
    """Return 404 or 405 of the router as JSON."""
    status = getattr(_error, "status_code", 404)
    allow: Mapping[str, str] = getattr(_error, "headers", None) or {}
    message = "There is nothing at this address." if status == 404 else "This method is not allowed here."  # noqa: PLR2004
    refused = RequestRefused(status, ErrorCode.BAD_USER_INPUT, message, allow)
    return error_response(refused, request_id_of(request))
