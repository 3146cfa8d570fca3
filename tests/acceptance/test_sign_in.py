"""Staff who sign in with a browser: a real server, a real provider, cookies, sockets, and how it all ends."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from websockets.asyncio.client import ClientConnection

from tests.acceptance.business import Business
from tests.acceptance.client import Json
from tests.acceptance.sign_in import ADDRESSES, ROLES, Browser, SignInStage, open_stage, origin_of, query_of
from tests.acceptance.sockets import read_to_the_end, receive, send
from tests.acceptance.test_credential_ends import CLOSED_WITHIN_SECONDS
from tests.fixtures.live import until
from tests.fixtures.provider import Provider
from tests.fixtures.server import Installation, ServerProcess


@pytest.fixture
async def browser(stage: SignInStage) -> AsyncIterator[Browser]:
    """Provide a browser that nobody has signed in with."""
    async with Browser(stage) as one:
        yield one


async def introduce(socket: ClientConnection) -> Json:
    """Introduce a socket by its cookie alone; the first answer."""
    await send(socket, type="connection_init")
    answer: Json = await receive(socket)
    return answer


async def test_a_person_signs_in_with_a_browser(stage: SignInStage, browser: Browser) -> None:
    """The way to the provider carries state, nonce and PKCE; the way back a session that HTTP, SSE and sockets take."""
    begun = await browser.begin(returnTo="/console?tab=team")
    asked = query_of(begun.headers["location"])
    assert (asked["response_type"], asked["client_id"]) == ("code", stage.client_id)
    assert asked["redirect_uri"] == stage.set_up["redirectUri"]
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
    assert set(asked["scope"].split()) == {"openid", "profile", "email"}
    assert len(asked["state"]) >= 20
    assert len(asked["nonce"]) >= 20
    pending = begun.headers["set-cookie"]
    assert "HttpOnly" in pending
    assert "SameSite=lax" in pending
    assert asked["nonce"] not in pending
    back = await browser.http.get(await browser.visit_provider(begun))
    assert (back.status_code, back.headers["location"]) == (303, "/console?tab=team")
    assert back.headers["cache-control"] == "no-store"
    cookies = {one.partition("=")[0]: one for one in back.headers.get_list("set-cookie")}
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=28800"} <= set(cookies["treue_session"].split("; "))
    assert "Max-Age=0" in cookies["treue_sign_in"]

    who = (await browser.ask()).json()["data"]["viewer"]
    assert (who["kind"], who["name"], "TOKENS_MANAGE" in who["permissions"]) == ("STAFF", "Mara", True)
    assert who["session"]["startedAt"] < who["session"]["expiresAt"]
    assert '"name":"Mara"' in (await browser.ask(accept="text/event-stream")).text
    async with browser.open_socket(stage.origin) as socket:
        assert (await introduce(socket))["type"] == "connection_ack"
    token_viewer = await stage.salon.owner.at(stage.server).get("{ viewer { session { startedAt } } }")
    assert token_viewer["session"] is None


async def test_an_application_with_a_secret_and_an_audience_of_its_own(
    salon: Business, sign_in_provider: Provider, sign_in_server: ServerProcess
) -> None:
    """The secret is kept sealed, stays when it is left out, and goes with its application."""
    provider, server = sign_in_provider, sign_in_server
    provider.describe_sign_in(token_endpoint_auth_methods_supported=["client_secret_post"])
    stage = await open_stage(
        salon,
        provider,
        server,
        audience="https://api.salon.example/" + salon.tenant_id.hex,
        signInClientSecret="sec ret:%+1",
    )
    assert stage.set_up["hasSignInClientSecret"] is True
    owner = salon.owner.at(server)
    given = {"issuer": provider.issuer, "audience": "https://api.salon.example/" + salon.tenant_id.hex, "roles": ROLES}
    kept = await owner.do("oidcIssuerSet", ADDRESSES, **given)
    assert (kept["oidcIssuer"]["signInClientId"], kept["oidcIssuer"]["hasSignInClientSecret"]) == (
        stage.client_id,
        True,
    )
    stage.let_in({"client_secret": "sec ret:%+1"}, aud=[stage.client_id, given["audience"]])
    async with Browser(stage) as browser:
        assert (await browser.sign_in()).status_code == 303
        assert await browser.name() == "Mara"
    stage.let_in({"client_secret": "another"})
    async with Browser(stage) as browser:
        assert (await browser.sign_in()).status_code == 403
    public = await owner.do("oidcIssuerSet", ADDRESSES, **given, signInClientSecret=None)
    assert (public["oidcIssuer"]["signInClientId"], public["oidcIssuer"]["hasSignInClientSecret"]) == (
        stage.client_id,
        False,
    )
    off = await owner.do("oidcIssuerSet", ADDRESSES, **given, signInClientId=None)
    assert [off["oidcIssuer"][name] for name in ("signInClientId", "signInUrl", "redirectUri")] == [None, None, None]
    async with Browser(stage) as browser:
        assert (await browser.begin()).status_code == 404
    (error,) = await owner.refusals("oidcIssuerSet", **given, signInClientSecret="without an application")
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["signInClientSecret"])
    provider.describe_sign_in()


async def test_the_audit_log_names_the_application_as_the_provider_does(stage: SignInStage) -> None:
    owner = stage.salon.owner.at(stage.server)
    given = {"issuer": stage.provider.issuer, "audience": stage.client_id, "roles": ROLES}
    await owner.do("oidcIssuerSet", ADDRESSES, **given, signInClientSecret="a secret")
    log = await owner.get("{ auditLog(first: 1) { nodes { changes { field before after } } } }")
    assert log["nodes"][0]["changes"] == [{"field": "hasSignInClientSecret", "before": "false", "after": "true"}]
    await owner.do("oidcIssuerSet", ADDRESSES, **given, signInClientId=None)
    log = await owner.get("{ auditLog(first: 1) { nodes { changes { field before } } } }")
    assert log["nodes"][0]["changes"] == [
        {"field": "hasSignInClientSecret", "before": "true"},
        {"field": "signInClientId", "before": f'"{stage.client_id}"'},
    ]


async def test_the_longest_client_id_and_path_fit_into_the_cookie(
    salon: Business, sign_in_provider: Provider, sign_in_server: ServerProcess
) -> None:
    """The address of the provider is longer than a cookie then: each letter takes nine characters of it."""
    path = "/" + "x" * 499
    stage = await open_stage(salon, sign_in_provider, sign_in_server, signInClientId="語" * 255)
    async with Browser(stage) as browser:
        back = await browser.sign_in(returnTo=path)
        assert (back.status_code, back.headers["location"]) == (303, path)
        assert await browser.name() == "Mara"


async def test_a_client_id_leads_to_one_tenant(stage: SignInStage, rival: Business) -> None:
    """Nobody sets another tenant's application, neither as client id nor as audience."""
    owner = rival.owner.at(stage.server)
    given = {"issuer": stage.provider.issuer, "roles": ROLES}
    for pair, path in (
        ({"audience": "mine", "signInClientId": stage.client_id}, "signInClientId"),
        ({"audience": stage.client_id}, "audience"),
    ):
        async with rival.unchanged():
            (error,) = await owner.refusals("oidcIssuerSet", **given, **pair)
        assert (error["code"], error["path"]) == ("INVALID_INPUT", [path])
        assert "another tenant" in error["message"]


