"""OAuth 2.0 for partner systems: /oauth/token, /oauth/revoke, /oauth/introspect and the server's metadata.

The client is found by its secret before authlib's server runs, see `oauth_server`. Every answer is JSON, and no cache
may keep it.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_plus

import orjson
import structlog
from authlib.oauth2.rfc6749 import InsecureTransportError, InvalidRequestError, OAuth2Error, UnauthorizedClientError
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.authentication import Unauthenticated, refuse_other_networks
from api.errors import RequestRefused
from api.graphql import read_body
from api.oauth_server import (
    AUTH_METHODS,
    GRANT_TYPE,
    FormRequest,
    PartnerClient,
    PartnerServer,
    PresentedSecret,
    SignAccessToken,
    refuse_client,
)
from api.peers import peer_of
from api.requests import note_actor
from api.tokens import hash_token, is_token
from loyalty.rules.errors import TenantNotActive
from permissions.actor import Actor
from permissions.catalog import SELF_PERMISSIONS, Permission
from schema.masking import RETRY_AFTER_SECONDS

TOKEN_PATH, REVOKE_PATH, INTROSPECT_PATH = "/oauth/token", "/oauth/revoke", "/oauth/introspect"
METADATA_PATH = "/.well-known/oauth-authorization-server"
MAX_FORM_BYTES = 16_384
MAX_FORM_FIELDS = 20
FORM = "application/x-www-form-urlencoded"
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
METADATA_SECONDS = 3_600
"""How long clients may keep the metadata."""

NOT_FOR_CLIENTS = SELF_PERMISSIONS | {Permission.TOKENS_MANAGE}

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.oauth")


class PartnerDoor(NamedTuple):
    """The functions that the endpoints call.

    `find_client` finds the actor of an OAuth client by the SHA-256 of its secret. `find_bearer` finds the actor of any
    bearer credential, or raises `Unauthenticated`. Both may raise `TenantNotActive`. `revoke` ends the access token of
    an actor. `public_url` is the address that clients call; if it is empty, each request names it.
    """

    find_client: Callable[[str], Awaitable[Actor | None]]
    find_bearer: Callable[[str], Awaitable[Actor]]
    revoke: Callable[[Actor], Awaitable[None]]
    sign: SignAccessToken
    lifetime_seconds: int
    unavailable: tuple[type[Exception], ...]
    public_url: str = ""


def oauth_routes(door: PartnerDoor) -> list[Route]:
    """The routes of all four addresses."""

    def endpoint(answer: Callable[[PartnerServer, FormRequest], Response]) -> Callable[..., Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            return await _serve(door, request, answer)

        return serve

    async def metadata(request: Request) -> Response:
        return _metadata(_base_url(door, request))

    return [
        Route(TOKEN_PATH, endpoint(lambda server, form: server.create_token_response(form)), methods=["POST"]),
        Route(
            REVOKE_PATH,
            endpoint(lambda server, form: server.create_endpoint_response("revocation", form)),
            methods=["POST"],
        ),
        Route(
            INTROSPECT_PATH,
            endpoint(lambda server, form: server.create_endpoint_response("introspection", form)),
            methods=["POST"],
        ),
        Route(METADATA_PATH, metadata, methods=["GET"]),
    ]


async def _serve(
    door: PartnerDoor, request: Request, answer: Callable[[PartnerServer, FormRequest], Response]
) -> Response:
    try:
        parameters = await read_form(request)
        form = FormRequest(_base_url(door, request) + request.url.path, dict(request.headers), parameters)
        # Authlib reads the header by its older name.
        form.headers["Authorization"] = request.headers.get("authorization", "")
        client = await _find_client(door, request, parameters)
        token = await _find_token(door, client, parameters)
        server = PartnerServer(client, token, door.sign, door.lifetime_seconds)
        response = answer(server, form)
        if server.revoked is not None:
            await door.revoke(server.revoked)
    except OAuth2Error as error:
        return _refusal(error)
    except RequestRefused as refused:
        return _refusal(InvalidRequestError(description=refused.message, status_code=refused.status))
    except door.unavailable as error:
        log.warning("the authorization server cannot answer", reason=type(error).__name__)
        return _unavailable()
    if client is not None:
        note_actor(request.scope, client.actor)
    return response


async def read_form(request: Request) -> dict[str, str]:
    """Return the parameters of the body.

    A parameter without a value is left out; a repeated one is refused (RFC 6749, 3.2).
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise InvalidRequestError(description=f"Send the parameters as {FORM}.")
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        fields = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS, errors="strict"
        )
    except ValueError:
        raise InvalidRequestError(description="The parameters are not well formed.") from None
    if len({name for name, _ in fields}) != len(fields):
        raise InvalidRequestError(description="A parameter is repeated.")
    return {name: value for name, value in fields if value}


