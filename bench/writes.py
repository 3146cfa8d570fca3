"""Measure what recording purchases costs over HTTP, and compare with programs that do the same writes without Treue.

    make bench-writes                                   3 rounds of 4 seconds for each load, 16 and 64 connections
    make bench-writes ARGS="--rounds 5 --connections 64"

The peers: a script for pgbench with separate statements, the same script as one pipeline, and COPY for a batch. They
write the same rows of the same tables (see same_writes.py), and the run compares the rows of one purchase before it
measures. All loads take turns. A ratio compares two loads of the same round, and the median of the rounds is printed.
At the end the ledger is verified, and holds every purchase that was answered.
"""

import argparse
import asyncio
import itertools
import os
import re
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench.exchange import exchange, post_of
from bench.reader import say_where
from bench.same_writes import (
    Peer,
    connect_as_admin,
    copy_batches,
    count_last_writes,
    name_variables,
    prepare_copies,
    prepare_peer,
    write_script,
)
from bench.service import BATCH, HOST, Service, running_service
from loyalty.services.verification import verify_ledger
from runtime.postgres_binaries import find_binaries

CUSTOMERS = 2_000
WARM_SECONDS = 3.0
"""How long each load runs before it is measured. pgbench connects in this time, too, and may do no more than that."""
IDS_OF_A_RUN = 10**6
RECORD = """mutation($input: PurchaseRecordInput!) { purchaseRecord(input: $input) {
    purchase { id accrual { points } } customer { points { available } } userErrors { code message } } }"""
RECORD_ALL = """mutation($input: PurchasesRecordInput!) { purchasesRecord(input: $input) { userErrors { code message }
    results { purchase { id } accrual { points } customer { points { available } } userErrors { code message } } } }"""
_SPEED = re.compile(r"tps = ([0-9.]+) \(without initial connection time\)")
_NOTHING_WRITTEN = "number of transactions actually processed: 0\n"


class Slice(NamedTuple):
    """What one load did in one turn."""

    per_second: float
    cpu_microseconds: float
    """The processor time of the server for one purchase; 0 for a load without Treue."""


class Target(NamedTuple):
    """A wanted ratio of our load to the peer's: ``must`` is the least that is accepted, ``goal`` would be good."""

    ours: str
    peer: str
    must: float
    goal: float


Load = Callable[[float], Awaitable[Slice]]


class Bench:
    """A running service with its peer, and the numbers that were used up for ids."""

    def __init__(self, service: Service, peer: Peer, separate: Path, pipelined: Path) -> None:
        self.service, self.peer = service, peer
        self.separate, self.pipelined = separate, pipelined
        self.numbers = itertools.count(1)
        self.runs = itertools.count(1)
        self.answered = 0
        """Purchases that the service has answered as recorded."""


