"""The client of an identity provider: authlib's client for Starlette, limited to the values that it may trust.

Authlib uses a discovery document as its own settings: a document with `code_challenge_method` or `proxy` would change
them. So this module gives it only the addresses. Authlib also reads ID tokens with any algorithm that the provider
names, calls any address, and accepts an answer without an ID token. Here this service's own reader reads ID tokens, its
own transport calls, and an answer without an ID token is refused.
"""

from collections.abc import Mapping
from typing import Any

import httpx2
from authlib.common.urls import add_params_to_uri
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import StarletteIntegration, StarletteOAuth2App
from starlette.requests import Request

from api.issuer import InvalidToken
from api.oidc_fetch import FetchFailed, ProviderRequest, ask_provider
from api.sign_in_tokens import ProvedPerson, SignInTokens
from loyalty.rules.provider_url import check_provider_url
from loyalty.services.oidc_issuer import FoundIssuer

NAME = "sign_in"
SCOPE = "openid profile email"
PKCE_METHOD = "S256"
MAX_LOGGED_ERROR_LENGTH = 60
"""The number of characters of a provider's error code that a log line shows."""

AUTH_METHODS = ("client_secret_basic", "client_secret_post")
_DROPPED_HEADERS = frozenset({"host", "connection", "accept-encoding", "content-length", "transfer-encoding"})


class ProviderUnfit(Exception):
    """The provider's discovery document does not allow a safe sign-in. The message is for logs."""


class ProviderTransport(httpx2.AsyncBaseTransport):
    """Calls providers under the limits of `oidc_fetch`: public addresses, no redirects, limited size and time."""

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Raises `httpx2.TransportError`."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED_HEADERS}
        asked = ProviderRequest(request.method, str(request.url), headers, await request.aread())
        try:
            answer = await ask_provider(asked, private=self._private)
        except FetchFailed as failed:
            raise httpx2.TransportError(str(failed)) from None
        kept = [(name, value) for name, value in answer.headers if name.lower() not in _DROPPED_HEADERS]
        return httpx2.Response(answer.status, headers=kept, content=answer.body, request=request)


class SignInClient(StarletteOAuth2App):  # type: ignore[misc]
    """Authlib's client for one provider, with this service's reader of ID tokens.

    ``proved`` is the person in the token.
    """

    def __init__(self, found: FoundIssuer, tokens: SignInTokens, **settings: Any) -> None:
        super().__init__(StarletteIntegration(NAME), NAME, **settings)
        self._found = found
        self._tokens = tokens
        self.proved: ProvedPerson | None = None

    async def save_authorize_data(self, request: Request, **data: Any) -> None:
        """Keep the data that the callback needs in the request's session.

        The address of the provider is left out: the callback does not need it, and it may be too long for a cookie.
        """
        await super().save_authorize_data(request, **{name: value for name, value in data.items() if name != "url"})

    async def parse_id_token(self, token: Mapping[str, Any], nonce: str, **_options: Any) -> dict[str, Any]:
        """Read the ID token. Raises `InvalidToken`."""
        self.proved = await self._tokens.read_id_token(self._found, str(token["id_token"]), nonce)
        return {}


def make_client(
    found: FoundIssuer, described: Mapping[str, Any], secret: str | None, tokens: SignInTokens, *, private: bool
) -> SignInClient:
    """Return the client of a provider with this discovery document. Raises `ProviderUnfit`."""
    methods = described.get("code_challenge_methods_supported")
    if methods is not None and (not isinstance(methods, list) or PKCE_METHOD not in methods):
        raise ProviderUnfit("the provider does not take PKCE with S256")
    return SignInClient(
        found,
        tokens,
        client_id=found.row.client_id,
        client_secret=secret,
        client_kwargs={
            "scope": SCOPE,
            "code_challenge_method": PKCE_METHOD,
            "token_endpoint_auth_method": _choose_auth_method(described, secret),
            "transport": ProviderTransport(private=private),
            "trust_env": False,
            "follow_redirects": False,
        },
        authorization_endpoint=_read_address(described, "authorization_endpoint", private=private),
        token_endpoint=_read_address(described, "token_endpoint", private=private),
    )


def names_itself(described: Mapping[str, Any]) -> bool:
    """Return whether the provider promises the parameter `iss` in its answers (RFC 9207)."""
    return described.get("authorization_response_iss_parameter_supported") is True


def find_end_session_url(found: FoundIssuer, described: Mapping[str, Any], *, private: bool) -> str | None:
    """Return the address where a browser signs out of the provider (OpenID Connect RP-Initiated Logout 1.0, section 2).

    None if the provider has no such address. Raises `ProviderUnfit`.
    """
    name = "end_session_endpoint"
    if not described.get(name):
        return None
    address = _read_address(described, name, private=private)
    url: str = add_params_to_uri(address, [("client_id", str(found.row.client_id))])
    return url


def _choose_auth_method(described: Mapping[str, Any], secret: str | None) -> str:
    if secret is None:
        return "none"
    supported = described.get("token_endpoint_auth_methods_supported")
    taken = [one for one in AUTH_METHODS if isinstance(supported, list) and one in supported]
    return taken[0] if taken else AUTH_METHODS[0]


def _read_address(described: Mapping[str, Any], name: str, *, private: bool) -> str:
    url = described.get(name)
    if not isinstance(url, str) or check_provider_url(url, (), private=private, query=True) is not None:
        raise ProviderUnfit(f"{name} of the provider's discovery document is no address that is called")
    return url


def describe_failure(error: Exception) -> str:
    """Return the reason of a failure for the log: a fault of the token, a code of the provider, or the error's name."""
    if isinstance(error, InvalidToken):
        return str(error)
    code = read_error_code(error.error) if isinstance(error, OAuthError) else None
    return code or type(error).__name__


def read_error_code(code: object) -> str | None:
    """Return a provider's error code for the log; None for a text that is no code (RFC 6749, 4.1.2.1)."""
    if not isinstance(code, str) or not code.isascii() or not code.isprintable():
        return None
    return code[:MAX_LOGGED_ERROR_LENGTH]
