"""OAuth 2.0 for partners over real HTTP, asked by authlib's own client and by hand (RFC 6749, 7009, 7662, 8414)."""

import base64
from typing import Any, NamedTuple

import httpx2
import orjson
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from loyalty.services.tenant import resume_tenant, suspend_tenant
from loyalty.services.world import World
from tenancy.database import Database
from tests.acceptance.business import Business
from tests.acceptance.client import GENEROUS_SECONDS, NO_TLS, Caller, code_of, record
from tests.acceptance.sockets import open_socket, read_to_the_end
from tests.acceptance.test_credential_ends import is_closed_with
from tests.fixtures.server import HOST, ServerProcess

WHO = "{ viewer { kind name permissions } }"
FORM = {"grant_type": "client_credentials"}
BAD_ID = "01890000-0000-7000-8000-000000000000"


class Partner(NamedTuple):
    """An OAuth client as its operator knows it."""

    server: ServerProcess
    global_id: str
    client_id: str
    secret: str

    def url(self, path: str) -> str:
        """Return an address of the server."""
        return f"http://{HOST}:{self.server.port}{path}"

    def http(self, **options: Any) -> AsyncOAuth2Client:
        """Return a client of authlib."""
        return AsyncOAuth2Client(
            self.client_id, self.secret, timeout=GENEROUS_SECONDS, verify=NO_TLS, trust_env=False, **options
        )

    async def token(self, scope: str | None = None) -> dict[str, Any]:
        """Ask for a token with authlib, and return the answer of the server."""
        async with self.http(scope=scope) as client:
            fetched: dict[str, Any] = await client.fetch_token(self.url("/oauth/token"))
            return fetched

    async def caller(self, salon: Business, scope: str | None = None) -> Caller:
        """Return somebody with an access token of this client."""
        return salon.owner._replace(token=(await self.token(scope))["access_token"])

    async def post(self, path: str, form: Any = None, **options: Any) -> httpx2.Response:
        """Send a request by hand, with the client's own secret unless `auth` says otherwise."""
        options.setdefault("auth", (self.client_id, self.secret))
        async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS, trust_env=False) as http:
            return await http.post(self.url(path), data=form, **options)


async def partner(salon: Business, *permissions: str, **details: Any) -> Partner:
    """Create an OAuth client of a tenant, and return it as its operator knows it."""
    wanted = list(permissions) or ["LOYALTY_READ", "PURCHASES_RECORD"]
    made = await salon.owner.do(
        "oauthClientCreate", "oauthClient { id clientId } secret", name="Partner", permissions=wanted, **details
    )
    client = made["oauthClient"]
    return Partner(salon.installation.servers[0], client["id"], client["clientId"], made["secret"])


