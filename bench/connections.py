"""Measure how thousands of customers connect, what they cost, and how soon customers with ended credentials are gone.

    make bench-connections                    5,000 customers, 100 of whom are merged away: their credentials end
    make bench-connections ARGS="--connections 1000 --revoked 20"

All connect at once. A refused client comes back after about a second, as real clients do. After all have left, the same
clients connect a second time. The process should not need more memory then: it uses again what it kept. It keeps free
room inside Python's arenas, because an arena is given back only when nothing at all is left in it.
"""

import argparse
import asyncio
import random
import statistics
import time
import urllib.request
from collections import Counter
from typing import NamedTuple

import orjson
from sqlalchemy import text

from bench.reader import Closed, Reader, say_where
from bench.service import HOST, Service, running_service

CONNECT_SECONDS = 120
CLOSE_SECONDS = 120
QUESTIONS = 200
IDLE_SECONDS = 5
SUBSCRIPTION = "subscription { pointsChanged { cursor } }"
_MERGE = text("UPDATE customers SET merged_into = :target WHERE tenant_id = :current_tenant AND id = ANY(:gone)")


class Connected(NamedTuple):
    """The customers that are connected, and how long it took."""

    readers: dict[str, Reader]
    seconds: float
    attempts: int
    refusals: Counter[str]
    """How often a socket was refused, by close code. "None" stands for a connection that broke."""


def main() -> None:
    """Connect the customers, revoke some, and disconnect the others; measure the server after each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=5_000)
    parser.add_argument("--revoked", type=int, default=100)
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    asyncio.run(_measure(wanted.connections, wanted.revoked))


async def _measure(connections: int, revoked: int) -> None:
    """Run a service, and print what each step costs."""
    async with running_service() as service:
        customers = await service.buy(1, connections + 1)
        tokens = {str(customer): service.customer_token(customer) for customer in customers[:-1]}
        await _tell("before anybody came", service)
        connected = await _connect_all(service, tokens)
        print(
            f"{len(connected.readers):,} of {connections:,} connected in {connected.seconds:.1f} s "
            f"with {connected.attempts:,} attempts; refused: {dict(connected.refusals)}",
            flush=True,
        )
        await _tell("all connected", service)
        await asyncio.sleep(10)
        await _tell("10 s later", service)
        closing = [str(customer) for customer in customers[:revoked]]
        async with service.world.database.tenant_transaction(service.tenant_id) as tx:
            await tx.run(_MERGE, target=customers[-1], gone=customers[:revoked])
        started = time.monotonic()
        known = [connected.readers[each] for each in closing if each in connected.readers]
        closes = [reader.seconds_until_closed(started, CLOSE_SECONDS) for reader in known]
        seconds = [each for each in await asyncio.gather(*closes) if each is not None]
        last = f"the last after {max(seconds):.1f} s" if seconds else "none"
        print(f"{len(seconds)} of {revoked} revoked were closed, {last}", flush=True)
        await _tell("after the revocation", service)
        await _leave(connected, service)
        again = await _connect_all(service, dict(list(tokens.items())[revoked:]))
        print(f"{len(again.readers):,} connected once more in {again.seconds:.1f} s", flush=True)
        await _tell("connected a second time", service)
        await _leave(again, service)
        print(f"logged: {service.logged('error')} errors, {service.logged('warning')} warnings", flush=True)


async def _leave(connected: Connected, service: Service) -> None:
    """Disconnect all customers, and print what the server needs after that."""
    for reader in connected.readers.values():
        reader.abort()
    await asyncio.sleep(10)
    await _tell("10 s after all have left", service)


async def _connect_all(service: Service, tokens: dict[str, str]) -> Connected:
    """Connect all customers at once; ``tokens`` are signed tokens by customer. A refused customer tries again."""
    readers: dict[str, Reader] = {}
    attempts = 0
    refusals: Counter[str] = Counter()

    async def connect(customer: str, token: str) -> None:
        nonlocal attempts
        while True:
            attempts += 1
            try:
                reader = await Reader.open(HOST, service.port, token)
                await reader.send({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}})
            except (Closed, OSError) as refused:
                refusals[str(refused) if isinstance(refused, Closed) else type(refused).__name__] += 1
                await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            else:
                reader.read_on()
                readers[customer] = reader
                return

    started = time.monotonic()
    tasks = [asyncio.create_task(connect(customer, token)) for customer, token in tokens.items()]
    _, late = await asyncio.wait(tasks, timeout=CONNECT_SECONDS)
    seconds = time.monotonic() - started
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return Connected(readers, seconds, attempts, refusals)


async def _tell(when: str, service: Service) -> None:
    """Print the memory of the server, its processor time while idle, and the cost of a question at this moment."""
    cpu, started = service.cpu_seconds(), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    idle = (service.cpu_seconds() - cpu) / (time.monotonic() - started)
    cpu, started = service.cpu_seconds(), time.monotonic()
    seconds = sorted(await asyncio.to_thread(_ask, service))
    busy = service.cpu_seconds() - cpu - idle * (time.monotonic() - started)
    print(
        f"{when:26} {service.memory_mib():5.0f} MiB   idle {idle:4.1%} of a core   a question: "
        f"{busy / QUESTIONS * 1000:5.1f} ms of processor, {statistics.median(seconds) * 1000:6.1f} ms median, "
        f"{seconds[-2] * 1000:7.1f} ms worst but one",
        flush=True,
    )


def _ask(service: Service) -> list[float]:
    """Ask a small question again and again, and return how many seconds each answer took."""
    body = orjson.dumps({"query": "{ viewer { kind } }"})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {service.manager_token()}"}
    seconds = []
    for _ in range(QUESTIONS):
        request = urllib.request.Request(f"http://{HOST}:{service.port}/graphql", body, headers)
        started = time.monotonic()
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - on loopback
            answer.read()
        seconds.append(time.monotonic() - started)
    return seconds


if __name__ == "__main__":
    main()
