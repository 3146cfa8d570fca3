"""What recording purchases costs over HTTP, next to a load of PostgreSQL's own in the same minutes.

    make bench-writes                                   3 rounds of 4 seconds for each load
    make bench-writes ARGS="--rounds 5 --connections 64"

The yardstick is pgbench's "simple-update" with prepared statements: five round trips and two small rows a transaction,
no row-level security, no proof. A purchase writes rows of ten tables. So the ratio says how far the service is from
what this machine can do at all: compare it between versions.
"""

import argparse
import asyncio
import itertools
import os
import re
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import orjson

from bench.exchange import exchange, post_of
from bench.reader import say_where
from bench.service import HOST, Service, running_service
from runtime.postgres_binaries import find_binaries

CUSTOMERS = 2_000
WARM_SECONDS = 2.0
RECORD = """mutation($input: PurchaseRecordInput!) { purchaseRecord(input: $input) {
    purchase { id accrual { points } } customer { points { available } } userErrors { code message } } }"""
_TRANSACTIONS = re.compile(r"number of transactions actually processed: (\d+)")


class Slice(NamedTuple):
    """What one load did in its turn."""

    per_second: float
    cpu_microseconds: float
    """Processor time of the server for one purchase; 0 where none of ours took part."""


Load = Callable[[float], Awaitable[Slice]]


def main() -> None:
    """Measure the loads in turns, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=16)
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    asyncio.run(_measure(wanted.rounds, wanted.seconds, wanted.connections))


async def _measure(rounds: int, seconds: float, connections: int) -> None:
    async with running_service() as service:
        await service.buy(1, CUSTOMERS)
        _run_pgbench(service, "--initialize", "--scale=10", "--quiet")
        numbers = itertools.count(1)
        loads: dict[str, Load] = {
            "pgbench": partial(_load_pgbench, service, connections),
            "many customers": partial(_load, service, numbers, CUSTOMERS, connections),
            "one customer": partial(_load, service, numbers, 1, connections),
        }
        slices: dict[str, list[Slice]] = {name: [] for name in loads}
        for _ in range(rounds):
            for name, load in loads.items():
                await load(WARM_SECONDS)
                slices[name].append(await load(seconds))
        _tell(slices)


async def _load(service: Service, numbers: Iterator[int], customers: int, connections: int, seconds: float) -> Slice:
    begun, used = time.perf_counter(), service.cpu_seconds()
    clients = (_client(service, numbers, customers, begun + seconds) for _ in range(connections))
    done = sum(await asyncio.gather(*clients))
    took, used = time.perf_counter() - begun, service.cpu_seconds() - used
    return Slice(done / took, 1e6 * used / done)


async def _client(service: Service, numbers: Iterator[int], customers: int, until: float) -> int:
    """Record purchases over one connection until the time is over; ends the run for one that earns nothing."""
    reader, writer = await asyncio.open_connection(HOST, service.port)
    token, done = service.manager_token(), 0
    while time.perf_counter() < until:
        number = next(numbers)
        customer = {"externalId": f"customer-{1 + number % customers}"}
        report = {"kind": "ORDER", "externalId": f"bench-{number}", "status": "COMPLETED", "customer": customer}
        total = {"amount": "10.00", "currency": "EUR"}
        answer = await exchange(reader, writer, post_of(token, RECORD, {"input": {**report, "total": total}}))
        recorded = orjson.loads(answer)
        if "errors" in recorded or recorded["data"]["purchaseRecord"]["purchase"]["accrual"]["points"] != 10:
            raise SystemExit(f"a purchase was not recorded: {answer[:500]!r}")
        done += 1
    writer.close()
    return done


async def _load_pgbench(service: Service, connections: int, seconds: float) -> Slice:
    said = await asyncio.to_thread(
        _run_pgbench,
        service,
        *("--builtin=simple-update", "--protocol=prepared", "--no-vacuum", f"--time={max(1, round(seconds))}"),
        f"--client={connections}",
    )
    found = _TRANSACTIONS.search(said)
    if found is None:
        raise SystemExit(f"pgbench said: {said}")
    return Slice(int(found[1]) / max(1, round(seconds)), 0)


def _run_pgbench(service: Service, *arguments: str) -> str:
    command = [os.fspath(find_binaries() / "pginstall" / "bin" / "pgbench"), *arguments, service.urls.owner]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours


def _tell(slices: Mapping[str, Sequence[Slice]]) -> None:
    for name, measured in slices.items():
        speeds = [one.per_second for one in measured]
        cpu = statistics.median(one.cpu_microseconds for one in measured)
        each = f"  {cpu:8,.0f} µs of CPU each" if cpu else ""
        print(
            f"{name:15} {statistics.median(speeds):8,.0f} a second ({min(speeds):,.0f} to {max(speeds):,.0f}){each}",
            flush=True,
        )
    for name in list(slices)[1:]:
        pairs = zip(slices[name], slices["pgbench"], strict=True)
        ratio = statistics.median(ours.per_second / theirs.per_second for ours, theirs in pairs)
        print(f"{name:15} ÷ pgbench: {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
