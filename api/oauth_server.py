"""Authlib's authorization server, as an adapter for one request: client credentials, revocation and introspection.

Authlib's server is synchronous and knows no ASGI. So its database reads are done before it runs, and its decisions are
written after it has run: it works on values alone. It uses only the documented base classes of authlib.
"""

import datetime as dt
import hmac
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import orjson
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientCredentialsGrant,
    ClientMixin,
    InvalidClientError,
    OAuth2Error,
    OAuth2Payload,
    OAuth2Request,
    TokenMixin,
    UnsupportedTokenTypeError,
)
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from starlette.responses import Response

from api.tokens import hash_token
from permissions.actor import Actor
from permissions.catalog import WIRE_NAMES, UnknownGrant, parse_grants, to_grants

GRANT_TYPE = "client_credentials"
AUTH_METHODS = ("client_secret_basic", "client_secret_post")

SignAccessToken = Callable[[Actor, str, int], str]
"""Signs an access token of a client, with a scope and a lifetime in seconds."""


class PresentedSecret(NamedTuple):
    """The proof of a client: the hash of the secret that it sent in this request."""

    client_id: str
    sha256: str


class PartnerClient(ClientMixin):  # type: ignore[misc]  # authlib has no types
    """An OAuth client that was found by its secret."""

    def __init__(self, actor: Actor, presented: PresentedSecret) -> None:
        self.actor = actor
        self._presented = presented

    def get_client_id(self) -> str:
        """Return the client's id in the form in which clients send it."""
        return str(self.actor.token_id)

    def check_client_secret(self, secret: str) -> bool:
        """Return whether this is the secret by which the client was found."""
        return hmac.compare_digest(hash_token(secret), self._presented.sha256)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - the same everywhere
        """Return whether the client may send its secret in this way."""
        return method in AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        """Return whether the client may ask for tokens in this way."""
        return bool(grant_type == GRANT_TYPE)

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return the scope of a token: the requested scope, or all that the client has.

        None refuses one that it does not have.
        """
        if not scope:
            return " ".join(to_grants(self.actor.permissions))
        try:
            wanted = parse_grants(scope.split())
        except UnknownGrant:
            return None
        return " ".join(to_grants(wanted)) if wanted and wanted <= self.actor.permissions else None


class PresentedToken(TokenMixin):  # type: ignore[misc]
    """The token that a client asks about. Only a token that is valid now becomes a `PresentedToken`."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def check_client(self, client: PartnerClient) -> bool:
        """Tell whether it is an access token of this client."""
        return bool(self.actor.signed) and self.actor.token_id == client.actor.token_id

    def is_expired(self) -> bool:
        """Return False: an expired or revoked token has no actor, and is never asked about here."""
        return False

    def is_revoked(self) -> bool:
        """Return False: an expired or revoked token has no actor, and is never asked about here."""
        return False


