"""Measure what reads cost: by plans, by graphql-core and in PostGraphile; with and without metrics or traces.

    make bench-reads                                   3 rounds of 4 seconds for each server, question and load
    make bench-reads ARGS="--rounds 5 --connections 64"
    make bench-metrics                                 the same questions, with and without metrics
    make bench-traces                                  the same questions, with every trace recorded and with none

All servers share one database and take turns within each round, so that a busy machine slows each of them, and a ratio
is that of one round. Every answer is compared with what the server said before, and these answers with each other. With
PostGraphile, documents that Treue has never seen are sent last.
"""

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from api.server import find_loop_factory
from bench.exchange import exchange, post_of
from bench.load import Asked, Loaded, Slice, data_of, load
from bench.postgraphile import COUNTERPARTS, compare_answers, post_to_peer, running_postgraphile
from bench.reader import say_where
from bench.same_writes import connect_as_admin
from bench.service import HOST, Service, another_server, pin_servers, running_service
from loyalty.services.tier import create_tier

CUSTOMERS = 2_000
ASKED = 64
"""The number of customers about whom the operation for one customer asks in turn."""

FIRST_SECONDS = 10.0
"""How long each server is warmed up before the first round of a question."""
WARM_SECONDS = 2.0
"""How long a server is warmed up before its turn."""

UNPLANNED = 10_000
"""Documents that are new to a server; more than it answers in a turn."""

_PROFILE = "externalId fullName points { available pending } tier { name color }"
OPERATIONS: Mapping[str, str] = {
    "one customer": f"query($id: String!) {{ customer(by: {{externalId: $id}}) {{ {_PROFILE} "
    "tierProgress { percent pointsToNext next { name } } } }",
    "50 entries": """{ report(range: {from: "2020-01-01", to: "2099-12-31"}) { activity(first: 50) { nodes {
        id entryKind points balanceAfter occurredAt color displayColor note
        customer { externalId fullName tier { name color } } } } } }""",
    "50 customers": f"{{ customers(having: ANY, first: 50) {{ edges {{ cursor node {{ {_PROFILE} }} }} "
    "pageInfo { hasNextPage endCursor } } }",
}


class Comparison(NamedTuple):
    """A comparison of two servers of Treue: the names of both, and the settings of the second one."""

    first: str
    second: str
    settings: Mapping[str, str]


COMPARISONS: Mapping[str, Comparison] = {
    "plans": Comparison("plans", "graphql-core", {"TREUE_PLANS": "false"}),
    "metrics": Comparison("no metrics", "metrics", {"TREUE_METRICS_PORT": "0"}),
    "traces": Comparison("no traces", "traces", {}),
}
PEER = "PostGraphile"


class Target(NamedTuple):
    """A ratio to the peer that is wanted, by the number of connections: the least to accept, and what is good."""

    must: Mapping[int, float]
    goal: Mapping[int, float]


TARGETS: Mapping[str, Target] = {
    "one customer": Target({16: 3, 64: 3}, {16: 5, 64: 5}),
    "50 entries": Target({16: 2, 64: 2}, {16: 3, 64: 4}),
    "50 customers": Target({16: 2, 64: 2}, {16: 3, 64: 3}),
}


def main() -> None:
    """Warm up, compare the answers, measure in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--compare", choices=COMPARISONS, default="plans")
    parser.add_argument("--peer", action="store_true", help="PostGraphile takes part (make bench-reads installs it)")
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    with asyncio.Runner(loop_factory=find_loop_factory()) as runner:
        runner.run(_measure(wanted))


async def _measure(wanted: argparse.Namespace) -> None:
    """Run all servers over one database, and print how fast they answer each question."""
    compared = COMPARISONS[wanted.compare]
    async with running_service() as service:
        await _fill(service)
        with ExitStack() as stack:
            settings = stack.enter_context(_settings_of(compared))
            port, process = stack.enter_context(another_server(service, settings))
            servers = [
                Loaded(compared.first, service.port, service.server.pid, service.postmaster),
                Loaded(compared.second, port, process.pid, service.postmaster),
            ]
            if wanted.peer:
                servers.append(Loaded(PEER, *stack.enter_context(running_postgraphile(service)), service.postmaster))
            pin_servers(server.pid for server in servers)
            for connections in wanted.connections:
                for question in OPERATIONS:
                    asked = await _ask_everybody(service, servers, question)
                    _tell(question, connections, await _take_turns(servers, asked, wanted, connections))
            if wanted.peer:
                await _tell_unplanned(service, servers[0], wanted)


@contextmanager
def _settings_of(compared: Comparison) -> Iterator[Mapping[str, str]]:
    """Yield the settings of the second server. If traces are compared, a collector takes them during the block."""
    from tests.fixtures.collector import collector_process  # noqa: PLC0415

    if compared.second != "traces":
        yield compared.settings
        return
    with (
        tempfile.TemporaryDirectory(prefix="treue-bench-") as folder,
        collector_process(Path(folder)) as collector,
    ):
        yield {**compared.settings, "TREUE_TRACES_URL": collector.url}


async def _fill(service: Service) -> None:
    """Create two tiers, and a purchase of each customer."""
    await create_tier(service.world, service.manager, "Silver", "#C0C0C0", 5)
    await create_tier(service.world, service.manager, "Gold", "#D4AF37", 5_000)
    await service.buy(1, CUSTOMERS)
    with connect_as_admin(service) as admin:
        admin.execute("VACUUM ANALYZE")


async def _ask_everybody(service: Service, servers: Sequence[Loaded], question: str) -> dict[str, list[Asked]]:
    """Return the requests of a question with the answers of each server. Answers that differ end the run."""
    token = service.manager_token()
    variables: list[dict[str, Any]] = [{}]
    if "$id" in OPERATIONS[question]:
        variables = [{"id": f"customer-{number}"} for number in range(1, ASKED + 1)]
    asked: dict[str, list[Asked]] = {}
    for server in servers:
        if server.name == PEER:
            document, named = COUNTERPARTS[question].document, {"tenant": str(service.tenant_id)}
            requests = [post_to_peer(service, document, {**named, **values}) for values in variables]
        else:
            requests = [post_of(token, OPERATIONS[question], values) for values in variables]
        asked[server.name] = await _ask_for_answers(server, requests)
    ours, others = asked[servers[0].name], [asked[server.name] for server in servers[1:]]
    for place, (_, answer) in enumerate(ours):
        for server, theirs in zip(servers[1:], others, strict=True):
            if server.name == PEER:
                compare_answers(question, answer, theirs[place].answer)
            elif answer != theirs[place].answer:
                raise SystemExit(f"{server.name} answered {theirs[place].answer!r:.600} and not {answer!r:.600}")
    return asked


async def _ask_for_answers(server: Loaded, requests: Sequence[bytes]) -> list[Asked]:
    """Return each request with the answer of a server. An answer with errors ends the run."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    asked = []
    for request in requests:
        answer = await exchange(reader, writer, request)
        if "errors" in orjson.loads(answer):
            raise SystemExit(f"an operation failed: {answer[:500]!r}")
        asked.append(Asked(request, data_of(answer)))
    writer.close()
    return asked


