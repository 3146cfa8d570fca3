"""How the acceptance tests talk to Treue: as any client would, with one credential, to one server.

Questions go through `gql` over HTTP, subscriptions through `gql` over WebSocket. What a polite client cannot send, and
what comes back word by word, goes over `httpx2`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple, Self

import httpx2
import orjson
from aiohttp import ClientConnectionResetError
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportConnectionFailed, TransportQueryError, TransportServerError
from gql.transport.websockets import WebsocketsTransport

from tests.fixtures.server import ServerProcess

GENEROUS_SECONDS = 120
"""Only a test that fails waits so long."""

MAX_RETRIES = 30
"""How often a request is sent again that was answered with UNAVAILABLE."""

RETRY_AFTER_SECONDS = 1.0
"""What `Retry-After` says."""

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the certificates of the world for each client would take longer than all requests."""

Json = dict[str, Any]

USER_ERRORS = """
userErrors {
  __typename code message path
  ... on InvalidInput { reason }
  ... on VersionConflict { expected actual }
  ... on DuplicateName { name }
  ... on DuplicateMinimum { minPoints }
  ... on StatusRunsBackwards { current requested }
  ... on InsufficientPoints { available required }
  ... on LimitReached { what limit }
  ... on OpeningBalanceExists { points }
  ... on ActiveHolds { held }
  ... on AmbiguousCustomer { candidates { id externalId fullName } }
  ... on IdentifierTaken { identifierType value owner { externalId } }
  ... on CurrencyMismatch { expectedCurrency actualCurrency }
}
"""


class StreamEnded(Exception):
    """The server has ended a subscription."""


class Stream:
    """A subscription of a test."""

    def __init__(self, events: AsyncGenerator[Json, None]) -> None:
        self._events = events

    async def next(self) -> Any:
        """Wait for the next event, and return the content of its only field."""
        async with asyncio.timeout(GENEROUS_SECONDS):
            event = await anext(self._events, None)
        if event is None:
            raise StreamEnded
        (value,) = event.values()
        return value

    async def take(self, count: int) -> list[Any]:
        """Wait for so many events, and return them in the order they came."""
        return [await self.next() for _ in range(count)]


class StillUnavailableError(AssertionError):
    """The server has answered UNAVAILABLE again and again. Only a test in which it is away for long goes on."""