def refused(response: httpx2.Response) -> tuple[int, str]:
    """Return status and code of a refusal, which no cache may keep."""
    assert response.headers["cache-control"] == "no-store", response.headers
    return response.status_code, response.json()["error"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_an_independent_client_gets_a_token_and_uses_it(salon: Business, method: str) -> None:
    shop = await partner(salon)
    async with shop.http(token_endpoint_auth_method=method) as client:
        token = await client.fetch_token(shop.url("/oauth/token"))
        assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
        assert token["scope"] == "loyalty:read purchases:record"
        answer = await client.post(salon.owner.server.url, json={"query": WHO})
    assert answer.json()["data"]["viewer"] == {
        "kind": "API_TOKEN",
        "name": "Partner",
        "permissions": ["LOYALTY_READ", "PURCHASES_RECORD"],
    }
    listed = await salon.owner.get(
        "{ oauthClients { totalCount nodes { clientId name permissions networks revokedAt } } }"
    )
    (shown,) = listed["nodes"]
    assert shown["clientId"] == shop.client_id


async def test_a_scope_narrows_and_never_widens(salon: Business) -> None:
    shop = await partner(salon)
    reads = await shop.caller(salon, "loyalty:read")
    assert (await reads.get(WHO))["permissions"] == ["LOYALTY_READ"]
    for scope in ("loyalty:manage", "loyalty:read loyalty:adjust", "loyalty:*", "moon:fly", "self:read"):
        with pytest.raises(OAuthError) as error:
            await shop.token(scope)
        assert error.value.error == "invalid_scope", scope
    assert refused(await shop.post("/oauth/token", {**FORM, "scope": "tokens:manage"})) == (400, "invalid_scope")


async def test_a_client_gets_no_right_to_hand_out_credentials(salon: Business) -> None:
    errors = await salon.owner.refusals("oauthClientCreate", name="Partner", permissions=["TOKENS_MANAGE"])
    assert [(error["code"], error["path"]) for error in errors] == [("INVALID_INPUT", ["permissions"])]


async def test_who_is_not_let_in_learns_nothing_more(salon: Business, rival: Business) -> None:
    """A wrong secret, an unknown client, another tenant's and a revoked one are answered word by word alike."""
    shop, theirs, ended = await partner(salon), await partner(rival), await partner(salon)
    elsewhere = await partner(salon, networks=["203.0.113.0/24"])
    await salon.owner.do("oauthClientRevoke", "oauthClient { revokedAt }", id=ended.global_id)
    api_token = salon.integration.token or ""
    pairs = [
        (shop.client_id, "wrong"),
        (shop.client_id, shop.secret[:-1] + ("0" if shop.secret[-1] != "0" else "1")),
        (shop.client_id, theirs.secret),
        (theirs.client_id, shop.secret),
        (BAD_ID, shop.secret),
        ("", shop.secret),
        (shop.client_id, ""),
        (shop.client_id, api_token),
        (ended.client_id, ended.secret),
        (elsewhere.client_id, elsewhere.secret),
        (shop.client_id.upper(), shop.secret),
    ]
    answers = []
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        for pair in pairs:
            answer = await shop.post(path, {**FORM, "token": "x"}, auth=pair)
            assert refused(answer) == (401, "invalid_client"), (path, pair)
            assert answer.headers["www-authenticate"].startswith("Basic "), pair
            answers.append(answer.content)
        for pair in pairs:
            form = {**FORM, "client_id": pair[0], "client_secret": pair[1], "token": "x"}
            answer = await shop.post(path, form, auth=None)
            assert refused(answer) == (401, "invalid_client"), (path, pair)
            answers.append(answer.content)
        answers.append((await shop.post(path, {**FORM, "token": "x"}, auth=None)).content)
    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    ("options", "status", "error"),
    [
        ({"content": b"grant_type=password&username=a&password=b"}, 400, "unsupported_grant_type"),
        ({"content": b"scope=loyalty:read"}, 400, "unsupported_grant_type"),
        ({"content": b"grant_type="}, 400, "unsupported_grant_type"),
        ({"content": b"grant_type=client_credentials&grant_type=client_credentials"}, 400, "invalid_request"),
        ({"content": b"grant_type=client_credentials&scope=a&scope=b"}, 400, "invalid_request"),
        ({"content": b"grant_type=client_credentials&scope=%ff"}, 400, "invalid_request"),
        ({"content": b"\xff"}, 400, "invalid_request"),
        ({"content": b"&".join(b"a%d=b" % number for number in range(50))}, 400, "invalid_request"),
        ({"content": b"a" * 20_000}, 413, "invalid_request"),
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, 400, "invalid_request"),
        ({"content": b"", "headers": {"content-type": ""}}, 400, "invalid_request"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_malformed_request_is_refused_as_the_standard_says(
    salon: Business, options: dict[str, Any], status: int, error: str
) -> None:
    shop = await partner(salon)
    options = {"headers": {"content-type": "application/x-www-form-urlencoded"}, **options}
    assert refused(await shop.post("/oauth/token", **options)) == (status, error)


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic %%%",
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Bearer x",
        "Digest a=b",
        "é",
    ],
)
async def test_a_malformed_header_is_refused_and_breaks_nothing(salon: Business, header: str) -> None:
    shop = await partner(salon)
    answer = await shop.post("/oauth/token", FORM, auth=None, headers={"authorization": header.encode()})
    assert refused(answer) == (401, "invalid_client")


async def test_a_secret_is_sent_in_one_way_only(salon: Business) -> None:
    shop = await partner(salon)
    both = {**FORM, "client_id": shop.client_id, "client_secret": shop.secret}
    assert refused(await shop.post("/oauth/token", both)) == (400, "invalid_request")
    inside = f"/oauth/token?client_id={shop.client_id}&client_secret={shop.secret}"
    assert refused(await shop.post(inside, FORM, auth=None)) == (401, "invalid_client")


