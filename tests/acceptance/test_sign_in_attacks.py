"""What is tried against people who sign in with a browser. Nobody gets in, nobody is signed out, nothing is changed."""

import base64
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from api.sign_in_tokens import LOGOUT_EVENT
from tests.acceptance.business import Business
from tests.acceptance.client import Json
from tests.acceptance.sign_in import (
    PENDING_COOKIE,
    SESSION_COOKIE,
    SIGNING,
    Browser,
    SignInStage,
    open_stage,
    query_of,
    with_query,
)
from tests.fixtures.provider import Provider, provider_process
from tests.fixtures.server import ServerProcess

STRANGER = ECKey.generate_key("P-256", {"kid": "signing"})


@pytest.fixture(scope="module")
def other_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Provide another provider, which promises to name itself and takes PKCE in plain text only."""
    with provider_process(tmp_path_factory.mktemp("other_provider")) as running:
        running.publish(SIGNING)
        running.sign_with(SIGNING)
        running.describe_sign_in(authorization_response_iss_parameter_supported=True)
        yield running


# ── At the callback ───────────────────────────────────────────────────────────────────────────────────────────────────

Attack = Callable[[SignInStage, Browser], Awaitable[httpx2.Response]]


def part(value: object) -> str:
    """Return a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def person(tricks: Json | None = None, **claims: Any) -> Attack:
    """Return a provider that says something wrong of the person, or does something wrong."""

    async def attack(stage: SignInStage, browser: Browser) -> httpx2.Response:
        stage.let_in(tricks, **claims)
        return await browser.sign_in()

    return attack


def answered(**changes: str | None) -> Attack:
    """Return the address that the provider sends the browser to, with another query."""

    async def attack(stage: SignInStage, browser: Browser) -> httpx2.Response:
        stage.let_in()
        back = await browser.visit_provider(await browser.begin())
        return await browser.http.get(with_query(back, **changes))

    return attack


def repeated(name: str) -> Attack:
    """Return the address that the provider sends the browser to, with a parameter twice."""

    async def attack(stage: SignInStage, browser: Browser) -> httpx2.Response:
        stage.let_in({"answer": {"iss": stage.provider.issuer}})
        back = await browser.visit_provider(await browser.begin())
        return await browser.http.get(f"{back}&{name}={query_of(back)[name]}")

    return attack


def id_token(make: Callable[[SignInStage], object]) -> Attack:
    """Return a provider that answers with this in place of an ID token."""

    async def attack(stage: SignInStage, browser: Browser) -> httpx2.Response:
        stage.let_in({"token": {"id_token": make(stage)}})
        return await browser.sign_in()

    return attack


def unsigned(stage: SignInStage) -> str:
    """Return an ID token that nobody signed."""
    now = int(time.time())
    claims = {"iss": stage.provider.issuer, "aud": stage.client_id, "sub": "mara", "iat": now, "exp": now + 60}
    return f"{part({'alg': 'none', 'kid': 'signing'})}.{part(claims)}."


