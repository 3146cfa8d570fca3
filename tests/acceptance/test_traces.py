"""Traces as a collector gets them: what operations, subscriptions and the worker tell, and what is never told."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import orjson
import pytest

from api.errors import GRAPHQL_JSON
from tests.acceptance.business import Business
from tests.acceptance.client import Caller, adjust, newest_cursor, purchase_of
from tests.fixtures.collector import Collector, SeenSpan, collector_process
from tests.fixtures.live import until
from tests.fixtures.metrics import HOST, scrape
from tests.fixtures.server import Installation, ServerProcess, TreueProcess, free_port

RECORD = """
mutation Register($input: PurchaseRecordInput!) {
  purchaseRecord(input: $input) { userErrors { code path } purchase { id } }
}
"""
WATCH = "subscription Watch($after: Cursor) { pointsChanged(after: $after) { entry { points } points { available } } }"

UPSERT = """
mutation Enter($input: CustomerUpsertInput!) { customerUpsert(input: $input) { userErrors { code } customer { id } } }
"""


class Traced(NamedTuple):
    """A server that sends traces, the port of its metrics, and the collector."""

    server: ServerProcess
    metrics_port: int
    collector: Collector


class Parent(NamedTuple):
    """The span of a caller, which its request names."""

    trace_id: str
    span_id: str

    def headers(self, flags: str = "01") -> dict[str, str]:
        """Return what the caller sends."""
        return {"traceparent": f"00-{self.trace_id}-{self.span_id}-{flags}", "tracestate": "shop=t61"}


def new_parent() -> Parent:
    return Parent(secrets.token_hex(16), secrets.token_hex(8))


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with collector_process(tmp_path_factory.mktemp("collector")) as running:
        yield running


@pytest.fixture(scope="module")
async def traced(installation: Installation, collector: Collector) -> AsyncIterator[Traced]:
    """Provide a server that sends every trace."""
    port = free_port()
    settings = {"TREUE_TRACES_URL": collector.url, "TREUE_METRICS_PORT": str(port), "TREUE_LOG_LEVEL": "INFO"}
    async with installation.serve_apart("traced", settings) as running:
        yield Traced(running, port, collector)


async def send(
    caller: Caller, document: str, variables: Any = None, headers: list[tuple[str, str]] | None = None
) -> Any:
    """Ask with these headers beside those of every request; the answer."""
    own = {**caller.headers, "Content-Type": "application/json", "Accept": GRAPHQL_JSON}
    async with httpx2.AsyncClient(timeout=60) as client:
        answer = await client.post(
            caller.server.url,
            content=orjson.dumps({"query": document, "variables": variables}),
            headers=[*own.items(), *(headers or [])],
        )
    return answer.json()


async def ask_within(caller: Caller, parent: Parent, document: str, variables: Any = None, flags: str = "01") -> Any:
    return await send(caller, document, variables, list(parent.headers(flags).items()))


async def trace_of(collector: Collector, trace_id: str, last: str = "POST /graphql") -> list[SeenSpan]:
    """Return the spans of a trace once the one has come that ends last."""
    await until(lambda: any(span.name == last for span in collector.trace(trace_id)))
    return collector.trace(trace_id)


def named(spans: list[SeenSpan], name: str) -> SeenSpan:
    (one,) = [span for span in spans if span.name == name]
    return one


async def test_a_mutation_is_a_part_of_its_callers_trace_and_each_round_trip_a_part_of_it(
    salon: Business, traced: Traced
) -> None:
    parent = new_parent()
    answer = await ask_within(salon.manager.at(traced.server), parent, RECORD, {"input": purchase_of("p-1", "50.00")})
    assert answer["data"]["purchaseRecord"]["userErrors"] == []

    spans = await trace_of(traced.collector, parent.trace_id)
    request, operation = named(spans, "POST /graphql"), named(spans, "mutation")
    assert (request.kind, request.parent_id, request.trace_state) == ("SERVER", parent.span_id, "shop=t61")
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/graphql",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
    }
    assert (operation.kind, operation.parent_id) == ("INTERNAL", request.span_id)
    assert operation.attributes["graphql.operation.name"] == "Register"
    assert operation.attributes["graphql.operation.type"] == "mutation"
    assert operation.attributes["treue.root_fields"] == ["purchaseRecord"]
    assert operation.attributes["treue.transport"] == "http"
    assert operation.attributes["treue.tenant.id"] == str(salon.tenant_id)
    assert operation.attributes["treue.cost"] > 0
    trips = [span for span in spans if span.parent_id == operation.span_id]
    # Prepare, open and lock accounts, post; each COMMIT is a round trip as well.
    assert len([span for span in trips if span.name != "COMMIT"]) >= 3, [span.name for span in trips]
    for trip in trips:
        assert trip.kind == "CLIENT"
        assert trip.attributes["db.system.name"] == "postgresql"
        assert trip.attributes["db.query.summary"] == trip.name
        assert trip.attributes["db.operation.name"] in {"SELECT", "INSERT", "UPDATE", "COMMIT"}
        assert operation.begun <= trip.begun <= trip.ended
    # COMMIT travels with the posting, and is not what the round trip is called by.
    (posting,) = [trip for trip in trips if "INSERT purchases" in trip.name]
    assert posting.attributes["db.operation.name"] in {"INSERT", "UPDATE"}
    assert any(trip.attributes.get("db.operation.batch.size", 1) > 1 for trip in trips)
    assert not [span for span in spans if span.failed or span.events]
    assert {span.process["service.name"] for span in spans} == {"treue-server"}
    (line,) = [json.loads(line) for line in traced.server.log.read_text().splitlines() if parent.trace_id in line]
    assert (line["event"], line["trace_id"]) == ("request", parent.trace_id)


async def test_nothing_that_a_caller_sends_but_the_name_of_the_operation_is_told(
    salon: Business, traced: Traced
) -> None:
    parent, canary = new_parent(), f"canary{secrets.token_hex(8)}"
    manager = salon.manager.at(traced.server)
    person = {"externalId": f"{canary}-id", "fullName": f"Anna {canary}", "email": f"{canary}@example.org"}
    await ask_within(manager, parent, UPSERT, {"input": person})
    await ask_within(manager, parent, f'{{ customer(by: {{externalId: "{canary}-id"}}) {{ {canary}: fullName }} }}')
    await ask_within(
        manager, parent, f'{{ customer(by: {{email: "{canary}@example.org"}}) {{ id }} nonsense{canary} }}'
    )
    await ask_within(manager._replace(token=f"treue_api_{canary}"), parent, "{ viewer { kind } }")
    async with httpx2.AsyncClient() as client:
        headers = {**parent.headers(), "user-agent": canary, "x-request-id": canary}
        await client.get(f"http://{HOST}:{traced.server.port}/{canary}?{canary}=1", headers=headers)
        await client.options(f"http://{HOST}:{traced.server.port}/graphql?{canary}=1", headers=headers)
    await until(lambda: len([one for one in traced.collector.trace(parent.trace_id) if one.kind == "SERVER"]) == 6)
    assert canary not in traced.collector.text.lower()
    assert manager.token is not None
    assert manager.token not in traced.collector.text


async def test_a_refusal_is_named_and_is_no_failure_of_ours(salon: Business, traced: Traced) -> None:
    parent, denied = new_parent(), new_parent()
    await ask_within(salon.staff.at(traced.server), parent, UPSERT, {"input": {"externalId": "anna"}})
    await ask_within(salon.manager.at(traced.server)._replace(token="wrong"), denied, "{ viewer { kind } }")
    operation = named(await trace_of(traced.collector, parent.trace_id), "mutation")
    assert (operation.attributes["error.type"], operation.failed) == ("FORBIDDEN", False)
    (request,) = await trace_of(traced.collector, denied.trace_id)
    assert request.attributes["http.response.status_code"] == 401
    assert (request.attributes["error.type"], request.failed) == ("UNAUTHENTICATED", False)


async def test_a_trace_that_is_not_recorded_stays_so_and_what_is_no_trace_begins_one(
    salon: Business, traced: Traced
) -> None:
    manager = salon.manager.at(traced.server)
    unwanted, twice, other = new_parent(), new_parent(), new_parent()
    await ask_within(manager, unwanted, "query Unwanted { viewer { kind } }", flags="00")
    both = [("traceparent", twice.headers()["traceparent"]), ("traceparent", other.headers()["traceparent"])]
    await send(manager, "query Twice { viewer { kind } }", None, both)
    wrong = ("", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01", f"ff-{twice.trace_id}-{twice.span_id}-01", "x" * 3_000)
    for number, header in enumerate(wrong):
        await send(manager, f"query Wrong{number} {{ viewer {{ kind }} }}", None, [("traceparent", header)])
    last = f"Wrong{len(wrong) - 1}"
    await until(lambda: last in traced.collector.text)
    spans = traced.collector.spans()
    assert [span for span in spans if span.trace_id in {unwanted.trace_id, twice.trace_id, other.trace_id}] == []
    for name in ("Twice", *(f"Wrong{number}" for number in range(len(wrong)))):
        (operation,) = [span for span in spans if span.attributes.get("graphql.operation.name") == name]
        (request,) = [span for span in spans if span.span_id == operation.parent_id]
        assert request.parent_id == ""
    assert unwanted.trace_id in traced.server.log.read_text(), "the log names the trace all the same"


async def test_each_operation_over_a_socket_is_a_trace_and_each_event_a_part_of_its_subscription(
    salon: Business, traced: Traced
) -> None:
    manager = salon.manager.at(traced.server)
    await manager.do("customerUpsert", "customer { id }", externalId="anna", fullName="Anna")
    await adjust(manager, "first", 5)
    after = await newest_cursor(manager)
    async with manager.follow(WATCH, after=after) as events:
        await adjust(manager, "key", 7)
        await events.next()
        await until(lambda: "Watch" in traced.collector.text)
        (setup,) = [one for one in traced.collector.spans() if one.attributes.get("graphql.operation.name") == "Watch"]
        spans = await trace_of(traced.collector, setup.trace_id, "subscription event")
    assert (setup.kind, setup.parent_id, setup.attributes["treue.transport"]) == ("SERVER", "", "websocket")
    (event,) = [span for span in spans if span.name == "subscription event"]
    assert (event.trace_id, event.parent_id) == (setup.trace_id, setup.span_id)
    assert setup.ended < event.begun
    reads = [span for span in spans if span.parent_id == event.span_id]
    assert reads
    assert {span.kind for span in reads} == {"CLIENT"}


async def test_a_worker_tells_of_rounds_that_found_something_to_do_and_of_no_others(
    salon: Business, installation: Installation, tmp_path: Path
) -> None:
    with collector_process(tmp_path) as collector:
        environment = {
            **installation.environment_with(None),
            "TREUE_TRACES_URL": collector.url,
            "TREUE_LOG_LEVEL": "INFO",
        }
        worker = TreueProcess(("worker",), environment, tmp_path / "worker.log")
        worker.start()
        await salon.manager.do("customerUpsert", "customer { id }", externalId="anna", fullName="Anna")
        try:
            # Another worker works on the same database, and either may be faster.
            async def has_relayed_and_read() -> bool:
                await adjust(salon.manager, secrets.token_hex(8), 1)
                worker.refuse_early_end()
                names = {span.name for span in collector.spans()}
                return {"relay round", "turn of figures"} <= names

            await until(has_relayed_and_read)
        finally:
            worker.stop()
        spans = collector.spans()
    assert worker.code == 0
    relayed = [span for span in spans if span.name == "relay round"]
    assert {span.parent_id for span in relayed} == {""}
    for one in relayed:
        parts = [span.name for span in spans if span.parent_id == one.span_id]
        assert any("events" in name for name in parts), parts
    turn = next(span for span in spans if span.name == "turn of figures")
    (around,) = [span for span in spans if span.span_id == turn.parent_id]
    assert around.name == "reader figures round"
    assert "treue.tenant.id" in turn.attributes
    rounds = [span for span in spans if span.parent_id == "" and span.name.startswith("reader ")]
    with_work = {span.parent_id for span in spans if span.name.startswith("turn of ")}
    assert {one.span_id for one in rounds} == with_work, "rounds with nothing to do are not told"
    assert {span.process["service.name"] for span in spans} == {"treue-worker"}
    by_id = {span.span_id for span in spans}
    assert [span for span in spans if span.parent_id and span.parent_id not in by_id] == []


async def test_a_collector_that_is_away_slow_or_broken_harms_nobody(
    salon: Business, installation: Installation, tmp_path: Path
) -> None:
    with collector_process(tmp_path) as collector:
        collector.behave(wait_seconds=3600)
        ports = {"slow": free_port(), "broken": free_port(), "away": free_port()}
        nobody = f"http://{HOST}:{free_port()}/v1/traces"
        urls = {"slow": collector.url, "broken": f"{collector.url}/wrong", "away": nobody}
        for name, port in ports.items():
            settings = {"TREUE_TRACES_URL": urls[name], "TREUE_METRICS_PORT": str(port)}
            if name == "broken":
                collector.behave(status=500)
            async with installation.serve_apart(f"traces-{name}", settings) as server:
                manager = salon.manager.at(server)
                for _ in range(20):
                    assert (await manager.ask("{ viewer { kind } }"))["viewer"]
                dropped = ("treue_trace_spans_dropped_total", "not_taken")

                async def has_dropped(port: int = port, dropped: tuple[str, str] = dropped) -> bool:
                    seen = await asyncio.to_thread(scrape, port)
                    return seen.value(dropped[0], reason=dropped[1]) > 0

                await until(has_dropped)
                assert scrape(port).value("treue_trace_spans_sent_total") == 0
                assert (await manager.ask("{ viewer { kind } }"))["viewer"]
            assert server.code == 0
            warnings = [json.loads(line) for line in server.log.read_text().splitlines()]
            assert [one["event"] for one in warnings] == ["traces are not taken"], "once, not for every batch"


async def test_the_platforms_process_has_traces_and_metrics_of_its_own(
    installation: Installation, collector: Collector
) -> None:
    port, metrics_port, parent = free_port(), free_port(), new_parent()
    environment = {**installation.environment_with(None), "TREUE_TRACES_URL": collector.url}
    arguments = ("platform", "serve", "--host", HOST, "--port", str(port), "--metrics-port", str(metrics_port))
    process = TreueProcess(arguments, environment, installation.folder / "traced-platform.log")
    process.start()
    try:
        await process.wait_until_ready(port)
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", "platform", "token", "create", "--name", "Traces"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        token = (await made.communicate())[0].decode().strip()
        async with httpx2.AsyncClient(timeout=60) as client:
            answer = await client.post(
                f"http://{HOST}:{port}/graphql",
                json={"query": "query List { tenants(first: 1) { nodes { id } } }"},
                headers={"authorization": f"Bearer {token}", **parent.headers()},
            )
        assert answer.json()["data"]["tenants"] is not None
        spans = await trace_of(collector, parent.trace_id)
        seen = await asyncio.to_thread(scrape, metrics_port)
    finally:
        process.stop()
    assert named(spans, "query").parent_id == named(spans, "POST /graphql").span_id
    assert any(span.name.startswith("SELECT tenants") for span in spans if span.kind == "CLIENT"), spans
    assert {span.process["service.name"] for span in spans} == {"treue-platform"}
    assert seen.value("treue_operations_total", transport="http", kind="query", outcome="done") == 1
    assert seen.value("treue_http_requests_total", route="/graphql", status="200") == 1
    assert seen.value("treue_root_fields_total", field="tenants", outcome="done") == 1
    assert seen.value("treue_database_round_trips_total", role="relay", door="plain") > 0
    assert seen.value("treue_build_info", version="0.1.0", process="platform") == 1
    assert token not in seen.text


async def test_without_the_setting_nothing_is_sent_and_no_package_of_traces_is_loaded(
    salon: Business, installation: Installation
) -> None:
    server = installation.servers[0]
    parent = new_parent()
    assert "data" in await ask_within(salon.manager.at(server), parent, "{ viewer { kind } }")
    loaded = await asyncio.to_thread(Path(f"/proc/{server.pid}/maps").read_text)
    assert "uvloop" in loaded
    assert "google/_upb" not in loaded