async def test_an_access_token_is_revoked_by_its_client_at_once(salon: Business, rival: Business) -> None:
    """On every server, and its sockets; a token that is none is no error, and another client's is not touched."""
    shop, other, theirs = await partner(salon), await partner(salon), await partner(rival)
    first, second = await shop.caller(salon), await shop.caller(salon)

    async def revoke(by: Partner, token: str | None, **more: str) -> httpx2.Response:
        return await by.post("/oauth/revoke", {"token": token, **more})

    assert refused(await revoke(other, first.token)) == (400, "invalid_grant")
    assert refused(await revoke(shop, salon.integration.token)) == (400, "invalid_grant")
    for token in (first.token, "nonsense", "treue_api_x", salon.owner.token):
        assert (await revoke(theirs, token)).status_code == 200
    assert refused(await shop.post("/oauth/revoke", {})) == (400, "invalid_request")
    assert refused(await revoke(shop, first.token, token_type_hint="id_token")) == (400, "unsupported_token_type")
    assert (await first.get(WHO))["kind"] == "API_TOKEN"

    async def end() -> object:
        async with shop.http() as client:
            return await client.revoke_token(shop.url("/oauth/revoke"), first.token, "access_token")

    code, seconds = await is_closed_with(first, end)
    assert (code, seconds < 5) == (4403, True)
    for server in salon.installation.servers:
        assert code_of(await first.at(server).answer(WHO)) == "UNAUTHENTICATED"
        assert (await second.at(server).get(WHO))["kind"] == "API_TOKEN"
    assert (await revoke(shop, first.token)).status_code == 200


async def test_introspection_tells_what_the_api_would_say(salon: Business, rival: Business) -> None:
    shop, gateway, theirs = await partner(salon), await partner(salon), await partner(rival)
    access = await shop.caller(salon, "loyalty:read")

    async def ask(by: Partner, token: str | None) -> dict[str, Any]:
        async with by.http() as client:
            answer = await client.introspect_token(by.url("/oauth/introspect"), token)
        assert answer.headers["cache-control"] == "no-store"
        told: dict[str, Any] = answer.json()
        return told

    told = await ask(gateway, access.token)
    assert told.pop("exp") - told.pop("iat") == 3600
    assert told.pop("jti")
    assert told == {
        "active": True,
        "token_type": "Bearer",
        "scope": "loyalty:read",
        "client_id": shop.client_id,
        "sub": f"token:{shop.client_id}",
    }
    assert (await ask(gateway, salon.integration.token))["active"] is True
    for token in (access.token, salon.integration.token, salon.owner.token, "nonsense", "é", "a" * 5_000):
        assert await ask(theirs, token) == {"active": False}
    await shop.post("/oauth/revoke", {"token": access.token})
    assert await ask(gateway, access.token) == {"active": False}


async def test_access_tokens_end_with_their_client_and_with_the_secret(salon: Business) -> None:
    shop = await partner(salon)
    old = await shop.caller(salon)
    changed = await salon.owner.do("oauthClientRotateSecret", "secret", id=shop.global_id, overlapMinutes=60)
    renewed = shop._replace(secret=changed["secret"])
    for one in (shop, renewed):
        assert (await (await one.caller(salon)).get(WHO))["name"] == "Partner"
    again = await salon.owner.do(
        "oauthClientRotateSecret", "secret oauthClient { formerSecretEndsAt }", id=shop.global_id, overlapMinutes=0
    )
    newest = renewed._replace(secret=again["secret"])
    assert code_of(await old.answer(WHO)) == "UNAUTHENTICATED"
    assert refused(await renewed.post("/oauth/token", FORM)) == (401, "invalid_client")
    last = await newest.caller(salon)
    await salon.owner.do("oauthClientRevoke", "oauthClient { revokedAt }", id=shop.global_id)
    assert code_of(await last.answer(WHO)) == "UNAUTHENTICATED"


async def test_a_retry_with_the_next_access_token_counts_once(salon: Business) -> None:
    """An access token lasts an hour, so keys belong to the client and not to the token."""
    shop = await partner(salon, "LOYALTY_READ", "LOYALTY_ADJUST", "PURCHASES_RECORD")
    await record(salon.integration, "order-1")
    given = {"customer": {"externalId": "anna"}, "amount": 5, "idempotencyKey": "key"}
    first = await (await shop.caller(salon)).do("pointsAdjust", "replayed", **given)
    again = await (await shop.caller(salon)).do("pointsAdjust", "replayed", **given)
    assert (first, again) == ({"replayed": False, "userErrors": []}, {"replayed": True, "userErrors": []})


async def test_customer_tokens_end_with_the_access_token_that_made_them(salon: Business) -> None:
    await record(salon.integration, "order-1")
    shop = await partner(salon, "LOYALTY_READ", "CUSTOMERS_SIGN_IN")
    first, second = await shop.caller(salon), await shop.caller(salon)
    annas = []
    for maker in (first, second):
        made = await maker.do("customerTokenCreate", "token", customer={"externalId": "anna"}, lifetimeMinutes=1_440)
        annas.append(maker._replace(token=made["token"]))
    await shop.post("/oauth/revoke", {"token": first.token})
    assert code_of(await annas[0].answer("{ me { id } }")) == "UNAUTHENTICATED"
    assert await annas[1].get("{ me { externalId } }") == {"externalId": "anna"}
    await salon.owner.do("oauthClientRevoke", "oauthClient { id }", id=shop.global_id)
    assert code_of(await annas[1].answer("{ me { id } }")) == "UNAUTHENTICATED"