async def state_of_another_browser(stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Open an address with the attacker's code, in a browser that has begun to sign in, too."""
    async with Browser(stage) as attacker:
        planted = await attacker.visit_provider(await attacker.begin())
    await browser.begin()
    return await browser.http.get(planted)


async def without_a_beginning(stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Open an address with the attacker's code, in a browser that has begun nothing."""
    async with Browser(stage) as attacker:
        return await browser.http.get(await attacker.visit_provider(await attacker.begin()))


async def code_of_another_browser(stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Open an address with a stolen code and an own state: the verifier is another one."""
    async with Browser(stage) as victim:
        stolen = query_of(await victim.visit_provider(await victim.begin()))["code"]
    back = await browser.visit_provider(await browser.begin())
    return await browser.http.get(with_query(back, code=stolen))


async def answer_again(_stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Open the same address twice, the second time with the cookie of the first time put back."""
    back = await browser.visit_provider(await browser.begin())
    pending = browser.http.cookies.get(PENDING_COOKIE)
    assert (await browser.http.get(back)).status_code == 303
    browser.http.cookies.clear()
    browser.http.cookies.set(PENDING_COOKIE, str(pending))
    return await browser.http.get(back)


async def state_again(_stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Open an address with a fresh code and a state that has begun a session already."""
    begun = await browser.begin()
    pending = browser.http.cookies.get(PENDING_COOKIE)
    assert (await browser.http.get(await browser.visit_provider(begun))).status_code == 303
    browser.http.cookies.clear()
    browser.http.cookies.set(PENDING_COOKIE, str(pending))
    return await browser.http.get(await browser.visit_provider(begun))


async def reload(_stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Open the same address twice, as the back button does."""
    back = await browser.visit_provider(await browser.begin())
    assert (await browser.http.get(back)).status_code == 303
    browser.http.cookies.delete(SESSION_COOKIE)
    return await browser.http.get(back)


async def changed_cookie(_stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Open the address with a changed cookie of the beginning."""
    back = await browser.visit_provider(await browser.begin())
    kept = str(browser.http.cookies.get(PENDING_COOKIE))
    browser.http.cookies.clear()
    browser.http.cookies.set(PENDING_COOKIE, ("B" if kept[0] == "A" else "A") + kept[1:])
    return await browser.http.get(back)


async def two_cookies(_stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Open the address with a second cookie of the same name."""
    back = await browser.visit_provider(await browser.begin())
    kept = browser.http.cookies.get(PENDING_COOKIE)
    browser.http.cookies.clear()
    return await browser.http.get(back, headers={"cookie": f"{PENDING_COOKIE}={kept}; {PENDING_COOKIE}={kept}"})


async def moved_token(stage: SignInStage, browser: Browser) -> httpx2.Response:
    """Let the provider answer with an ID token that has another token's signature."""
    stage.provider.sign_with(STRANGER)
    try:
        return await browser.sign_in()
    finally:
        stage.provider.sign_with(SIGNING)


ATTACKS: dict[str, Attack] = {
    # state and code
    "no state": answered(state=None),
    "an empty state": answered(state=""),
    "another state": answered(state="invented"),
    "the state of another browser": state_of_another_browser,
    "an answer without a beginning": without_a_beginning,
    "a code of another browser": code_of_another_browser,
    "an invented code": answered(code="invented"),
    "no code": answered(code=None),
    "an answer twice": answer_again,
    "an answer that is loaded again": reload,
    "a state twice": state_again,
    "a cookie that was changed": changed_cookie,
    "two cookies": two_cookies,
    "state, twice in the query": repeated("state"),
    "code, twice in the query": repeated("code"),
    "iss, twice in the query": repeated("iss"),
    "a code beside an error": answered(error="access_denied"),
    "an error": answered(code=None, error="access_denied", error_description="<script>"),
    "a very long answer": answered(padding="x" * 9_000),
    # another issuer (RFC 9207)
    "another issuer in the answer": answered(iss="https://login.example"),
    "an issuer with a slash more": person({"answer": {"iss": "http://127.0.0.1/"}}),
    "an empty issuer": answered(iss=""),
    # the ID token
    "another nonce": person(nonce="invented"),
    "no nonce": person(nonce=None),
    "a nonce that is a number": person(nonce=1),
    "a nonce that is a list": person(nonce=["x"]),
    "another audience": person(aud="other"),
    "no audience": person(aud=None),
    "a stranger among the audiences": lambda stage, browser: person(aud=[stage.client_id, "other"])(stage, browser),
    "an audience twice beside another": lambda stage, browser: person(aud=[stage.client_id] * 3)(stage, browser),
    "given to another application": person(azp="other"),
    "another issuer in the token": person(iss="https://login.example"),
    "expired": person(exp=int(time.time()) - 1),
    "no end": person(exp=None),
    "an end in the far future": person(exp=int(time.time()) + 900_000),
    "issued in the future": person(iat=int(time.time()) + 9_000, exp=int(time.time()) + 9_060),
    "no subject": person(sub=None),
    "a subject with NUL": person(sub="mara\0"),
    "a session that is a number": person(sid=1),
    "a long session": person(sid="s" * 256),
    "a security event": person(events={LOGOUT_EVENT: {}}),
    "an access token in its place": person({"header": {"typ": "at+jwt"}}),
    "a logout token in its place": id_token(lambda stage: stage.logout_token()),
    "a key in its header": person({"header": {"jwk": STRANGER.as_dict(private=False)}}),
    "another's signature": moved_token,
    "no signature": id_token(unsigned),
    "no ID token": person({"token": {"id_token": None}}),
    "an ID token that is a list": id_token(lambda _: ["x"]),
    "an ID token that is empty": id_token(lambda _: ""),
    "an error beside a token": person({"token": {"error": "server_error"}}),
}


async def test_there_are_many_attacks_at_the_callback_and_nobody_gets_in(stage: SignInStage) -> None:
    assert len(ATTACKS) >= 45
    let_in = []
    for name, attack in ATTACKS.items():
        async with Browser(stage) as browser:
            stage.let_in()
            answer = await attack(stage, browser)
            session = [one for one in answer.headers.get_list("set-cookie") if one.startswith(SESSION_COOKIE)]
            if not 400 <= answer.status_code < 500 or session or "<script>" in answer.text:
                let_in.append((name, answer.status_code, answer.text))
    assert let_in == []
    async with Browser(stage) as browser:
        stage.let_in()
        assert (await browser.sign_in()).status_code == 303


async def test_an_answer_counts_at_the_provider_where_it_was_begun(
    stage: SignInStage, other_provider: Provider, rival: Business
) -> None:
    """A mix-up: a code of one provider is never sent to another, nor to another tenant's."""
    other = await open_stage(stage.salon, other_provider, stage.server)
    theirs = await open_stage(rival, other_provider, stage.server)
    for elsewhere in (other, theirs):
        async with Browser(stage) as browser:
            stage.let_in()
            back = await browser.visit_provider(await browser.begin())
            moved = back.replace(stage.set_up["redirectUri"], elsewhere.set_up["redirectUri"])
            assert moved != back
            before = elsewhere.provider.asked().count("/token")
            assert (await browser.http.get(moved)).status_code == 400
            assert elsewhere.provider.asked().count("/token") == before


async def test_a_provider_that_promises_to_name_itself_must(
    salon: Business, other_provider: Provider, sign_in_server: ServerProcess
) -> None:
    stage = await open_stage(salon, other_provider, sign_in_server)
    async with Browser(stage) as browser:
        assert (await browser.sign_in()).status_code == 403
        stage.let_in({"answer": {"iss": other_provider.issuer}})
        assert (await browser.sign_in()).status_code == 303


# ── At the beginning ──────────────────────────────────────────────────────────────────────────────────────────────────

ELSEWHERE = [
    *("//evil.example", "/\\evil.example", "\\\\evil.example", "/\\/evil.example", "https://evil.example"),
    *("https:evil.example", "javascript:alert(1)", "data:text/html,x", "/%2Fevil.example", "/%5cevil.example"),
    *("%2F%2Fevil.example", "/%252Fevil.example", "/%09/evil.example", "/\t/evil.example", "/\n/evil.example"),
    *("///evil.example", "/a//evil.example", "/..//evil.example", "/./x", "/a/../b", "console", "", "/ü", "/a b"),
    *("?next=/", "#x", "/@evil.example//", "http://127.0.0.1/", "/" + "x" * 600),
]


async def test_nobody_is_sent_elsewhere(stage: SignInStage) -> None:
    async with Browser(stage) as browser:
        for path in ELSEWHERE:
            refused = await browser.begin(returnTo=path)
            assert (refused.status_code, "set-cookie" in refused.headers) == (400, False), path
        twice = await browser.http.get(f"{stage.sign_in_url}?returnTo=/a&returnTo=/b")
        assert twice.status_code == 400
        for path in ("/", "/console", "/console/", "/a/b?x=1&y=%2F#z", "/@team"):
            assert (await browser.sign_in(returnTo=path)).headers["location"] == path


async def test_no_page_of_others_begins_a_sign_in(stage: SignInStage) -> None:
    """It would sign people in at a tenant of its choice."""
    async with Browser(stage) as browser:
        for site in ("cross-site", "same-site", "strange"):
            refused = await browser.http.get(stage.sign_in_url, headers={"sec-fetch-site": site})
            assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
        assert (await browser.http.get(stage.sign_in_url, headers={"sec-fetch-site": "none"})).status_code == 302
        assert (await browser.http.post(stage.sign_in_url)).status_code == 405


async def test_pkce_is_neither_left_out_nor_weakened(
    stage: SignInStage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Not by who changes the way to the provider, and not by what the provider publishes of itself."""
    async with Browser(stage) as browser:
        way = (await browser.begin()).headers["location"]
        weakenings: list[dict[str, str | None]] = [
            {"code_challenge": None},
            {"code_challenge_method": None},
            {"code_challenge_method": "plain"},
        ]
        for weaker in weakenings:
            assert (await browser.http.get(with_query(way, **weaker))).status_code == 400
        back = str((await browser.http.get(with_query(way, code_challenge="x" * 43))).headers["location"])
        assert (await browser.http.get(back)).status_code == 403
    with provider_process(tmp_path_factory.mktemp("weak")) as weak:
        weak.publish(SIGNING)
        weak.describe_sign_in(
            code_challenge_method="plain", scope="none", response_type="token", redirect_uri="https://evil.example",
            client_id="other", proxy="http://127.0.0.1:9", verify=False, base_url="http://127.0.0.1:9",
            nonce="fixed", state="fixed", prompt="none", grant_type="password",
        )  # fmt: skip
        weakened = await open_stage(stage.salon, weak, stage.server)
        async with Browser(weakened) as browser:
            asked = query_of((await browser.begin()).headers["location"])
        assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
        assert (asked["client_id"], asked["redirect_uri"]) == (weakened.client_id, weakened.set_up["redirectUri"])
        assert "openid" in asked["scope"]
        assert "fixed" not in (asked["nonce"], asked["state"])
    for changes in (
        {"code_challenge_methods_supported": ["plain"]},
        {"token_endpoint": "https://user@login.example/token"},
        {"token_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ):
        with provider_process(tmp_path_factory.mktemp("unfit")) as unfit:
            unfit.publish(SIGNING)
            unfit.describe_sign_in(**changes)
            refused = await open_stage(stage.salon, unfit, stage.server, audience=str(changes)[:200])
            async with Browser(refused) as browser:
                assert (await browser.begin()).status_code == 502, changes
            await stage.salon.owner.at(stage.server).do(
                "oidcIssuerRemove", "oidcIssuer { id }", id=refused.set_up["id"]
            )


async def test_addresses_that_nobody_signs_in_at_are_alike(stage: SignInStage, rival: Business) -> None:
    """An invented provider, another tenant's, and one without a client id."""
    tenant, provider_id = stage.sign_in_url.split("/")[-2:]
    invented = "01900000-0000-7000-8000-000000000000"
    answers = []
    async with Browser(stage) as browser:
        for path in (f"{tenant}/{invented}", f"{invented}/{provider_id}", f"{rival.tenant_id}/{provider_id}"):
            answer = await browser.http.get(f"{stage.origin}/sign-in/{path}")
            answers.append((answer.status_code, answer.json()["errors"][0]["message"]))
        back = await browser.http.get(f"{stage.origin}/sign-in/{tenant}/{invented}/callback?code=x&state=y")
    assert len({*answers}) == 1
    assert (answers[0][0], back.status_code) == (404, 404)
