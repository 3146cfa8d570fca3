"""Where people of the team are signed in: they see and end their own sessions, who manages members those of all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from api.service import LAST_USE_SECONDS
from loyalty.rules.staff_session import USER_AGENT_MAX_LENGTH, tidy_user_agent
from tests.acceptance.business import Business
from tests.acceptance.client import Json, mutation
from tests.acceptance.conftest import OpenBusiness
from tests.acceptance.sign_in import Browser, SignInStage
from tests.acceptance.sockets import read_to_the_end, receive, send

FIELDS = "id personName actorSubject issuer browser startedAt lastUsedAt signedInUntil endedAt current"
LIST = f"query($filter: BrowserSessionFilterInput) {{ browserSessions(filter: $filter) {{ nodes {{ {FIELDS} }} }} }}"
END = mutation("browserSessionEnd", f"browserSession {{ {FIELDS} }} userErrors {{ code path }}")
AT_THE_COUNTER = "Counter/7 (till 2)"


@pytest.fixture
async def mara(stage: SignInStage) -> AsyncIterator[Browser]:
    """Mara, an owner, at her desk."""
    async with Browser(stage) as one:
        await one.sign_in()
        yield one


@pytest.fixture
async def tim(stage: SignInStage, mara: Browser) -> AsyncIterator[Browser]:
    """Tim, who works at the counter; he signed in after Mara."""
    assert mara.cookie
    stage.let_in(sub="tim", name="Tim", roles=["till"])
    async with Browser(stage) as one:
        one.http.headers["user-agent"] = AT_THE_COUNTER
        await one.sign_in()
        yield one


async def run(browser: Browser, document: str, **variables: Any) -> Json:
    """The data that a page of the service gets."""
    answer = await browser.run(document, **variables)
    assert "errors" not in answer, answer
    data: Json = answer["data"]
    return data


async def sessions(browser: Browser, **wanted: object) -> list[Json]:
    """The listed sessions."""
    listed: list[Json] = (await run(browser, LIST, filter=wanted))["browserSessions"]["nodes"]
    return listed


async def end(browser: Browser, session_id: str) -> Json:
    """The payload of ending a session."""
    payload: Json = (await run(browser, END, input={"id": session_id}))["browserSessionEnd"]
    return payload


async def test_a_person_sees_where_they_are_signed_in(stage: SignInStage, mara: Browser, tim: Browser) -> None:
    """The browser, the times, and which session is the one that asks. Nobody else's is there."""
    async with Browser(stage) as phone:
        await phone.sign_in()
        newest, first = await sessions(tim)
        assert (newest["current"], first["current"]) == (False, True)
        assert [one["current"] for one in await sessions(phone)] == [True, False]
    issuer_id = stage.sign_in_url.rpartition("/")[2]
    assert (first["personName"], first["actorSubject"]) == ("Tim", f"oidc:{issuer_id}:tim")
    assert (first["issuer"], first["browser"], first["endedAt"]) == (stage.provider.issuer, AT_THE_COUNTER, None)
    started, expires = (datetime.fromisoformat(first[name]) for name in ("startedAt", "signedInUntil"))
    assert (expires - started).total_seconds() == 8 * 60 * 60
    assert await sessions(tim, own=True) == await sessions(tim)
    (of_mara,) = await sessions(mara, own=True)
    assert of_mara["personName"] == "Mara"
    assert await sessions(tim, actorSubject=of_mara["actorSubject"]) == []
    node = "query($id: ID!) { node(id: $id) { id } }"
    assert (await run(tim, node, id=of_mara["id"]))["node"] is None
    assert (await run(mara, node, id=first["id"]))["node"] == {"id": first["id"]}


async def test_the_last_use_is_noted(mara: Browser) -> None:
    """Within seconds of the first request; that is what a list can show."""
    assert LAST_USE_SECONDS < 10
    (seen,) = await sessions(mara, own=True)
    while seen["lastUsedAt"] is None:
        await asyncio.sleep(0.1)
        (seen,) = await sessions(mara, own=True)
    assert seen["startedAt"] <= seen["lastUsedAt"] < seen["signedInUntil"]


async def test_who_manages_members_sees_and_ends_the_sessions_of_all(
    stage: SignInStage, mara: Browser, tim: Browser
) -> None:
    """By a session, and by a token that an operator has made, which has no session of its own."""
    of_tim, of_mara = await sessions(mara)
    assert [one["personName"] for one in (of_tim, of_mara)] == ["Tim", "Mara"]
    assert await sessions(mara, actorSubject=of_tim["actorSubject"]) == [of_tim]
    assert await sessions(mara, own=True, actorSubject=of_tim["actorSubject"]) == []
    owner = stage.salon.owner.at(stage.server)
    assert [one["id"] for one in (await owner.get(LIST))["nodes"]] == [of_tim["id"], of_mara["id"]]
    assert await owner.get(LIST, filter={"own": True}) == {"nodes": []}
    ended = await end(mara, of_tim["id"])
    assert ended["userErrors"] == []
    assert ended["browserSession"]["endedAt"] > of_tim["startedAt"]
    assert (await tim.ask()).status_code == 401
    assert [one["id"] for one in await sessions(mara)] == [of_mara["id"]]
    assert (await end(mara, of_tim["id"]))["browserSession"] == ended["browserSession"]
    await owner.do("browserSessionEnd", "browserSession { id }", id=of_mara["id"])
    assert (await mara.ask()).status_code == 401


