"""Subscribers share answers to events; who they are, what they may read and when they lose it stays their own."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, adjust, create_rule, create_tier, money, newest_cursor, record
from tests.acceptance.conftest import OpenBusiness
from tests.acceptance.sockets import PROTOCOL, open_socket, read_to_the_end, receive, send

CLOSED_WITHIN_SECONDS = 5
REVOKED = 4403
EVENTS = 4
LONG_EVENTS = 80
NOTES = 12
SMALL_BUFFER = 4_096

CHANGES = """
subscription($after: Cursor, $one: CustomerBy, $first: Int = 2, $isLong: Boolean = true) {
  pointsChanged(after: $after, customer: $one) {
    cursor
    entry {
      points actor actorKind note reference { __typename }
      customer {
        id externalId email fullName category
        tier { name }
        activity(first: $first) { totalCount nodes { id points actor } }
        purchases(first: $first) @include(if: $isLong) {
          nodes { externalId accrual { lines { ruleName explanation failedCondition } } }
        }
      }
    }
    points { available qualifying value { amount currency } }
  }
}
"""


class Question(NamedTuple):
    """What somebody asks, and how many events answer it."""

    caller: Caller
    variables: Json
    events: int


async def ask(stack: AsyncExitStack, question: Question, comment: str = "") -> ClientConnection:
    """Open a socket with one subscription, which ends with the stack.

    A subscriber with its own comment in the document shares no answers.
    """
    socket: ClientConnection = await stack.enter_async_context(open_socket(question.caller))
    assert (await receive(socket))["type"] == "connection_ack"
    payload = {"query": f"{CHANGES}# {comment}", "variables": question.variables}
    await send(socket, id="1", type="subscribe", payload=payload)
    return socket


async def take(socket: ClientConnection, count: int) -> list[Json]:
    """Return so many results as texts. The request id of an error is left out, because it is never the same."""
    told = []
    for _ in range(count):
        message = await receive(socket)
        assert message["type"] == "next", message
        for error in message["payload"].get("errors", ()):
            error["extensions"].pop("requestId")
        told.append(message["payload"])
    return told


async def fill(salon: Business, rule: str) -> None:
    """Create two customers. Their events have the same positions in the log of each tenant."""
    await create_rule(salon.manager, rule, conditions={"totalGreaterThan": money("500.00")})
    await create_rule(salon.manager, f"Always {rule}")
    await create_tier(salon.manager, f"Silver of {rule}", 15)
    for number in range(EVENTS):
        name = ("anna", "ben")[number % 2]
        profile = {"externalId": name, "email": f"{name}@{rule}.example", "fullName": f"{name} of {rule}"}
        await record(salon.integration, f"order-{number}", customer={**profile, "category": "vip"})


async def create_token(salon: Business, *permissions: str) -> tuple[Caller, str]:
    """Create a system with an API token, and return it with the id of the token."""
    made = await salon.owner.do("apiTokenCreate", "apiToken { id } secret", name="App", permissions=permissions)
    return salon.owner._replace(token=made["secret"]), made["apiToken"]["id"]


async def questions_of(salon: Business, after: str) -> list[Question]:
    """Return the questions of everybody who may follow a business. They are nearly the same."""
    narrow, _ = await create_token(salon, "LOYALTY_READ")
    team = (salon.owner, salon.manager, salon.staff, salon.integration, narrow)
    customers = [await salon.customer("anna"), await salon.customer("ben")]
    differences: list[Json] = [{}, {"first": 1}, {"isLong": False}, {"one": None}]
    one = {"after": after, "one": {"externalId": "anna"}}
    return [
        *(Question(caller, {"after": after, **more}, EVENTS) for caller in team for more in differences),
        *(Question(caller, {"after": after, **more}, EVENTS // 2) for caller in customers for more in differences),
        *(Question(caller, one, EVENTS // 2) for caller in (*team, customers[0])),
    ]


async def test_a_shared_answer_equals_the_one_read_alone(businesses: OpenBusiness) -> None:
    """Two tenants with the same names and other languages, every kind of caller, at one server at the same time."""
    salons = {"Regel": await businesses(locale="de-DE"), "Rule": await businesses(locale="en-GB")}
    questions: list[Question] = []
    for rule, salon in salons.items():
        after = await newest_cursor(salon.owner)
        await fill(salon, rule)
        questions += await questions_of(salon, after)
    alone = []
    for number, question in enumerate(questions):
        async with AsyncExitStack() as stack:
            alone.append(await take(await ask(stack, question, str(number)), question.events))
    async with AsyncExitStack() as stack:
        sockets = [await ask(stack, question) for question in questions]
        together = await asyncio.gather(
            *(take(socket, question.events) for socket, question in zip(sockets, questions, strict=True))
        )
    assert together == alone
    texts = [orjson.dumps(results).decode() for results in together]
    half = len(texts) // 2
    assert all(("of Regel" in text, "of Rule" in text) == (True, False) for text in texts[:half])
    assert all(("of Regel" in text, "of Rule" in text) == (False, True) for text in texts[half:])
    assert len(set(texts)) > 2 * len(salons)


async def test_a_revoked_token_is_told_nothing_more_while_others_go_on(salon: Business) -> None:
    """It had the same question and rights as another one, which is told every event, also those that came after."""
    after = await newest_cursor(salon.owner)
    revoked, token_id = await create_token(salon, "LOYALTY_READ")
    stays, _ = await create_token(salon, "LOYALTY_READ")
    async with AsyncExitStack() as stack:
        ended, other = [await ask(stack, Question(caller, {"after": after}, 1)) for caller in (revoked, stays)]
        await create_rule(salon.manager, "Always")
        await record(salon.integration, "before")
        assert await take(ended, 1) == await take(other, 1)
        await salon.owner.do("apiTokenRevoke", "apiToken { id }", id=token_id)
        async with asyncio.timeout(CLOSED_WITHIN_SECONDS):
            await read_to_the_end(ended)
        assert ended.close_code == REVOKED
        await record(salon.integration, "after")
        (told,) = await take(other, 1)
        nodes = told["data"]["pointsChanged"]["entry"]["customer"]["purchases"]["nodes"]
        assert {node["externalId"] for node in nodes} == {"before", "after"}


async def listen(stack: AsyncExitStack, caller: Caller, operation_id: str, after: str) -> ClientConnection:
    """Open a socket with a small buffer that gets long events. ``operation_id`` is the id of its subscription."""
    raw = socket_of(caller)
    stack.callback(raw.close)
    opened: ClientConnection = await stack.enter_async_context(
        connect(caller.server.socket_url, subprotocols=[PROTOCOL], sock=raw, max_queue=1)
    )
    await send(opened, type="connection_init", payload=caller.headers)
    assert (await receive(opened))["type"] == "connection_ack"
    notes = " ".join(f"n{number}: note" for number in range(NOTES))
    document = f'subscription {{ pointsChanged(after: "{after}") {{ cursor entry {{ points {notes} }} }} }}'
    await send(opened, id=operation_id, type="subscribe", payload={"query": document})
    return opened


def socket_of(caller: Caller) -> socket.socket:
    """Return a connection whose reader must read, or the server has to wait."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    address = urlsplit(caller.server.socket_url)
    raw.connect((address.hostname, address.port))
    return raw


async def test_live_sockets_are_told_alike_under_their_own_ids_however_slow(salon: Business) -> None:
    """Whole messages, each event once and in order, also for a socket that reads nothing until all has happened."""
    await create_rule(salon.manager, "Always")
    await record(salon.integration, "first")
    after = await newest_cursor(salon.owner)
    ids = ["1", "1", "2", 'a "quoted" é', "slow"]
    async with AsyncExitStack() as stack:
        sockets = [await listen(stack, salon.manager, one, after) for one in ids]
        for number in range(LONG_EVENTS):
            await adjust(salon.manager, f"key-{number}", number + 1, internalNote="ö" * 1_800)
        told = {}
        for name, opened in enumerate(sockets):
            messages = [await receive(opened) for _ in range(LONG_EVENTS)]
            assert {message["id"] for message in messages} == {ids[name]}
            told[name] = [message["payload"] for message in messages]
    first = told[0]
    assert [payload["data"]["pointsChanged"]["entry"]["points"] for payload in first] == list(range(1, LONG_EVENTS + 1))
    assert all(payloads == first for payloads in told.values())