async def test_a_client_id_of_ones_own_is_no_audience_of_another_provider(
    salon: Business, sign_in_provider: Provider, sign_in_server: ServerProcess
) -> None:
    """The refusal names the client id, and no other tenant."""
    stage = await open_stage(salon, sign_in_provider, sign_in_server, audience=f"api of {salon.tenant_id}")
    owner = salon.owner.at(sign_in_server)
    async with salon.unchanged():
        (error,) = await owner.refusals(
            "oidcIssuerSet", issuer=stage.provider.issuer, audience=stage.client_id, roles=ROLES
        )
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["audience"])
    assert "signInClientId" in error["message"]
    assert "tenant" not in error["message"]


@pytest.mark.parametrize("end", ["sign out", "provider", "membership", "issuer", "issuer changed", "subject"])
async def test_a_session_ends_at_once(stage: SignInStage, browser: Browser, end: str) -> None:
    """HTTP at the next request, sockets within 5 seconds."""
    owner = stage.salon.owner.at(stage.server)
    member_id = None
    if end == "membership":
        identity = {"issuer": stage.set_up["id"], "subject": "mara"}
        added = await owner.do(
            "memberAdd", "member { id }", name="Mara", person={"identity": identity}, role={"builtIn": "STAFF"}
        )
        member_id = added["member"]["id"]
    await browser.sign_in()
    assert await browser.name() == "Mara"
    async with browser.open_socket(stage.origin) as socket:
        assert (await introduce(socket))["type"] == "connection_ack"
        given = {"issuer": stage.provider.issuer, "audience": stage.client_id}
        if end == "sign out":
            out = await browser.http.post(
                f"{stage.origin}/sign-out", headers={"origin": stage.origin, "x-treue-session": "1"}
            )
            assert (out.status_code, browser.cookie) == (200, None)
            assert out.json()["endSessionUrl"].startswith(f"{stage.provider.issuer}/end-session?client_id=")
        elif end == "provider":
            assert (await stage.log_out_at_provider(stage.logout_token())).status_code == 200
        elif end == "membership":
            await owner.do("memberRemove", "member { id }", id=member_id)
        elif end == "issuer":
            await owner.do("oidcIssuerRemove", "oidcIssuer { id }", id=stage.set_up["id"])
        elif end == "issuer changed":
            await owner.do("oidcIssuerSet", "oidcIssuer { id }", **given, roles=ROLES[:1])
        else:
            issuer_id = stage.sign_in_url.rpartition("/")[2]
            await owner.do("signedTokensRevoke", "revokedAt", of={"subject": f"oidc:{issuer_id}:mara"})
        assert (await browser.ask()).status_code == 401
        await read_to_the_end(socket)
        assert socket.close_code == 4403
    assert CLOSED_WITHIN_SECONDS == 5