def main() -> None:
    """Measure the loads in turns, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--batch-clients", type=int, nargs="*", default=[1, 4])
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    asyncio.run(_measure(wanted.rounds, wanted.seconds, wanted.connections, wanted.batch_clients))


async def _measure(rounds: int, seconds: float, connections: Sequence[int], batch_clients: Sequence[int]) -> None:
    """Run a service, measure all loads in turns, check the ledger, and print the results."""
    async with running_service() as service:
        await service.buy(1, CUSTOMERS)
        peer = await prepare_peer(service, CUSTOMERS)
        folder = service.log.parent
        separate = write_script(peer, folder / "separate.sql", pipelined=False)
        pipelined = write_script(peer, folder / "pipelined.sql", pipelined=True)
        bench = Bench(service, peer, separate, pipelined)
        await _compare_writes(bench)
        loads, targets = _plan(bench, connections, batch_clients)
        slices: dict[str, list[Slice]] = {name: [] for name in loads}
        for _ in range(rounds):
            for name, load in loads.items():
                await load(WARM_SECONDS)
                measured = await load(seconds)
                if not measured.per_second:
                    raise SystemExit(f"{name}: no purchase was written in {seconds} seconds; give more --seconds")
                slices[name].append(measured)
        await _check_ledger(bench)
        _tell(slices, targets)


def _plan(
    bench: Bench, connections: Sequence[int], batch_clients: Sequence[int]
) -> tuple[dict[str, Load], list[Target]]:
    """Return the loads in their order, and the wanted ratios."""
    loads: dict[str, Load] = {}
    targets = []
    for count in connections:
        many, one, separate = f"many customers {count}", f"one customer {count}", f"pgbench separate {count}"
        pipelined, hot = f"pgbench pipelined {count}", f"pgbench one customer {count}"
        loads |= {
            separate: partial(_load_pgbench, bench, bench.separate, CUSTOMERS, count),
            many: partial(_load, bench, CUSTOMERS, count),
            pipelined: partial(_load_pgbench, bench, bench.pipelined, CUSTOMERS, count),
            hot: partial(_load_pgbench, bench, bench.separate, 1, count),
            one: partial(_load, bench, 1, count),
        }
        few = count < 64
        targets += [
            Target(many, separate, *((0.9, 1.1) if few else (1.3, 1.7))),
            Target(many, pipelined, 0.7, 0.85),
            Target(one, hot, 1.0, 2.0),
        ]
    for count in batch_clients:
        batch, copy = f"batches of {BATCH}, {count} clients", f"COPY of {BATCH}, {count} clients"
        loads |= {copy: partial(_load_copy, bench, count), batch: partial(_load_batches, bench, count)}
        targets.append(Target(batch, copy, *((0.4, 0.55) if count == 1 else (0.8, 1.2))))
    return loads, targets


# ── the loads ────────────────────────────────────────────────────────────────────────────────────────────────────


Exchange = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[int]]
"""A function that sends one request, reads the answer, and returns how many purchases were recorded."""


async def _load(bench: Bench, customers: int, connections: int, seconds: float) -> Slice:
    """Record purchases one by one, of so many customers, over so many connections."""
    return await _load_server(
        bench, partial(_record_one, bench, bench.service.manager_token(), customers), connections, seconds
    )


async def _load_batches(bench: Bench, clients: int, seconds: float) -> Slice:
    """Record batches of purchases by so many clients."""
    return await _load_server(bench, partial(_record_batch, bench, bench.service.manager_token()), clients, seconds)


async def _load_server(bench: Bench, record: Exchange, connections: int, seconds: float) -> Slice:
    """Let clients record purchases for so many seconds. Return what the server did."""
    begun, used = time.perf_counter(), bench.service.cpu_seconds()
    clients = (_client(bench, record, begun + seconds) for _ in range(connections))
    done = sum(await asyncio.gather(*clients))
    took, used = time.perf_counter() - begun, bench.service.cpu_seconds() - used
    return Slice(done / took, 1e6 * used / done)


async def _client(bench: Bench, record: Exchange, until: float) -> int:
    """Record purchases over one connection until the time is over, at least once. Return how many."""
    reader, writer = await asyncio.open_connection(HOST, bench.service.port, limit=2**24)
    done = 0
    while not done or time.perf_counter() < until:
        done += await record(reader, writer)
    writer.close()
    bench.answered += done
    return done


async def _record_one(
    bench: Bench, token: str, customers: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> int:
    """Record one purchase. A purchase that earns no points ends the run."""
    number = next(bench.numbers)
    report = _report(number, 1 + number % customers)
    answer = await exchange(reader, writer, post_of(token, RECORD, {"input": report}))
    recorded = orjson.loads(answer)
    if "errors" in recorded or recorded["data"]["purchaseRecord"]["purchase"]["accrual"]["points"] != 10:
        raise SystemExit(f"a purchase was not recorded: {answer[:500]!r}")
    return 1


async def _record_batch(bench: Bench, token: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Record a batch of purchases. A purchase that earns no points ends the run."""
    items = [_report(next(bench.numbers), 1 + customer) for customer in range(BATCH)]
    answer = await exchange(reader, writer, post_of(token, RECORD_ALL, {"input": {"items": items}}))
    recorded = orjson.loads(answer)
    results = [] if "errors" in recorded else recorded["data"]["purchasesRecord"]["results"] or []
    if [result["accrual"] for result in results] != [{"points": 10}] * BATCH:
        raise SystemExit(f"a batch was not recorded: {answer[:500]!r}")
    return BATCH


def _report(number: int, customer: int) -> dict[str, Any]:
    """Return the input of a purchase of a customer."""
    report = {"kind": "ORDER", "externalId": f"bench-{number}", "status": "COMPLETED"}
    named = {"externalId": f"customer-{customer}"}
    return {**report, "customer": named, "total": {"amount": "10.00", "currency": "EUR"}}


