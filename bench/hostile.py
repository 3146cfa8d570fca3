"""Measure what one token that sends hostile documents does to everybody else.

    make bench-hostile                       rounds with and without the attack, in turns
    make bench-hostile ARGS="--rounds 10 --attackers 8"

The attackers send the refused documents of the tests' corpus that cost most, and lists of variables that are too long,
as fast as they are answered. The other client asks an ordinary question again and again; its p50 and p99 are printed.
Before that all valid documents of the corpus are run. The documents that keep the process busy for longest are printed.
"""

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import httpx2
import orjson

from bench.reader import say_where
from bench.service import HOST, Service, run_clients, running_service
from bench.turns import tell_stretches
from schema.documents import prepare_document
from schema.root import treue_schema

CUSTOMERS = 50
QUESTION = "{ customers(first: 20) { nodes { externalId fullName points { available } } } }"
WORST = 50
"""The number of documents of the corpus that are sent: the refused documents that cost most."""

ROUND_SECONDS = 5.0


def main() -> None:
    """Measure in turns, with and without the attack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--attackers", type=int, default=4)
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    asyncio.run(_measure(wanted.rounds, wanted.attackers))


async def _measure(rounds: int, attackers: int) -> None:
    """Run a service, and print the times of the ordinary question with and without the attack."""
    bodies = _hostile_bodies()
    calm: list[float] = []
    attacked: list[float] = []
    async with running_service() as service:
        await service.buy(1, CUSTOMERS)
        await tell_stretches(service)
        for number in range(1, rounds + 1):
            alone = await _ask_on(service)
            async with _attack(service, bodies, attackers) as sent:
                beside = await _ask_on(service)
            calm += alone
            attacked += beside
            print(f"round {number}: {_say(alone)} alone, {_say(beside)} beside {sum(sent)} documents", flush=True)
        print(f"in all: {_say(calm)} alone, {_say(attacked)} during the attack", flush=True)
        print(f"logged: {service.logged('error')} errors, {service.logged('warning')} warnings", flush=True)


def _hostile_bodies() -> list[bytes]:
    """Return the requests of the attack. The documents that cost most come first."""
    # The corpus belongs to the tests; the layers keep the product from leaning on it.
    from tests.schema.hostile import hostile_documents  # noqa: PLC0415

    core = treue_schema()._schema  # noqa: SLF001 - the only way to it
    costs = []
    for document in hostile_documents():
        began = time.thread_time()
        refused = bool(prepare_document(core, document.text).errors)
        if refused:
            costs.append((time.thread_time() - began, document.text))
    texts = [text for _, text in sorted(costs, reverse=True)[:WORST]]
    lists = {"query": "query($ids: [ID!]!) { __typename }", "variables": {"ids": ["x"] * 200_000}}
    return [orjson.dumps({"query": text}) for text in texts] + [orjson.dumps(lists)]


@contextlib.asynccontextmanager
async def _attack(service: Service, bodies: Sequence[bytes], attackers: int) -> AsyncIterator[list[int]]:
    """Send hostile requests during the block; yields how many requests each attacker has sent."""
    sent = [0] * attackers

    async def run(number: int) -> None:
        async with _client(service, service.manager_token()) as client:
            while True:
                await client.post("/graphql", content=bodies[sent[number] % len(bodies)])
                sent[number] += 1

    async with run_clients(run, attackers):
        yield sent


async def _ask_on(service: Service) -> list[float]:
    """Ask the ordinary question for a while. Return how many seconds each answer took."""
    seconds = []
    body = orjson.dumps({"query": QUESTION})
    async with _client(service, service.owner_token()) as client:
        ends_at = time.monotonic() + ROUND_SECONDS
        while time.monotonic() < ends_at:
            began = time.monotonic()
            answer = await client.post("/graphql", content=body)
            seconds.append(time.monotonic() - began)
            if b'"nodes"' not in answer.content:
                raise SystemExit(f"the question was not answered: {answer.text[:300]}")
    return seconds


def _client(service: Service, token: str) -> httpx2.AsyncClient:
    """Return an HTTP client of the server with this token."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=f"http://{HOST}:{service.port}", headers=headers, timeout=60)


def _say(seconds: Sequence[float]) -> str:
    """Return the p50 and the p99 of the times as text."""
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms ({len(ordered)} questions)"


if __name__ == "__main__":
    main()