async def test_sessions_of_a_person_are_told_apart(stage: SignInStage, browser: Browser) -> None:
    """Signing out, and a logout token with `sid`, end one session; one with `sub` ends all of the person."""
    stage.let_in(sid="first")
    await browser.sign_in()
    async with Browser(stage) as second, Browser(stage) as eva:
        stage.let_in(sid="second")
        await second.sign_in()
        stage.let_in(sub="eva", name="Eva", sid="third")
        await eva.sign_in()
        assert (await stage.log_out_at_provider(stage.logout_token(sub=None, sid="first"))).status_code == 200
        assert [await one.name() for one in (browser, second, eva)] == [None, "Mara", "Eva"]
        mismatched = stage.logout_token(sub="eva", sid="second")
        assert (await stage.log_out_at_provider(mismatched)).status_code == 200
        assert [await one.name() for one in (second, eva)] == ["Mara", "Eva"]
        assert (await stage.log_out_at_provider(stage.logout_token())).status_code == 200
        assert [await one.name() for one in (second, eva)] == [None, "Eva"]


async def test_who_has_no_role_gets_no_session(stage: SignInStage, browser: Browser) -> None:
    stage.let_in(roles=["stranger"])
    refused = await browser.sign_in()
    assert (refused.status_code, browser.cookie) == (403, None)
    assert refused.json()["errors"][0]["extensions"]["reason"] == "NOT_A_MEMBER"