async def _load_pgbench(bench: Bench, script: Path, customers: int, connections: int, seconds: float) -> Slice:
    """Run the script of the peer for so many seconds."""
    whole_seconds = max(1, round(seconds))
    speed = await asyncio.to_thread(_run_script, bench, script, customers, connections, f"--time={whole_seconds}")
    return Slice(speed, 0)


def _run_script(bench: Bench, script: Path, customers: int, connections: int, length: str) -> float:
    """Run the script of the peer as the application role. Return how many purchases it wrote each second.

    The time for connecting does not count. The result is 0 if connecting took all the time.
    """
    variables = name_variables(base=next(bench.runs) * IDS_OF_A_RUN, clients=connections, customers=customers)
    binary = os.fspath(find_binaries() / "pginstall" / "bin" / "pgbench")
    how = ["--protocol=prepared", "--no-vacuum", length, f"--client={connections}", f"--file={script}"]
    command = [binary, *how, *variables, bench.service.urls.app]
    run = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - ours
    if not run.returncode and _NOTHING_WRITTEN in run.stdout:
        return 0
    found = _SPEED.search(run.stdout)
    if found is None or run.returncode:
        raise SystemExit(f"pgbench said: {run.stdout}{run.stderr}")
    return float(found[1])


async def _load_copy(bench: Bench, clients: int, seconds: float) -> Slice:
    """Write batches by COPY with so many clients.

    The rows are made before the clock starts, because making them is not the work of the peer.
    """
    ids = itertools.count(next(bench.runs) * IDS_OF_A_RUN)
    took, done = 0.0, 0
    while took < seconds:
        batches = [prepare_copies(bench.peer, ids, BATCH) for _ in range(clients)]
        connections = [connect_as_admin(bench.service) for _ in range(clients)]
        begun = time.perf_counter()
        copies = zip(connections, batches, strict=True)
        await asyncio.gather(*(asyncio.to_thread(copy_batches, admin, batch) for admin, batch in copies))
        took += time.perf_counter() - begun
        done += clients * BATCH
        for admin in connections:
            admin.close()
    return Slice(done / took, 0)


# ── what must be true of them ────────────────────────────────────────────────────────────────────────────────────


async def _compare_writes(bench: Bench) -> None:
    """End the run unless the script writes as many rows of the same tables as a purchase does."""
    await _load(bench, 1, 1, 0.01)
    _run_script(bench, bench.separate, 1, 1, "--transactions=1")
    ours = count_last_writes(bench.service, bench.service.tenant_id)
    theirs = count_last_writes(bench.service, bench.peer.tenant_id)
    if ours != theirs:
        raise SystemExit(f"a purchase writes {ours}, the script of the peer writes {theirs}")
    print(f"each purchase writes, here and there: {ours}", flush=True)


async def _check_ledger(bench: Bench) -> None:
    """End the run if the ledger does not add up, or lacks a purchase that was answered as recorded."""
    verification = await verify_ledger(bench.service.world, bench.service.tenant_id)
    expected = CUSTOMERS + bench.answered
    if verification.differences or verification.entries != expected:
        raise SystemExit(f"{expected} purchases were answered, the ledger says: {verification}")
    print(f"the ledger adds up: {verification.entries:,} entries", flush=True)


def _tell(slices: Mapping[str, Sequence[Slice]], targets: Sequence[Target]) -> None:
    """Print the speed of each load, and the ratios with what is wanted."""
    for name, measured in slices.items():
        speeds = [one.per_second for one in measured]
        cpu = statistics.median(one.cpu_microseconds for one in measured)
        each = f"  {cpu:8,.0f} µs of CPU each" if cpu else ""
        print(
            f"{name:27} {statistics.median(speeds):8,.0f} a second ({min(speeds):,.0f} to {max(speeds):,.0f}){each}",
            flush=True,
        )
    print(f"\n{'ratio':56} {'median':>7} {'from':>6} {'to':>6} {'must':>6} {'goal':>6}")
    for ours, peer, must, goal in targets:
        pairs = zip(slices[ours], slices[peer], strict=True)
        ratios = sorted(mine.per_second / theirs.per_second for mine, theirs in pairs)
        print(
            f"{f'{ours} ÷ {peer}':56} {statistics.median(ratios):7.3f} {ratios[0]:6.3f} {ratios[-1]:6.3f} "
            f"{must:6.2f} {goal:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