async def test_a_person_ends_one_of_their_own_sessions(stage: SignInStage, tim: Browser) -> None:
    """HTTP at once, its open socket within 5 seconds; the session that asked goes on."""
    async with Browser(stage) as phone:
        await phone.sign_in()
        (of_phone,) = [one for one in await sessions(phone) if one["current"]]
        async with phone.open_socket(stage.origin) as socket:
            await introduce(socket)
            assert (await end(tim, of_phone["id"]))["userErrors"] == []
            assert (await phone.ask()).status_code == 401
            await read_to_the_end(socket)
            assert socket.close_code == 4403
    assert await tim.name() == "Tim"
    (own,) = await sessions(tim)
    assert (await end(tim, own["id"]))["browserSession"]["current"] is True
    assert (await tim.ask()).status_code == 401


async def introduce(socket: ClientConnection) -> None:
    """Introduce a socket by its cookie alone."""
    await send(socket, type="connection_init")
    assert (await receive(socket))["type"] == "connection_ack"


async def test_sessions_of_others_are_not_there(
    stage: SignInStage, mara: Browser, tim: Browser, businesses: OpenBusiness
) -> None:
    """For who manages no members, for every other kind of credential, and for another tenant."""
    of_tim, of_mara = await sessions(mara)
    async with stage.salon.unchanged():
        (error,) = (await end(tim, of_mara["id"]))["userErrors"]
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["id"])
    salon: Business = stage.salon
    await salon.owner.at(stage.server).do("customerUpsert", "__typename", externalId="anna")
    stranger = await businesses()
    callers = [salon.manager, salon.staff, salon.integration, await salon.customer("anna"), stranger.owner]
    for caller in (one.at(stage.server) for one in callers):
        assert await caller.get(LIST) == {"nodes": []}
        async with salon.unchanged():
            (error,) = await caller.refusals("browserSessionEnd", id=of_tim["id"])
        assert (error["code"], error["path"]) == ("NOT_FOUND", ["id"])
    assert await tim.name() == "Tim"


@pytest.mark.parametrize("end_by", ["sign out", "subject", "issuer"])
async def test_what_has_ended_otherwise_is_not_listed(
    stage: SignInStage, mara: Browser, tim: Browser, end_by: str
) -> None:
    """Signed out, revoked, or of a provider that was changed since."""
    of_tim, _ = await sessions(mara)
    owner = stage.salon.owner.at(stage.server)
    if end_by == "sign out":
        headers = {"origin": stage.origin, "x-treue-session": "1"}
        assert (await tim.http.post(f"{stage.origin}/sign-out", headers=headers)).status_code == 200
    elif end_by == "subject":
        await owner.do("signedTokensRevoke", "revokedAt", of={"subject": of_tim["actorSubject"]})
    else:
        given = {"issuer": stage.provider.issuer, "audience": stage.client_id}
        roles = [{"value": "boss", "role": "OWNER"}]
        await owner.do("oidcIssuerSet", "oidcIssuer { id }", **given, roles=roles)
    listed = await owner.get(LIST)
    assert of_tim["id"] not in [one["id"] for one in listed["nodes"]]


async def test_the_audit_log_tells_who_ended_whose_session(stage: SignInStage, mara: Browser, tim: Browser) -> None:
    """It leads to the session while that is there. A second end leaves nothing."""
    of_tim, _ = await sessions(mara)
    for _ in range(2):
        await end(mara, of_tim["id"])
    assert (await tim.ask()).status_code == 401
    log = await stage.salon.owner.at(stage.server).get(
        """query($id: ID!) { auditLog(filter: {subjects: [BROWSER_SESSION], subjectId: $id, actions: [CHANGED]}) {
          nodes { subjectId subjectName actor changes { field before } } } }""",
        id=of_tim["id"],
    )
    (entry,) = log["nodes"]
    assert (entry["subjectId"], entry["subjectName"], entry["actor"]) == (of_tim["id"], "Tim", "Mara")
    assert [(one["field"], one["before"]) for one in entry["changes"]] == [("endedAt", None)]


def test_of_a_browser_little_is_kept() -> None:
    """A header may hold anything, and be as long as a request allows."""
    assert tidy_user_agent("x" * 1000) == "x" * USER_AGENT_MAX_LENGTH
    assert tidy_user_agent(" Mozilla/5.0\u00e9\u0000 (X11) ") == "Mozilla/5.0 (X11)"
    assert tidy_user_agent(None) is tidy_user_agent("\u00e9 ") is None
