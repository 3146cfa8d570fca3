"""Measure what reads cost: by plans and by graphql-core, with and without metrics, with and without traces.

    make bench-reads                                   3 rounds of 4 seconds for each server and operation
    make bench-reads ARGS="--rounds 5 --connections 64"
    make bench-metrics                                 the same operations, with and without metrics
    make bench-traces                                  the same operations, with every trace recorded and with none

Two servers share one database. They take turns within each round, so that a busy machine slows both, and every answer
is compared with what the second server said before.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench.exchange import exchange, post_of
from bench.reader import say_where
from bench.service import HOST, Service, another_server, cpu_seconds_of, pin_servers, running_service
from loyalty.services.tier import create_tier

CUSTOMERS = 2_000
ASKED = 64
"""The number of customers about whom the operation for one customer asks in turn."""

WARM_SECONDS = 2.0

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
    """A comparison of two servers: the names of both, and the settings of the second one."""

    first: str
    second: str
    settings: Mapping[str, str]


COMPARISONS: Mapping[str, Comparison] = {
    "plans": Comparison("plans", "graphql-core", {"TREUE_PLANS": "false"}),
    "metrics": Comparison("no metrics", "metrics", {"TREUE_METRICS_PORT": "0"}),
    "traces": Comparison("no traces", "traces", {}),
}


class Server(NamedTuple):
    """One of the two servers."""

    name: str
    port: int
    pid: int


class Slice(NamedTuple):
    """What a server did in one turn."""

    requests_per_second: float
    cpu_microseconds: float
    """Processor time of the server for one request."""


class Asked(NamedTuple):
    """A request, and the answer that each server must give."""

    request: bytes
    answer: bytes


def main() -> None:
    """Warm up, compare the answers, measure in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--compare", choices=COMPARISONS, default="plans")
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    asyncio.run(_measure(COMPARISONS[wanted.compare], wanted.rounds, wanted.seconds, wanted.connections))


async def _measure(compared: Comparison, rounds: int, seconds: float, connections: int) -> None:
    """Run both servers over one database, and print how fast they answer each operation."""
    async with running_service() as service:
        await _fill(service)
        with (
            tempfile.TemporaryDirectory(prefix="treue-bench-") as folder,
            _settings_of(compared, Path(folder)) as settings,
            another_server(service, settings) as (port, process),
        ):
            first = Server(compared.first, service.port, service.server.pid)
            servers = (first, Server(compared.second, port, process.pid))
            pin_servers(server.pid for server in servers)
            for name, document in OPERATIONS.items():
                asked = await _ask_for_answers(servers[1], _requests(service, document))
                slices: dict[str, list[Slice]] = {server.name: [] for server in servers}
                for _ in range(rounds):
                    for server in random.sample(servers, len(servers)):
                        await _load(server, asked, WARM_SECONDS, connections)
                        slices[server.name].append(await _load(server, asked, seconds, connections))
                _tell(name, slices)


@contextmanager
def _settings_of(compared: Comparison, folder: Path) -> Iterator[Mapping[str, str]]:
    """Yield the settings of the second server. If traces are compared, a collector takes them during the block."""
    from tests.fixtures.collector import collector_process  # noqa: PLC0415

    if compared.second != "traces":
        yield compared.settings
        return
    with collector_process(folder) as collector:
        yield {**compared.settings, "TREUE_TRACES_URL": collector.url}


async def _fill(service: Service) -> None:
    """Create two tiers, and a purchase of each customer."""
    await create_tier(service.world, service.manager, "Silver", "#C0C0C0", 5)
    await create_tier(service.world, service.manager, "Gold", "#D4AF37", 5_000)
    await service.buy(1, CUSTOMERS)


def _requests(service: Service, document: str) -> list[bytes]:
    """Return the requests of an operation: one, or one for each customer in turn."""
    variables: list[dict[str, Any]] = [{}]
    if "$id" in document:
        variables = [{"id": f"customer-{number}"} for number in range(1, ASKED + 1)]
    token = service.manager_token()
    return [post_of(token, document, values) for values in variables]


async def _ask_for_answers(server: Server, requests: Sequence[bytes]) -> list[Asked]:
    """Return each request with the answer of a server. An answer with errors ends the run."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    asked = []
    for request in requests:
        answer = await exchange(reader, writer, request)
        if "errors" in orjson.loads(answer):
            raise SystemExit(f"an operation failed: {answer[:500]!r}")
        asked.append(Asked(request, answer))
    writer.close()
    return asked


async def _load(server: Server, asked: Sequence[Asked], seconds: float, connections: int) -> Slice:
    """Send the requests to a server over so many connections at once. Return what the server did."""
    begun, used = time.perf_counter(), cpu_seconds_of(server.pid)
    done = await asyncio.gather(*(_client(server, asked, begun + seconds, first) for first in range(connections)))
    took, used = time.perf_counter() - begun, cpu_seconds_of(server.pid) - used
    return Slice(sum(done) / took, 1e6 * used / sum(done))


async def _client(server: Server, asked: Sequence[Asked], until: float, first: int) -> int:
    """Send requests over one connection until the time is over, and return how many.

    A differing answer ends the run.
    """
    reader, writer = await asyncio.open_connection(HOST, server.port)
    done = 0
    while time.perf_counter() < until:
        request, expected = asked[(first + done) % len(asked)]
        answer = await exchange(reader, writer, request)
        if _data_of(answer) != _data_of(expected):
            raise SystemExit(f"{server.name} answered {answer[:500]!r} and not {expected[:500]!r}")
        done += 1
    writer.close()
    return done


def _data_of(answer: bytes) -> bytes:
    """Return an answer without the extensions, which say what is left of the budget."""
    return answer.partition(b',"extensions":')[0]


def _tell(name: str, slices: Mapping[str, Sequence[Slice]]) -> None:
    """Print the speed of both servers, and the ratio."""
    for server, measured in slices.items():
        speeds = [one.requests_per_second for one in measured]
        cpu = statistics.median(one.cpu_microseconds for one in measured)
        print(
            f"{name:14} {server:14} {statistics.median(speeds):8,.0f} requests/s "
            f"({min(speeds):,.0f} to {max(speeds):,.0f})  {cpu:8,.0f} µs of CPU each",
            flush=True,
        )
    ours, theirs = slices.values()
    pairs = list(zip(ours, theirs, strict=True))
    faster = statistics.median(one.requests_per_second / other.requests_per_second for one, other in pairs)
    cheaper = statistics.median(other.cpu_microseconds / one.cpu_microseconds for one, other in pairs)
    print(
        f"{name:14} {'ratio':14} {faster:8.2f} × the requests/s of the second; "
        f"the second takes {cheaper:.3f} × the CPU of the first",
        flush=True,
    )


if __name__ == "__main__":
    main()
