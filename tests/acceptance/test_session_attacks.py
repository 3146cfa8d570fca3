"""What is tried against who has signed in with a browser: by pages of others, cut cookies and forged logout tokens."""

import json
import time
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed

from api.sign_in_tokens import LOGOUT_EVENT
from tests.acceptance.business import Business
from tests.acceptance.client import Json
from tests.acceptance.sign_in import SESSION_COOKIE, WHO, Browser, SignInStage, open_stage
from tests.acceptance.sockets import receive, send
from tests.acceptance.test_sign_in_attacks import STRANGER, part
from tests.fixtures.documents import by_hash
from tests.fixtures.provider import Provider

# ── With a session ────────────────────────────────────────────────────────────────────────────────────────────────────

FOREIGN: dict[str, Json] = {
    "no header": {"x-treue-session": ""},
    "another value of the header": {"x-treue-session": "true"},
    "another origin": {"origin": "https://evil.example"},
    "another port": {"origin": "http://127.0.0.1:1"},
    "another scheme": {"origin": "https://127.0.0.1"},
    "an origin of nothing": {"origin": "null"},
    "no origin": {"origin": ""},
    "no origin, from another site": {"origin": "", "sec-fetch-site": "cross-site"},
    "no origin, from a neighbour": {"origin": "", "sec-fetch-site": "same-site"},
    "another origin that says it is the same": {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
}


async def test_no_page_of_others_uses_a_session(stage: SignInStage) -> None:
    """Whatever it sends: with the cookie, it changes nothing and reads nothing."""
    mutation = 'mutation { roleCreate(input: {name: "Evil", permissions: [LOYALTY_READ]}) { role { id } } }'
    async with Browser(stage) as browser:
        await browser.sign_in()
        assert await browser.name() == "Mara"
        async with stage.salon.unchanged():
            for name, headers in FOREIGN.items():
                refused = await browser.ask(mutation, **headers)
                assert (refused.status_code, "data" in refused.json()) == (403, False), name
                assert "access-control-allow-origin" not in refused.headers, name
                assert refused.json()["errors"][0]["extensions"]["reason"] == "CROSS_SITE_REQUEST"
            own = {"origin": stage.origin, "x-treue-session": "1"}
            for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
                sent = await browser.http.post(
                    stage.server.url, content=json.dumps({"query": mutation}), headers={**own, "content-type": kind}
                )
                assert sent.status_code == 415, kind
            read = await browser.http.get(f"{stage.server.url}?query={mutation}", headers=own)
            assert read.status_code == 405
            for text in (mutation, WHO):
                query = urlencode({"query": text, "extensions": json.dumps(by_hash(text))})
                for headers in (
                    {"origin": "https://evil.example", "x-treue-session": "1"},
                    {"origin": stage.origin},
                    {},
                ):
                    got = await browser.http.get(f"{stage.server.url}?{query}", headers=headers)
                    assert (got.status_code, "data" in got.json()) == (403, False)
                got = await browser.http.get(f"{stage.server.url}?{query}", headers=own)
                assert ("data" in got.json()) == (text == WHO)
            for headers in FOREIGN.values():
                kept = {**own, **headers}
                out = await browser.http.post(
                    f"{stage.origin}/sign-out", headers={name: value for name, value in kept.items() if value}
                )
                assert out.status_code == 403
            assert (await browser.http.get(f"{stage.origin}/sign-out", headers=own)).status_code == 405
        for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
            async with browser.open_socket(origin) as socket:
                await send(socket, type="connection_init")
                with pytest.raises(ConnectionClosed):
                    await receive(socket)
                assert socket.close_code == 4403
        assert await browser.name() == "Mara"


async def test_a_cookie_that_is_not_whole_lets_nobody_in(stage: SignInStage, rival: Business) -> None:
    async with Browser(stage) as browser:
        await browser.sign_in()
        cookie = str(browser.cookie)
        tenant, _, secret = cookie.partition(".")
        browser.http.cookies.clear()
        for changed in (
            f"{rival.tenant_id.hex}.{secret}",
            f"{'0' * 32}.{secret}",
            f"{tenant}.",
            secret,
            f"{tenant}.{secret[:-1]}0",
            f"{tenant}.{secret}x",
            f"{tenant.upper()}.{secret}",
            f'"{cookie}"',
            "x" * 20_000,
            "",
        ):
            answer = await browser.ask(cookie=f"{SESSION_COOKIE}={changed}")
            assert answer.status_code == 401, changed
        twice = await browser.ask(cookie=f"{SESSION_COOKIE}={cookie}; {SESSION_COOKIE}={cookie}")
        assert twice.status_code == 401
        assert (await browser.ask(cookie=f"{SESSION_COOKIE}={cookie}")).status_code == 200
        wrong = await browser.ask(cookie=f"{SESSION_COOKIE}={cookie}", authorization="Bearer wrong")
        assert wrong.status_code == 401
        as_token = await browser.ask(authorization=f"Bearer {secret}")
        assert as_token.status_code == 401


# ── Logout tokens ─────────────────────────────────────────────────────────────────────────────────────────────────────

LOGOUTS: dict[str, Callable[[SignInStage], str]] = {
    "another's signature": lambda stage: stage.logout_token(key=STRANGER),
    "no signature": lambda stage: ".".join([part({"alg": "none", "kid": "signing"}), *_claims(stage), ""]),
    "another audience": lambda stage: stage.logout_token(aud="other"),
    "a stranger among the audiences": lambda stage: stage.logout_token(aud=[stage.client_id, "other"]),
    "no audience": lambda stage: stage.logout_token(aud=None),
    "another issuer": lambda stage: stage.logout_token(iss="https://login.example"),
    "a nonce": lambda stage: stage.logout_token(nonce="x"),
    "no event": lambda stage: stage.logout_token(events=None),
    "another event": lambda stage: stage.logout_token(events={"http://schemas.openid.net/event/other": {}}),
    "an event that is a text": lambda stage: stage.logout_token(events={LOGOUT_EVENT: "x"}),
    "events that are a list": lambda stage: stage.logout_token(events=[LOGOUT_EVENT]),
    "no id": lambda stage: stage.logout_token(jti=None),
    "neither person nor session": lambda stage: stage.logout_token(sub=None),
    "a session that is a number": lambda stage: stage.logout_token(sid=1),
    "a person that is a number": lambda stage: stage.logout_token(sub=1),
    "expired": lambda stage: stage.logout_token(iat=int(time.time()) - 60, exp=int(time.time()) - 1),
    "no end": lambda stage: stage.logout_token(exp=None),
    "no beginning": lambda stage: stage.logout_token(iat=None),
    "issued in the future": lambda stage: stage.logout_token(
        iat=int(time.time()) + 9_000, exp=int(time.time()) + 9_060
    ),
    "an access token's type": lambda stage: stage.logout_token({"typ": "at+jwt"}),
    "a header that must be understood": lambda stage: stage.logout_token({"x5u": "http://127.0.0.1:9/"}),
    "nothing": lambda _: "",
    "no token": lambda _: "mara",
    "a huge token": lambda stage: stage.logout_token(padding="x" * 5_000),
}


def _claims(stage: SignInStage) -> list[str]:
    return stage.logout_token().split(".")[1:2]


async def test_forged_logout_tokens_end_nothing(
    stage: SignInStage, rival: Business, sign_in_provider: Provider
) -> None:
    theirs = await open_stage(rival, sign_in_provider, stage.server)
    async with Browser(stage) as browser:
        stage.let_in()
        await browser.sign_in()
        async with stage.salon.unchanged():
            for name, forge in LOGOUTS.items():
                refused = await stage.log_out_at_provider(forge(stage))
                assert (refused.status_code, refused.json()) == (400, {"error": "invalid_request"}), name
                assert refused.headers["cache-control"] == "no-store"
            assert (await theirs.log_out_at_provider(stage.logout_token())).status_code == 400
            address = stage.set_up["backChannelLogoutUri"]
            token = stage.logout_token()
            for body in ({"json": {"logout_token": token}}, {"content": f"logout_token={token}"}, {}):
                assert (await browser.http.post(address, **body)).status_code == 400
            assert (await browser.http.get(f"{address}?logout_token={token}")).status_code == 405
            twice = await browser.http.post(
                address,
                content=f"logout_token={token}&logout_token={token}",
                headers={"content-type": "application/x-www-form-urlencoded"},
            )
            assert twice.status_code == 400
        assert await browser.name() == "Mara"


async def test_a_logout_token_that_is_sent_again_ends_nothing_that_began_later(stage: SignInStage) -> None:
    async with Browser(stage) as browser:
        stage.let_in()
        await browser.sign_in()
        used = stage.logout_token(iat=int(time.time()))
        assert (await stage.log_out_at_provider(used)).status_code == 200
        assert await browser.name() is None
        stage.let_in(iat=int(time.time()) + 2)
        await browser.sign_in()
        assert (await stage.log_out_at_provider(used)).status_code == 200
        assert await browser.name() == "Mara"
