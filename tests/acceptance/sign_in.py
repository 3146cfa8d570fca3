"""People who sign in with a browser: a browser with its own cookies, a provider, a server."""

import secrets
import time
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey
from websockets.asyncio.client import connect
from websockets.typing import Origin

from api.sign_in_tokens import LOGOUT_EVENT
from tests.acceptance.business import Business
from tests.acceptance.client import GENEROUS_SECONDS, NO_TLS, Json
from tests.acceptance.sockets import PROTOCOL
from tests.fixtures.provider import Provider
from tests.fixtures.server import ServerProcess

SIGNING = ECKey.generate_key("P-256", {"kid": "signing", "use": "sig"})
WHO = "{ viewer { kind name permissions session { startedAt expiresAt } } }"
ROLES = [{"value": "boss", "role": "OWNER"}, {"value": "till", "role": "STAFF"}]
ADDRESSES = "oidcIssuer { id signInClientId hasSignInClientSecret signInUrl redirectUri backChannelLogoutUri }"
SESSION_COOKIE, PENDING_COOKIE = "treue_session", "treue_sign_in"


def origin_of(server: ServerProcess) -> str:
    """Return the address of a server as browsers know it."""
    return server.url.removesuffix("/graphql")


class SignInStage(NamedTuple):
    """A tenant whose staff sign in with a browser."""

    salon: Business
    provider: Provider
    server: ServerProcess
    client_id: str
    set_up: Json

    @property
    def sign_in_url(self) -> str:
        """Where signing in begins."""
        return str(self.set_up["signInUrl"])

    @property
    def origin(self) -> str:
        """The address of the service as browsers know it."""
        return origin_of(self.server)

    def let_in(self, tricks: Json | None = None, **claims: Any) -> None:
        """Let Mara sign in at the provider. She is an owner unless the claims say otherwise."""
        self.provider.let_in({"sub": "mara", "name": "Mara", "roles": ["boss"], **claims}, **(tricks or {}))

    def logout_token(self, header: Json | None = None, key: ECKey = SIGNING, **changes: Any) -> str:
        """Return a logout token of the provider, with changes. None leaves a claim out."""
        now = int(time.time())
        claims = {
            "iss": self.provider.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
            "events": {LOGOUT_EVENT: {}},
            "sub": "mara",
            **changes,
        }
        head = {"alg": "ES256", "typ": "logout+jwt", "kid": key.kid, **(header or {})}
        body = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(head, body, key, algorithms=[head["alg"]])

    async def log_out_at_provider(self, token: str) -> httpx2.Response:
        """Send a logout token as the provider does."""
        async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS) as http:
            return await http.post(self.set_up["backChannelLogoutUri"], data={"logout_token": token})


async def open_stage(salon: Business, provider: Provider, server: ServerProcess, **changes: Any) -> SignInStage:
    """Set the provider for a tenant, with an application for browsers."""
    client_id = secrets.token_hex(8)
    given = {"issuer": provider.issuer, "audience": client_id, "signInClientId": client_id, "roles": ROLES, **changes}
    made = await salon.owner.at(server).do("oidcIssuerSet", ADDRESSES, **given)
    stage = SignInStage(salon, provider, server, given["signInClientId"], made["oidcIssuer"])
    stage.let_in()
    return stage


class Browser:
    """A browser of one person: it keeps cookies, and says where its pages come from."""

    def __init__(self, stage: SignInStage) -> None:
        self.stage = stage
        self.http = httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.http.aclose()

    @property
    def cookie(self) -> str | None:
        """The session cookie."""
        return self.http.cookies.get(SESSION_COOKIE)

    async def begin(self, **query: str) -> httpx2.Response:
        """Begin to sign in, and stop before the address of the provider is visited."""
        return await self.http.get(f"{self.stage.sign_in_url}?{urlencode(query)}" if query else self.stage.sign_in_url)

    async def visit_provider(self, begun: httpx2.Response) -> str:
        """Sign in at the provider. Return the address to which it sends the browser back."""
        assert begun.status_code == 302, begun.text
        back = await self.http.get(begun.headers["location"])
        assert back.status_code == 302, back.text
        return str(back.headers["location"])

    async def sign_in(self, **query: str) -> httpx2.Response:
        """Sign in completely. Return the answer of the callback."""
        return await self.http.get(await self.visit_provider(await self.begin(**query)))

    async def ask(self, document: str = WHO, **headers: str) -> httpx2.Response:
        """Send an operation as a page of the service does. An empty header is left out."""
        sent = {"origin": self.stage.origin, "x-treue-session": "1", "accept": "application/json", **headers}
        kept = {name.replace("_", "-"): value for name, value in sent.items() if value}
        return await self.http.post(self.stage.server.url, json={"query": document}, headers=kept)

    async def run(self, document: str, **variables: Any) -> Json:
        """Run an operation with variables as a page of the service does; the whole answer."""
        headers = {"origin": self.stage.origin, "x-treue-session": "1", "accept": "application/json"}
        sent = {"query": document, "variables": variables}
        answer: Json = (await self.http.post(self.stage.server.url, json=sent, headers=headers)).json()
        return answer

    async def name(self) -> str | None:
        """Return the name of the person who is signed in; None for nobody."""
        answer = await self.ask()
        return answer.json()["data"]["viewer"]["name"] if answer.status_code == 200 else None

    def open_socket(self, origin: str) -> Any:
        """Open a socket as a page of an origin does."""
        return connect(
            self.stage.server.socket_url,
            subprotocols=[PROTOCOL],
            origin=Origin(origin),
            additional_headers={"cookie": f"{SESSION_COOKIE}={self.cookie}"},
        )


def query_of(url: str) -> dict[str, str]:
    """Return the query of an address."""
    return dict(parse_qsl(urlsplit(url).query))


def with_query(url: str, **changes: str | None) -> str:
    """Return the address with another query; None leaves a parameter out."""
    query = {name: value for name, value in {**query_of(url), **changes}.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(query)}"
