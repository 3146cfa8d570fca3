"""The metrics of a server process, as Prometheus reads them while callers call."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx2
import orjson
import pytest
from graphql import get_introspection_query

from api.errors import GRAPHQL_JSON
from tests.acceptance.business import Business
from tests.acceptance.client import Caller
from tests.acceptance.sockets import open_socket, receive, send
from tests.fixtures.live import until
from tests.fixtures.metrics import HOST, Scrape, scrape
from tests.fixtures.server import Installation, ServerProcess, free_port

SMALL_BUDGET = {"TREUE_BUDGET_POINTS": "20000", "TREUE_BUDGET_POINTS_PER_SECOND": "2"}
DEAR = get_introspection_query()
"""It costs more than half of what a client has."""

UPSERT = "mutation($id: ID!) { customerUpsert(input: {customer: {externalId: $id}}) { userErrors { code } } }"


class Measured(NamedTuple):
    """A server, and the port of its metrics."""

    server: ServerProcess
    port: int

    def look(self) -> Scrape:
        """Return what its metrics say now."""
        return scrape(self.port)


@pytest.fixture(scope="module")
async def measured(installation: Installation) -> AsyncIterator[Measured]:
    """Provide a server with metrics, and with budgets that can be used up."""
    port = free_port()
    settings = {**SMALL_BUDGET, "TREUE_METRICS_PORT": str(port)}
    async with installation.serve_apart("measured", settings) as running:
        yield Measured(running, port)


async def ask(caller: Caller, query: str, **more: object) -> httpx2.Response:
    return await caller.post(orjson.dumps({"query": query, **more}), GRAPHQL_JSON)


async def test_operations_are_counted_by_kind_field_and_outcome(salon: Business, measured: Measured) -> None:
    manager = salon.manager.at(measured.server)
    before = measured.look()
    await ask(manager, "{ viewer { kind } ...more } fragment more on Query { tiers { id } viewer { __typename } }")
    await ask(
        manager, 'mutation { tierCreate(input: {name: "", color: "#112233", minPoints: 1}) { userErrors { code } } }'
    )
    await ask(manager, 'mutation { tierCreate(input: {name: "Gold", color: "#112233", minPoints: 1}) { tier { id } } }')
    await ask(manager, "{ nonsense }")
    await ask(manager, "{ node(id: 5) { __typename ")
    after = measured.look()

    def more(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert more("treue_operations_total", transport="http", kind="query", outcome="done") == 1
    assert more("treue_operations_total", transport="http", kind="mutation", outcome="done") == 2
    assert more("treue_operations_total", transport="http", kind="unread", outcome="refused") == 2
    assert more("treue_root_fields_total", field="tierCreate", outcome="done") == 2
    assert more("treue_root_fields_total", field="viewer", outcome="done") == 1
    assert more("treue_root_fields_total", field="tiers", outcome="done") == 1
    assert more("treue_errors_total", code="BAD_USER_INPUT") == 2
    assert more("treue_user_errors_total", code="INVALID_INPUT") == 1
    assert more("treue_operation_seconds_count", kind="mutation") == 2
    assert more("treue_operation_cost_points_count", kind="mutation") == 2
    assert more("treue_operation_cost_points_sum", kind="mutation") > more(
        "treue_operation_cost_points_sum", kind="query"
    )
    assert more("treue_http_requests_total", route="/graphql", status="200") == 3
    assert more("treue_http_requests_total", route="/graphql", status="400") == 2
    # A mutation is three round trips at least, besides who calls.
    assert more("treue_database_round_trips_total", role="app", door="transactions") >= 6
    assert more("treue_database_statements_total", role="app", door="transactions") > more(
        "treue_database_round_trips_total", role="app", door="transactions"
    )
    assert more("treue_database_round_trips_total", role="app", door="reads") >= 3
    assert more("treue_database_answer_seconds_total", role="app", door="reads") > 0


async def test_refusals_of_the_edge_count_by_code_and_unknown_addresses_share_one_name(
    salon: Business, measured: Measured
) -> None:
    before = measured.look()
    await ask(salon.manager.at(measured.server)._replace(token="wrong"), "{ viewer { __typename } }")
    async with httpx2.AsyncClient() as client:
        for number in range(20):
            await client.get(f"http://{HOST}:{measured.server.port}/nowhere-{number}")
    after = measured.look()
    assert after.value("treue_errors_total", code="UNAUTHENTICATED") == 1 + before.value(
        "treue_errors_total", code="UNAUTHENTICATED"
    )
    assert after.value("treue_http_requests_total", route="/graphql", status="401") == 1
    assert after.value("treue_http_requests_total", route="other", status="404") >= 20


async def test_budgets_that_are_used_up_are_counted(salon: Business, measured: Measured) -> None:
    manager = salon.manager.at(measured.server)
    before = measured.look()
    assert [(await ask(manager, DEAR)).status_code for _ in range(2)] == [200, 429]
    after = measured.look()
    assert after.value("treue_budget_refusals_total") == before.value("treue_budget_refusals_total") + 1
    assert after.value("treue_errors_total", code="RATE_LIMITED") == 1 + before.value(
        "treue_errors_total", code="RATE_LIMITED"
    )
    refused = {"transport": "http", "kind": "query", "outcome": "refused"}
    assert after.value("treue_operations_total", **refused) == 1 + before.value("treue_operations_total", **refused)


async def test_sockets_and_subscriptions_are_counted_while_they_last(salon: Business, measured: Measured) -> None:
    manager = salon.manager.at(measured.server)
    assert measured.look().value("treue_subscriptions") == 0
    async with open_socket(manager) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        query = "subscription { pointsChanged { entry { points } } }"
        await send(socket, id="1", type="subscribe", payload={"query": query})
        await until(lambda: _is_following(measured, 1))
        seen = measured.look()
        assert seen.value("treue_open_connections", kind="socket") == 1
        assert seen.value("treue_followed_tenants") == 1
    await until(lambda: _is_following(measured, 0))
    ended = {"transport": "websocket", "kind": "subscription", "outcome": "done"}
    assert measured.look().value("treue_operations_total", **ended) == 1
    assert measured.look().value("treue_open_connections", kind="socket") == 0


async def _is_following(measured: Measured, readers: int) -> bool:
    return (await asyncio.to_thread(measured.look)).value("treue_subscriptions") == readers


async def test_nothing_of_a_tenant_or_a_caller_becomes_a_label(salon: Business, measured: Measured) -> None:
    """The number of series stays what it is, whatever callers send."""
    manager = salon.manager.at(measured.server)

    async def call(number: int) -> None:
        name = f"Canary{number}"
        await ask(manager, f"query {name} {{ a{number}: viewer {{ __typename }} }}", operationName=name)
        await ask(manager, f"{{ canary{number} }}")
        await ask(manager, UPSERT, variables={"id": f"canary-{number}"})

    await call(0)
    before = measured.look()
    for number in range(1, 30):
        await call(number)
    after = measured.look()
    assert set(after.values) - set(before.values) == set()
    assert "canary" not in after.text.lower()
    assert str(salon.tenant_id) not in after.text


async def test_memory_and_processor_time_of_the_process_are_told(measured: Measured) -> None:
    seen = measured.look()
    assert seen.value("process_resident_memory_bytes") > 20_000_000
    assert seen.value("process_cpu_seconds_total") > 0
    assert seen.value("process_open_fds") > 3
    assert seen.value("treue_build_info", version="0.1.0", process="server") == 1
    await until(lambda: measured.look().value("treue_event_loop_lag_seconds_count") > 0)


async def test_metrics_are_at_one_address_of_their_own_port_and_nowhere_else(measured: Measured) -> None:
    async with httpx2.AsyncClient() as client:
        assert (await client.get(f"http://{HOST}:{measured.server.port}/metrics")).status_code == 404
        assert (await client.get(f"http://{HOST}:{measured.port}/graphql")).status_code == 404
        assert (await client.post(f"http://{HOST}:{measured.port}/metrics")).status_code == 405
        packed = await client.get(f"http://{HOST}:{measured.port}/metrics", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "treue_operations_total" in packed.text


async def test_without_a_port_there_are_no_metrics(installation: Installation) -> None:
    server = installation.servers[0]
    async with httpx2.AsyncClient() as client:
        assert (await client.get(f"http://{HOST}:{server.port}/metrics")).status_code == 404
    assert "metrics are served" not in server.log.read_text()