async def _find_client(door: PartnerDoor, request: Request, parameters: dict[str, str]) -> PartnerClient | None:
    """Return the client of the request; None without a valid secret, or from another network."""
    presented = _read_secret(request, parameters)
    if presented is None:
        return None
    try:
        actor = await door.find_client(presented.sha256)
        if actor is None:
            return None
        refuse_other_networks(actor, peer_of(request.scope))
    except Unauthenticated:
        return None
    except TenantNotActive:
        raise UnauthorizedClientError(description="The tenant of this client is suspended or closed.") from None
    return PartnerClient(actor, presented)


def _read_secret(request: Request, parameters: dict[str, str]) -> PresentedSecret | None:
    """Return the secret that a client sent; None if it sent none, or a text without the form of a secret."""
    headers = request.headers.getlist("authorization")
    secret = parameters.get("client_secret")
    if len(headers) + (secret is not None) > 1:
        raise InvalidRequestError(description="Send the secret in one way only.")
    if headers:
        sent = _read_basic(headers[0])
    else:
        sent = (parameters["client_id"], secret) if secret and "client_id" in parameters else None
    if sent is None or not is_token(sent[1]):
        return None
    return PresentedSecret(sent[0], hash_token(sent[1]))


def _read_basic(header: str) -> tuple[str, str] | None:
    """Id and secret of HTTP Basic, each form-encoded (RFC 6749, 2.3.1). None for anything else."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise refuse_client()
    try:
        client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        raise refuse_client() from None  # before authlib looks at it, which would fail
    return unquote_plus(client_id), unquote_plus(secret)


async def _find_token(door: PartnerDoor, client: PartnerClient | None, parameters: dict[str, str]) -> Actor | None:
    """Return the actor of the token in the request; None if the token is not valid or belongs to another tenant."""
    token = parameters.get("token")
    if client is None or token is None:
        return None
    try:
        actor = await door.find_bearer(token)
    except (Unauthenticated, TenantNotActive):
        return None
    return actor if actor.tenant_id == client.actor.tenant_id else None


def _base_url(door: PartnerDoor, request: Request) -> str:
    return door.public_url or f"{request.url.scheme}://{request.url.netloc}"


def _refusal(error: OAuth2Error) -> Response:
    status, body, headers = error()
    return Response(orjson.dumps(body), status_code=status, headers=dict(headers))


def _unavailable() -> Response:
    body = {"error": "temporarily_unavailable", "error_description": "Try again in a moment."}
    headers = {**NO_STORE, "retry-after": str(RETRY_AFTER_SECONDS)}
    return Response(orjson.dumps(body), status_code=503, headers=headers, media_type="application/json")


def _metadata(base: str) -> Response:
    """Return the server's metadata for clients (RFC 8414). Refuses an address that is not safe from listeners."""
    described = AuthorizationServerMetadata(describe_server(base))
    try:
        InsecureTransportError.check(base)
    except OAuth2Error as error:
        return _refusal(error)
    headers = {"cache-control": f"public, max-age={METADATA_SECONDS}"}
    return Response(orjson.dumps(dict(described)), headers=headers, media_type="application/json")


def describe_server(base: str) -> dict[str, Any]:
    """Return the metadata of the server at an address."""
    methods = list(AUTH_METHODS)
    return {
        "issuer": base,
        "token_endpoint": base + TOKEN_PATH,
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": base + REVOKE_PATH,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": base + INTROSPECT_PATH,
        "introspection_endpoint_auth_methods_supported": methods,
        "grant_types_supported": [GRANT_TYPE],
        "response_types_supported": [],
        "scopes_supported": [one.value for one in Permission if one not in NOT_FOR_CLIENTS],
    }