async def test_an_invited_person_becomes_a_member(stage: SignInStage, browser: Browser) -> None:
    owner = stage.salon.owner.at(stage.server)
    await owner.do(
        "memberAdd", "member { id }", name="Eva", person={"email": "eva@salon.example"}, role={"builtIn": "STAFF"}
    )
    stage.let_in(sub="eva", roles=None, email="eva@salon.example", email_verified=True)
    assert (await browser.sign_in()).status_code == 303
    answer = (await browser.ask("{ viewer { role { name } member { name } } }")).json()
    assert answer["data"]["viewer"] == {"role": {"name": "STAFF"}, "member": {"name": "Eva"}}


async def test_signing_in_anew_ends_the_session_that_the_browser_had(stage: SignInStage, browser: Browser) -> None:
    """Its secret is never taken over, so nobody can plant one."""
    await browser.sign_in()
    first = browser.cookie
    await browser.sign_in()
    assert browser.cookie != first
    assert await browser.name() == "Mara"
    async with Browser(stage) as thief:
        thief.http.cookies.set("treue_session", str(first))
        assert (await thief.ask()).status_code == 401


async def test_a_session_counts_on_every_server_and_the_cookie_is_stored_nowhere(
    stage: SignInStage, browser: Browser, installation: Installation
) -> None:
    await browser.sign_in()
    secret = str(browser.cookie).partition(".")[2]
    async with installation.serve_apart(
        "sign-in-2", {"TREUE_PRIVATE_PROVIDERS": "true", "TREUE_PUBLIC_URL": origin_of(stage.server)}
    ) as other:
        answer = await browser.http.post(
            other.url,
            json={"query": "{ viewer { name } }"},
            headers={"cookie": f"treue_session={browser.cookie}", "origin": stage.origin, "x-treue-session": "1"},
        )
    assert answer.json()["data"] == {"viewer": {"name": "Mara"}}
    async with stage.salon.database.tenant_transaction(stage.salon.tenant_id) as tx:
        rows = await tx.rows(text("SELECT to_jsonb(staff_sessions)::text AS row FROM staff_sessions"))
    assert rows
    assert not [row for row in rows if secret in row.row]


async def test_an_origin_that_others_may_call_from_gets_no_session(stage: SignInStage, browser: Browser) -> None:
    """Allowed origins are for tokens: cookies count from the service's own pages alone."""
    await browser.sign_in()
    await stage.salon.manager.at(stage.server).do(
        "allowedOriginsSet", "tenant { id }", origins=["https://salon.example"]
    )
    answer = await browser.ask(origin="https://salon.example")
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("named", [{"sub": "mara"}, {"sub": None, "sid": "here"}, {"sub": "mara", "sid": "here"}])
async def test_a_logout_token_ends_a_sign_in_that_is_under_way(
    stage: SignInStage, browser: Browser, named: Json
) -> None:
    """It comes while the code is exchanged: the ID token is signed, and there is no session yet that it could end."""
    stage.let_in({"held": True}, sid="here")
    back = await browser.visit_provider(await browser.begin())
    finishing = asyncio.create_task(browser.http.get(back))
    await until(stage.provider.has_signed)
    assert (await stage.log_out_at_provider(stage.logout_token(**named))).status_code == 200
    stage.provider.release()
    refused = await finishing
    assert (refused.status_code, browser.cookie) == (403, None)
    assert refused.json()["errors"][0]["extensions"]["reason"] == "SIGN_IN_REFUSED"
    assert (await browser.ask()).status_code == 401


async def test_a_logout_token_of_somebody_else_ends_no_sign_in(stage: SignInStage, browser: Browser) -> None:
    """Nor does one of another session at the provider, or one that was signed before the ID token."""
    stage.let_in({"held": True}, sid="here")
    finishing = asyncio.create_task(browser.http.get(await browser.visit_provider(await browser.begin())))
    await until(stage.provider.has_signed)
    earlier = int(time.time()) - 60
    for named in ({"sub": "eva"}, {"sub": None, "sid": "there"}, {"sid": "there"}, {"iat": earlier}):
        assert (await stage.log_out_at_provider(stage.logout_token(**named))).status_code == 200
    stage.provider.release()
    assert (await finishing).status_code == 303
    assert await browser.name() == "Mara"