async def _take_turns(
    servers: Sequence[Loaded], asked: Mapping[str, Sequence[Asked]], wanted: argparse.Namespace, connections: int
) -> dict[str, list[Slice]]:
    """Load one server after the other, in each round in another order. Return what each did in each round."""
    for server in servers:
        await load(server, asked[server.name], FIRST_SECONDS, connections)
    slices: dict[str, list[Slice]] = {server.name: [] for server in servers}
    for _ in range(wanted.rounds):
        for server in random.sample(servers, len(servers)):
            await load(server, asked[server.name], WARM_SECONDS, connections)
            slices[server.name].append(await load(server, asked[server.name], wanted.seconds, connections))
    return slices


def _tell(question: str, connections: int, slices: Mapping[str, Sequence[Slice]]) -> None:
    """Print the speed of each server, and the ratio of the first one to each other."""
    title = f"{question}, {connections} connections"
    for server, measured in slices.items():
        speeds = [one.requests_per_second for one in measured]
        cpu = statistics.median(one.cpu_microseconds for one in measured)
        database = statistics.median(one.database_microseconds for one in measured)
        print(
            f"{title:30} {server:14} {statistics.median(speeds):8,.0f} requests/s ({min(speeds):,.0f} to "
            f"{max(speeds):,.0f})  {cpu:8,.0f} µs of CPU each, PostgreSQL {database:,.0f}",
            flush=True,
        )
    first, *others = slices
    for other in others:
        pairs = list(zip(slices[first], slices[other], strict=True))
        faster = [ours.requests_per_second / theirs.requests_per_second for ours, theirs in pairs]
        cheaper = statistics.median(theirs.cpu_microseconds / ours.cpu_microseconds for ours, theirs in pairs)
        wanted = ""
        if other == PEER and connections in TARGETS[question].must:
            target = TARGETS[question]
            wanted = f"; must {target.must[connections]}, goal {target.goal[connections]}"
        print(
            f"{title:30} {first} ÷ {other}: {statistics.median(faster):.2f} × the requests/s ({min(faster):.2f} to "
            f"{max(faster):.2f}){wanted}; {other} takes {cheaper:.3f} × the CPU",
            flush=True,
        )


async def _tell_unplanned(service: Service, server: Loaded, wanted: argparse.Namespace) -> None:
    """Print what a document costs that the server has never seen: a comment makes each of them another one."""
    token, numbers = service.manager_token(), itertools.count()
    name, document = next(iter(OPERATIONS.items()))
    customer = {"id": "customer-1"}
    answer = (await _ask_for_answers(server, [post_of(token, document, customer)]))[0].answer
    costs = []
    for _ in range(wanted.rounds):
        asked = [Asked(post_of(token, f"{document} # {next(numbers)}", customer), answer) for _ in range(UNPLANNED)]
        costs.append(await load(server, asked, wanted.seconds, 1))
    cpu = [one.cpu_microseconds / 1000 for one in costs]
    print(
        f"{name}, a document never seen: {statistics.median(cpu):.2f} ms of CPU each "
        f"({min(cpu):.2f} to {max(cpu):.2f}); must 5, goal 3",
        flush=True,
    )


if __name__ == "__main__":
    main()