class Form(OAuth2Payload):  # type: ignore[misc]
    """The parameters of a request."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._parameters = dict(parameters)

    @property
    def data(self) -> dict[str, str]:
        """Each parameter with its only value."""
        return self._parameters

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """Each parameter with its values."""
        return defaultdict(list, {name: [value] for name, value in self._parameters.items()})


class FormRequest(OAuth2Request):  # type: ignore[misc]
    """A request of an endpoint. `uri` is the address that clients call, which must be safe from listeners."""

    def __init__(self, uri: str, headers: Mapping[str, str], parameters: Mapping[str, str]) -> None:
        super().__init__(method="POST", uri=uri, headers=dict(headers))
        self.payload = Form(parameters)

    @property
    def args(self) -> dict[str, str]:
        """Return no parameters: the query string is not read."""
        return {}

    @property
    def form(self) -> dict[str, str]:
        """The parameters of the body."""
        data: dict[str, str] = self.payload.data
        return data


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(AUTH_METHODS)


class _Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS: ClassVar = list(AUTH_METHODS)

    def query_token(self, token_string: str, token_type_hint: str | None) -> PresentedToken | None:  # noqa: ARG002
        token: PresentedToken | None = self.server.token
        return token

    def revoke_token(self, token: PresentedToken, request: FormRequest) -> None:  # noqa: ARG002
        self.server.revoked = token.actor


class _Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS: ClassVar = list(AUTH_METHODS)

    def query_token(self, token_string: str, token_type_hint: str | None) -> PresentedToken | None:  # noqa: ARG002
        token: PresentedToken | None = self.server.token
        return token

    def check_permission(self, token: PresentedToken, client: PartnerClient, request: FormRequest) -> bool:  # noqa: ARG002
        return token.actor.tenant_id == client.actor.tenant_id

    def introspect_token(self, token: PresentedToken) -> dict[str, Any]:
        actor = token.actor
        told: dict[str, Any] = {
            "active": True,
            "token_type": "Bearer",
            "sub": actor.subject,
            "scope": " ".join(to_grants(actor.permissions)),
        }
        if actor.token_id is not None:
            told["client_id"] = str(actor.token_id)
        if actor.signed:
            told |= {"iat": int(actor.signed[0].issued_at.timestamp()), "jti": actor.signed[0].id}
        if actor.expires_at is not None:
            told["exp"] = int(actor.expires_at.timestamp())
        return told


def refuse_client() -> OAuth2Error:
    """401: the answer does not tell whether the id, the secret or the network was wrong."""
    return InvalidClientError(
        description="The client, its secret or the network it calls from is not right.", status_code=401
    )


class PartnerServer(AuthorizationServer):  # type: ignore[misc]
    """The authorization server for one request. It knows the client that sent the request, and the token in it.

    After an answer, `revoked` is the actor of the token to revoke, or None.
    """

    def __init__(
        self,
        client: PartnerClient | None,
        token: Actor | None,
        sign: SignAccessToken,
        lifetime_seconds: int,
    ) -> None:
        super().__init__(scopes_supported=list(WIRE_NAMES))
        self._client = client
        self.token = None if token is None else PresentedToken(token)
        self.revoked: Actor | None = None

        def seconds(client: PartnerClient, _grant_type: str = GRANT_TYPE) -> int:
            """Return the lifetime of an access token in seconds. The token ends with its client at the latest."""
            end = client.actor.expires_at
            left = lifetime_seconds if end is None else int((end - dt.datetime.now(dt.UTC)).total_seconds())
            return max(1, min(lifetime_seconds, left))

        def access_token(client: PartnerClient, scope: str, **_: object) -> str:
            return sign(client.actor, scope, seconds(client))

        self.register_token_generator("default", BearerTokenGenerator(access_token, expires_generator=seconds))
        self.register_grant(_Grant)
        self.register_endpoint(_Revocation)
        self.register_endpoint(_Introspection)

    def query_client(self, client_id: str) -> PartnerClient | None:
        """Return the client of the request if it has this id."""
        client = self._client
        return client if client is not None and client.get_client_id() == client_id else None

    def save_token(self, token: Mapping[str, Any], request: FormRequest) -> None:
        """Do nothing: an access token is signed, and stored nowhere."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Do nothing: no part listens for authlib's signals."""

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        """Return the request: it already has authlib's form."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Response:
        """Return the answer of an endpoint, with headers that forbid caching."""
        content = body if isinstance(body, str) else orjson.dumps(body)
        return Response(content, status_code=status, headers=dict(headers))

    def handle_error_response(self, request: FormRequest | None, error: OAuth2Error) -> Response:
        """Return a refusal (RFC 6749, 5.2). A client that is not authenticated does not learn the reason."""
        if isinstance(error, InvalidClientError):
            error = refuse_client()
        if isinstance(error, UnsupportedTokenTypeError):
            error.status_code = 400  # RFC 7009, 2.2.1; authlib says 401
        response: Response = super().handle_error_response(request, error)
        return response