class Caller(NamedTuple):
    """A caller with a bearer token, at one server."""

    server: ServerProcess
    token: str | None

    def at(self, server: ServerProcess) -> Self:
        """Return the same caller at another server."""
        return self._replace(server=server)

    @property
    def headers(self) -> dict[str, str]:
        """Return the header with the credential."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    async def ask(self, document: str, **variables: Any) -> Json:
        """Run a query or mutation and return its data; any top-level error fails the test.

        UNAVAILABLE is no failure: the same request is sent again after the time that the answer says, as clients do.
        """
        transport = AIOHTTPTransport(self.server.url, headers=self.headers, timeout=GENEROUS_SECONDS)
        request = GraphQLRequest(document, variable_values=variables)
        async with _client(transport) as session:
            for _ in range(MAX_RETRIES):
                try:
                    data: Json = await session.execute(request)
                except (TransportQueryError, TransportServerError) as refused:
                    if not _is_unavailable(refused):
                        raise
                except TransportConnectionFailed as failed:
                    if not _was_never_sent(failed):
                        raise
                else:
                    return data
                await asyncio.sleep(RETRY_AFTER_SECONDS)
        raise StillUnavailableError(f"UNAVAILABLE {MAX_RETRIES} times: {document}")

    async def get(self, document: str, **variables: Any) -> Any:
        """Run a query, and return the content of its only root field."""
        (value,) = (await self.ask(document, **variables)).values()
        return value

    async def answer(self, document: str, **variables: Any) -> Json:
        """Run an operation, and return the whole answer with its errors.

        The request id is taken out, because it is never the same. For a subscription the answer is the first event, and
        the stream must end by itself.
        """
        is_stream = document.lstrip().startswith("subscription")
        accept = "text/event-stream" if is_stream else "application/json"
        response = await self.post(orjson.dumps({"query": document, "variables": variables}), accept)
        return without_request_id(orjson.loads(_first_event(response.text) if is_stream else response.content))

    async def post(self, body: bytes, accept: str = "application/json") -> httpx2.Response:
        """Send exactly these bytes."""
        headers = {**self.headers, "Content-Type": "application/json", "Accept": accept}
        async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS) as http:
            return await http.post(self.server.url, content=body, headers=headers)

    async def mutate(self, operation: str, selection: str, /, **given: Any) -> Any:
        """Run a mutation with its one input, and return its payload, also with refusals."""
        return await self.get(mutation(operation, selection), input=given)

    async def do(self, operation: str, selection: str, /, **given: Any) -> Any:
        """Run a mutation that must not be refused, and return its payload."""
        payload = await self.mutate(operation, selection, **given)
        assert payload["userErrors"] == [], payload
        return payload

    async def refusals(self, operation: str, /, **given: Any) -> list[Json]:
        """Run a mutation that must be refused, and return its `userErrors`."""
        payload = await self.mutate(operation, "__typename", **given)
        assert payload["userErrors"], f"{operation} was not refused"
        errors: list[Json] = payload["userErrors"]
        return errors

    @asynccontextmanager
    async def follow(self, document: str, **variables: Any) -> AsyncIterator[Stream]:
        """Subscribe over WebSocket."""
        transport = WebsocketsTransport(
            self.server.socket_url,
            init_payload={"authorization": f"Bearer {self.token}"},
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            connect_timeout=GENEROUS_SECONDS,
            ack_timeout=GENEROUS_SECONDS,
        )
        async with _client(transport) as session:
            events = session.subscribe(GraphQLRequest(document, variable_values=variables))
            async with aclosing(events):
                yield Stream(events)

    @asynccontextmanager
    async def stream(self, document: str, **variables: Any) -> AsyncIterator[Stream]:
        """Subscribe over HTTP, with server-sent events."""
        body = orjson.dumps({"query": document, "variables": variables})
        headers = {**self.headers, "Content-Type": "application/json", "Accept": "text/event-stream"}
        async with (
            httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS) as http,
            http.stream("POST", self.server.url, content=body, headers=headers) as response,
        ):
            assert response.headers["content-type"].startswith("text/event-stream")
            async with aclosing(_sent_events(response)) as events:
                yield Stream(events)


def _first_event(text: str) -> str:
    """Return the first `data` of an event stream; a text that is no event stream is returned as it is."""
    return next((line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")), text)


def _client(transport: AIOHTTPTransport | WebsocketsTransport) -> Client:
    """Return an HTTP client that waits as long as a loaded machine needs."""
    return Client(transport=transport, fetch_schema_from_transport=False, execute_timeout=GENEROUS_SECONDS)


def _is_unavailable(refused: TransportQueryError | TransportServerError) -> bool:
    """Tell whether an answer has only errors that say "not now"."""
    if isinstance(refused, TransportServerError):
        return refused.code == HTTPStatus.SERVICE_UNAVAILABLE
    codes = {error.get("extensions", {}).get("code") for error in refused.errors or ()}
    return codes == {"UNAVAILABLE"}


def _was_never_sent(failed: TransportConnectionFailed) -> bool:
    """Tell whether the server closed the connection before the client sent the request.

    On a loaded machine the client may send it long after it connected.
    """
    cause: BaseException | None = failed
    while cause is not None and not isinstance(cause, ClientConnectionResetError):
        cause = cause.__cause__
    return cause is not None and "Cannot write to closing transport" in str(cause)


async def _sent_events(response: httpx2.Response) -> AsyncGenerator[Json, None]:
    """Return the `data` of each event named `next`."""
    async for line in response.aiter_lines():
        if line.startswith("data: {"):
            result = orjson.loads(line.removeprefix("data: "))
            assert "errors" not in result, result
            yield result["data"]


def mutation(name: str, selection: str) -> str:
    """Return the document of a mutation: one input, the selection, and every detail of a refusal."""
    input_type = f"{name[0].upper()}{name[1:]}Input"
    return f"mutation($input: {input_type}!) {{ {name}(input: $input) {{ {selection} {USER_ERRORS} }} }}"


def without_request_id(answer: Json) -> Json:
    """Return an answer without what is different each time: the request id, and what is left of the budget."""
    for error in answer.get("errors", ()):
        error["extensions"].pop("requestId")
    extensions = answer.get("extensions", {})
    extensions.pop("cost", None)
    if not extensions:
        answer.pop("extensions", None)
    return answer


def code_of(answer: Mapping[str, Any]) -> str:
    """Return the code of the only top-level error of an answer."""
    (error,) = answer["errors"]
    return str(error["extensions"]["code"])


def list_codes(answer: Mapping[str, Any]) -> set[str]:
    """Return the codes of all top-level errors of an answer; an empty list without errors."""
    return {error["extensions"]["code"] for error in answer.get("errors", ())}


# ── what people do ───────────────────────────────────────────────────────────────────────────────────────────────

CUSTOMER = """
id externalId points { available pending held debt lifetimeEarned qualifying value { amount currency } }
tier { id name color minPoints }
tierProgress { current { name } next { name } pointsToNext percent unlimited }
"""
ACCRUAL = "points state lines { outcome points failedCondition ruleName ruleVersion explanation }"
TIER_UPGRADE = "customer { externalId } previousTier { name } tier { name } cause qualifyingPoints"
PURCHASE_RECORDED = f"""
purchase {{ id kind externalId status version }} accrual {{ id {ACCRUAL} }} customer {{ {CUSTOMER} }}
tierUpgrade {{ {TIER_UPGRADE} }} replayed
"""
POINTS_ADJUSTED = f"""
adjustment {{ id points requestedPoints reason internalNote customerDescription qualifying actor createdAt }}
customer {{ {CUSTOMER} }} tierUpgrade {{ {TIER_UPGRADE} }} replayed
"""
EARNING_RULE = """
id name active priority version conditionSummary startsAt endsAt
award {
  __typename ... on FixedAward { points } ... on PerAmountAward { points per { amount currency } rounding }
  ... on PerUnitAward { perUnit: points } ... on MultiplierAward { factor }
}
conditions {
  serviceCategories services customerCategories locations staff weekdays
  totalGreaterThan { amount } totalLessThan { amount }
}
"""


def money(amount: str, currency: str = "EUR") -> Json:
    """Return the input of an amount of money."""
    return {"amount": amount, "currency": currency}


def purchase_of(external_id: str, amount: str = "10.00", **facts: Any) -> Json:
    """Return the input of a completed order of `anna`.

    The ``facts`` change it; `customer` may be a bare external id.
    """
    customer = facts.pop("customer", "anna")
    return {
        "kind": "ORDER",
        "externalId": external_id,
        "status": "COMPLETED",
        "customer": {"externalId": customer} if isinstance(customer, str) else customer,
        "total": money(amount),
        **facts,
    }


async def record(caller: Caller, external_id: str, amount: str = "10.00", **facts: Any) -> Json:
    """Record a purchase that must not be refused."""
    payload: Json = await caller.do("purchaseRecord", PURCHASE_RECORDED, **purchase_of(external_id, amount, **facts))
    return payload


async def adjust(caller: Caller, key: str, amount: int, customer: str = "anna", **details: Any) -> Json:
    """Adjust points, which must not be refused."""
    payload: Json = await caller.do(
        "pointsAdjust",
        POINTS_ADJUSTED,
        customer={"externalId": customer},
        idempotencyKey=key,
        amount=amount,
        **details,
    )
    return payload


async def redeem(caller: Caller, customer: str, order: str, points: int = 1, *, key: str | None = None) -> Json:
    """Spend points on an order, which must not be refused. Return the hold and the redemption."""
    held: Json = await caller.do(
        "redemptionHold",
        "hold { id }",
        customer={"externalId": customer},
        points=points,
        subtotal=money("10.00"),
        purchase={"kind": "ORDER", "externalId": order},
        idempotencyKey=f"hold-{key or order}",
    )
    captured: Json = await caller.do(
        "redemptionCapture", "redemption { id }", hold=held["hold"]["id"], idempotencyKey=f"capture-{key or order}"
    )
    return {"hold": held["hold"]["id"], "redemption": captured["redemption"]["id"]}


async def create_rule(caller: Caller, name: str, award: Json | int = 10, **fields: Any) -> Json:
    """Create an earning rule. A bare number gives so many points for each purchase."""
    award = {"fixed": {"points": award}} if isinstance(award, int) else award
    payload = await caller.do(
        "earningRuleCreate", f"earningRule {{ {EARNING_RULE} }}", name=name, award=award, **fields
    )
    rule: Json = payload["earningRule"]
    return rule


ONE_PER_EURO: Json = {"perAmount": {"points": 1, "per": money("1.00")}}


async def create_tier(caller: Caller, name: str, min_points: int, color: str = "#C0C0C0") -> str:
    """Create a tier, wait until every customer is in the right tier, and return its id."""
    payload = await caller.do("tierCreate", "tier { id } job { id }", name=name, color=color, minPoints=min_points)
    await job_done(caller, payload["job"]["id"])
    return str(payload["tier"]["id"])


async def job_done(caller: Caller, job_id: str) -> Json:
    """Ask for a job again and again until it is done, as a user interface would. Return the job."""
    async with asyncio.timeout(GENEROUS_SECONDS):
        while True:
            job: Json = await caller.get("query($id: ID!) { job(id: $id) { state done total problem } }", id=job_id)
            assert job["state"] != "FAILED", job
            if job["state"] == "DONE":
                return job
            await asyncio.sleep(0.02)


async def find_customer(caller: Caller, external_id: str = "anna", selection: str = CUSTOMER) -> Any:
    """Return a customer by external id; None if there is none."""
    return await caller.get(
        f"query($by: CustomerBy!) {{ customer(by: $by) {{ {selection} }} }}", by={"externalId": external_id}
    )


POINTS_CHANGED = """
subscription($customer: CustomerBy, $after: Cursor) {
  pointsChanged(customer: $customer, after: $after) {
    cursor entry { id kind points balanceAfter customer { externalId } } points { available qualifying }
  }
}
"""
TIER_UPGRADED = f"""
subscription($customer: CustomerBy, $tiers: [ID!], $locale: Locale, $causes: [TierChangeCause!], $after: Cursor) {{
  tierUpgraded(customer: $customer, tiers: $tiers, locale: $locale, causes: $causes, after: $after) {{
    cursor occurredAt {TIER_UPGRADE}
  }}
}}
"""


async def newest_cursor(caller: Caller) -> str:
    """Make an event happen, and return its cursor, so that subscriptions can go on from there.

    Nothing says that a subscription has begun. So points are given until the subscription tells of some.
    """
    await record(caller, "canary", status="CANCELLED", customer="canary")
    async with caller.follow(POINTS_CHANGED, customer={"externalId": "canary"}) as stream:
        first = asyncio.ensure_future(stream.next())
        given = 0
        while not first.done():
            given += 1
            await adjust(caller, f"canary-{given}", 1, customer="canary", qualifying=False)
            await asyncio.wait({first}, timeout=0.3)
        event = await first
        while event["points"]["available"] < given:
            event = await stream.next()
        return str(event["cursor"])
