"""Budgets over the wire: what answers say of the cost, and what happens where too little is left."""

from collections.abc import AsyncIterator

import httpx2
import orjson
import pytest
from graphql import get_introspection_query

from api.errors import GRAPHQL_JSON, JSON
from schema.limits import QUESTION_COST, WRITE_COST
from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, create_tier
from tests.acceptance.sockets import open_socket, receive, send
from tests.fixtures.server import Installation, ServerProcess

SMALL = {"TREUE_BUDGET_POINTS": "20000", "TREUE_BUDGET_POINTS_PER_SECOND": "2"}
"""Each client has 20,000 points, and 1 comes back a second."""

DEAR = get_introspection_query()
"""It costs more than half of what a client has."""

CHEAP = "{ viewer { __typename } }"


@pytest.fixture(scope="module")
async def narrow(installation: Installation) -> AsyncIterator[ServerProcess]:
    """Provide a server with small budgets.

    They are shared with a server that has others, so each test has its own tenant.
    """
    async with installation.serve_apart("narrow", SMALL) as running:
        yield running


async def post(caller: Caller, document: str, accept: str = GRAPHQL_JSON) -> tuple[httpx2.Response, Json]:
    response = await caller.post(orjson.dumps({"query": document}), accept)
    return response, orjson.loads(response.content)


async def test_every_answer_says_what_it_cost_and_what_is_left(salon: Business) -> None:
    response, body = await post(salon.manager, '{ customer(by: {externalId: "anna"}) { fullName } }')
    cost = body["extensions"]["cost"]
    assert (cost["requestedQueryCost"], cost["actualQueryCost"]) == (QUESTION_COST + 1, QUESTION_COST + 1)
    status = cost["throttleStatus"]
    assert (status["maximumAvailable"], status["restoreRate"]) == (100_000, 500_000)
    assert status["currentlyAvailable"] == 100_000 - (QUESTION_COST + 1)
    assert response.headers["ratelimit-policy"] == '"points";q=100000;w=1;qu="points"'
    assert response.headers["ratelimit"] == f'"points";r={status["currentlyAvailable"]};t=1'
    assert "retry-after" not in response.headers


async def test_a_mutation_costs_more_than_a_question_and_a_batch_more_than_one_item(salon: Business) -> None:
    mutation = "mutation($input: CustomersUpsertInput!) { customersUpsert(input: $input) { userErrors { code } } }"
    costs = []
    for count in (1, 1_000):
        items = [{"externalId": f"c-{number}", "fullName": f"Customer {number}"} for number in range(count)]
        body = orjson.dumps({"query": mutation, "variables": {"input": {"items": items}}})
        answer = orjson.loads((await salon.manager.post(body)).content)
        assert answer["data"]["customersUpsert"]["userErrors"] == []
        costs.append(answer["extensions"]["cost"]["requestedQueryCost"])
    assert WRITE_COST < costs[0] < WRITE_COST + 20
    assert costs[1] - costs[0] == pytest.approx(999 * 3 / 5, abs=1)


async def test_a_client_without_points_is_told_when_to_come_back(salon: Business, narrow: ServerProcess) -> None:
    manager = salon.manager.at(narrow)
    response, body = await post(manager, DEAR)
    assert (response.status_code, "errors" in body) == (200, False)
    response, body = await post(manager, DEAR)
    assert (response.status_code, "data" in body) == (429, False)
    (error,) = body["errors"]
    extensions = error["extensions"]
    assert (extensions["code"], extensions["reason"]) == ("RATE_LIMITED", "BUDGET_USED_UP")
    cost, left = (
        body["extensions"]["cost"]["requestedQueryCost"],
        20_000 - body["extensions"]["cost"]["requestedQueryCost"],
    )
    assert cost - left - 100 < extensions["retryAfter"] <= cost - left
    assert extensions["retryAfterSeconds"] == extensions["retryAfter"] == int(response.headers["retry-after"])
    assert extensions["requestId"] == response.headers["x-request-id"]
    assert body["extensions"]["cost"]["actualQueryCost"] is None
    told = body["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"]
    assert left <= told < left + 100
    assert response.headers["ratelimit"].startswith(f'"points";r={told};t=')


async def test_older_clients_get_200_with_the_error_and_the_headers(salon: Business, narrow: ServerProcess) -> None:
    manager = salon.manager.at(narrow)
    await post(manager, DEAR)
    response, body = await post(manager, DEAR, JSON)
    assert (response.status_code, "data" in body) == (200, False)
    assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert int(response.headers["retry-after"]) > 10_000


async def test_cheap_operations_still_run_and_other_callers_have_their_own_budgets(
    salon: Business, rival: Business, narrow: ServerProcess
) -> None:
    manager = salon.manager.at(narrow)
    for _ in range(2):
        await post(manager, DEAR)
    response, body = await post(manager, CHEAP)
    assert (response.status_code, body["data"]["viewer"]["__typename"]) == (200, "Viewer")
    assert (await post(rival.manager.at(narrow), DEAR))[0].status_code == 200


async def test_a_refused_mutation_changes_nothing(salon: Business, narrow: ServerProcess) -> None:
    manager = salon.manager.at(narrow)
    await post(manager, DEAR)
    while (await post(manager, "{ customers(first: 100) { nodes { fullName } } }"))[0].status_code == 200:
        pass
    while (await post(manager, "{ tiers { name } }"))[0].status_code == 200:
        pass
    async with salon.unchanged():
        refused = await create_tier_quietly(manager)
    assert refused["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    await create_tier(salon.manager, "Silver", 5)


async def test_a_socket_gets_an_error_message_and_stays_open(salon: Business, narrow: ServerProcess) -> None:
    manager = salon.manager.at(narrow)
    await post(manager, DEAR)
    async with open_socket(manager) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await send(socket, type="subscribe", id="dear", payload={"query": DEAR})
        refused = await receive(socket)
        assert (refused["type"], refused["id"]) == ("error", "dear")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert refused["payload"][0]["extensions"]["retryAfter"] > 10_000
        await send(socket, type="subscribe", id="cheap", payload={"query": CHEAP})
        answer = await receive(socket)
        assert (answer["type"], answer["payload"]["data"]["viewer"]["__typename"]) == ("next", "Viewer")
        assert answer["payload"]["extensions"]["cost"]["requestedQueryCost"] == 2
        assert (await receive(socket))["type"] == "complete"


async def test_an_event_stream_ends_with_the_error(salon: Business, narrow: ServerProcess) -> None:
    manager = salon.manager.at(narrow)
    await post(manager, DEAR)
    response = await manager.post(orjson.dumps({"query": DEAR}), "text/event-stream")
    assert "RATE_LIMITED" in response.text
    assert response.text.rstrip().endswith("data:")


async def create_tier_quietly(caller: Caller) -> Json:
    document = (
        'mutation { tierCreate(input: {name: "Silver", color: "#C0C0C0", minPoints: 5}) { userErrors { code } } }'
    )
    return (await post(caller, document))[1]