async def test_a_suspended_tenant_gets_no_tokens(salon: Business, owner_database: Database) -> None:
    shop = await partner(salon)
    world = World(owner_database)
    await suspend_tenant(world, salon.tenant_id)
    try:
        assert refused(await shop.post("/oauth/token", FORM)) == (400, "unauthorized_client")
    finally:
        await resume_tenant(world, salon.tenant_id)
    assert (await shop.token())["access_token"]


async def test_a_credential_is_held_to_its_networks(salon: Business) -> None:
    """Over HTTP and WebSocket; behind a trusted proxy the caller's address is what the proxy says, and nobody else."""
    inside = await partner(salon, networks=["127.0.0.0/8"])
    made = await salon.owner.do(
        "apiTokenCreate", "secret apiToken { networks }", name="Till", permissions=["LOYALTY_READ"],
        networks=["203.0.113.0/24"],
    )  # fmt: skip
    assert made["apiToken"]["networks"] == ["203.0.113.0/24"]
    till = salon.owner._replace(token=made["secret"])
    assert code_of(await till.answer(WHO)) == "UNAUTHENTICATED"
    assert (await is_closed_with_at_once(till)) == 4403
    access = await inside.caller(salon)
    assert (await access.get(WHO))["name"] == "Partner"
    settings = {"TREUE_TRUSTED_PROXIES": '["127.0.0.0/8"]', "TREUE_PUBLIC_URL": "https://points.example/"}
    async with salon.installation.serve_apart("proxied", settings) as proxied:
        body = orjson.dumps({"query": WHO})
        for token, address, works in (
            (till.token, "203.0.113.9", True),
            (till.token, "198.51.100.9, 203.0.113.9", True),
            (till.token, "203.0.113.9, 198.51.100.9", False),
            (till.token, "127.0.0.1", False),
            (access.token, "203.0.113.9", False),
            (access.token, "127.0.0.9", True),
        ):
            headers = {
                "authorization": f"Bearer {token}",
                "content-type": "application/json",
                "x-forwarded-for": address,
            }
            async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS, trust_env=False) as http:
                answer = await http.post(proxied.url, content=body, headers=headers)
            assert (answer.status_code == 200) == works, address
        async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS, trust_env=False) as http:
            url = f"http://{HOST}:{proxied.port}/.well-known/oauth-authorization-server"
            described = (await http.get(url, headers={"host": "evil.example"})).json()
        assert described["token_endpoint"] == "https://points.example/oauth/token"


async def is_closed_with_at_once(caller: Caller) -> int | None:
    """Return how a socket is closed that is refused at the beginning."""
    async with open_socket(caller) as socket:
        await read_to_the_end(socket)
        code: int | None = socket.close_code
        return code


async def test_the_server_describes_itself(salon: Business) -> None:
    shop = await partner(salon)
    async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS, trust_env=False) as http:
        url = shop.url("/.well-known/oauth-authorization-server")
        described = (await http.get(url)).json()
        foreign = await http.get(url, headers={"host": "evil.example"})
    assert described["issuer"] == shop.url("")
    assert described["grant_types_supported"] == ["client_credentials"]
    assert "tokens:manage" not in described["scopes_supported"]
    for name in ("token", "revocation", "introspection"):
        assert described[f"{name}_endpoint"].startswith(shop.url("/oauth/"))
        methods = described[f"{name}_endpoint_auth_methods_supported"]
        assert methods == ["client_secret_basic", "client_secret_post"]
    assert (foreign.status_code, foreign.json()["error"]) == (400, "insecure_transport")


async def test_a_leaked_secret_is_revoked_by_its_text(salon: Business, rival: Business) -> None:
    made = await salon.owner.do("apiTokenCreate", "apiToken { id } secret", name="Till", permissions=["LOYALTY_READ"])
    till = salon.owner._replace(token=made["secret"])
    for secret in (made["secret"], "nonsense", "é"):
        (error,) = await rival.owner.refusals("apiTokenRevoke", token=secret)
        assert (error["code"], error["path"]) == ("NOT_FOUND", ["token"])
    (error,) = await salon.owner.refusals("apiTokenRevoke", id=made["apiToken"]["id"], token=made["secret"])
    assert error["code"] == "INVALID_INPUT"
    assert (await salon.owner.refusals("apiTokenRevoke"))[0]["code"] == "INVALID_INPUT"
    assert (await till.get(WHO))["name"] == "Till"
    await salon.owner.do("apiTokenRevoke", "apiToken { revokedAt }", token=made["secret"])
    assert code_of(await till.answer(WHO)) == "UNAUTHENTICATED"
