"""Measure what one event costs a process with thousands of subscribers, and compare with a graphql-ws server in Node.

    make bench-subscriptions                      1,000 subscribers, 5 rounds of 20 events, each server in turn
    make bench-subscriptions ARGS="--subscribers 5000 --rounds 3"

All subscribe with one document. Each event is a purchase in Treue. The server in Node, the peer, then sends the same
event to its own subscribers. Every subscriber must get every event once, in order and with equal content, or the run
fails. The run prints the processor time of the server for one event and subscriber, and how long after the first
subscriber the others got an event.
"""

import argparse
import asyncio
import contextlib
import shutil
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from api.server import find_loop_factory
from bench.reader import Reader, say_where
from bench.service import HOST, Service, cpu_seconds_of, running_service

SUBSCRIPTION = """
subscription {
  pointsChanged {
    cursor
    entry { points occurredAt customer { id externalId fullName } }
    points { available pending held }
  }
}
"""
PEER = Path(__file__).parent / "peers"
CONNECTS_AT_ONCE = 100
EVENT_SECONDS = 120
SETTLE_SECONDS = 5


class Crowd:
    """The subscribers of one server. ``told`` has the messages of each, with their moments."""

    def __init__(self, name: str, port: int, token: str, cpu: Callable[[], float]) -> None:
        self.name = name
        self.cpu = cpu
        self.told: list[list[tuple[float, bytes]]] = []
        self._port = port
        self._token = token
        self._readers: list[Reader] = []
        self._missing = 0
        self._complete = asyncio.Event()

    async def connect(self, count: int) -> None:
        """Connect so many subscribers."""
        gate = asyncio.Semaphore(CONNECTS_AT_ONCE)
        self.told = [[] for _ in range(count)]

        async def subscribe(own: list[tuple[float, bytes]]) -> None:
            async with gate:
                reader = await Reader.open(HOST, self._port, self._token)
                reader.listen(partial(self._note, own))
                await reader.send({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}})
            self._readers.append(reader)

        await asyncio.gather(*map(subscribe, self.told))

    def _note(self, own: list[tuple[float, bytes]], moment: float, message: bytes) -> None:
        """Keep a message. It is read later, while nobody waits for it."""
        own.append((moment, message))
        self._missing -= 1
        if not self._missing:
            self._complete.set()

    async def tell(self, happen: Callable[[], Awaitable[object]]) -> list[float]:
        """Let one event happen, and wait until every subscriber has got it.

        Return how many seconds after the first subscriber each one got it, in order.
        """
        self._missing = len(self.told)
        self._complete.clear()
        await happen()
        async with asyncio.timeout(EVENT_SECONDS):
            await self._complete.wait()
        moments = sorted(own[-1][0] for own in self.told)
        return [moment - moments[0] for moment in moments]

    def check(self, events: int) -> None:
        """End the run unless every subscriber got each event once, in order and with equal content."""
        first = self.events_of(0)
        if len(first) != events or len({event["cursor"] for event in first}) != events:
            raise SystemExit(f"{self.name}: {len(first)} events came instead of {events}, or one twice")
        for number in range(len(self.told)):
            if self.events_of(number) != first:
                raise SystemExit(f"{self.name}: subscribers were told different events")

    def events_of(self, number: int) -> list[Any]:
        """Return the events that a subscriber got, in order. An error ends the run."""
        messages = [orjson.loads(message) for _, message in self.told[number]]
        for message in messages:
            if message["type"] != "next" or "errors" in message["payload"]:
                raise SystemExit(f"{self.name}: a subscriber was told {message}")
        return [message["payload"]["data"]["pointsChanged"] for message in messages]

    def leave(self) -> None:
        """Disconnect all subscribers."""
        for reader in self._readers:
            reader.abort()


class Cost(NamedTuple):
    """The cost of a round, in seconds.

    ``cpu`` is the processor time for one event and subscriber, ``p99`` how late 99 of 100 subscribers got an event.
    """

    cpu: float
    p99: float


def main() -> None:
    """Measure both servers in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscribers", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=20)
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    with asyncio.Runner(loop_factory=find_loop_factory()) as runner:
        runner.run(_measure(wanted.subscribers, wanted.rounds, wanted.events))


async def _measure(subscribers: int, rounds: int, events: int) -> None:
    """Run both servers, and measure them."""
    with _running_peer() as (peer_port, peer):
        async with running_service() as service:
            await _measure_both(service, peer_port, peer, subscribers, rounds, events)


async def _measure_both(
    service: Service, peer_port: int, peer: subprocess.Popen[bytes], subscribers: int, rounds: int, events: int
) -> None:
    """Connect the subscribers of both servers, measure round after round, and print costs and ratios."""
    before = service.memory_mib()
    ours = Crowd("Treue", service.port, service.owner_token(), service.cpu_seconds)
    theirs = Crowd("Node", peer_port, "", lambda: cpu_seconds_of(peer.pid))
    for crowd in (ours, theirs):
        await crowd.connect(subscribers)
    await asyncio.sleep(SETTLE_SECONDS)
    each = (service.memory_mib() - before) * 1024 / subscribers
    print(f"{subscribers:,} subscribers; Treue holds {each:.0f} KiB for each", flush=True)
    ratios = []
    for done in range(rounds):
        numbers = range(done * events + 1, (done + 1) * events + 1)
        cost = await _run(ours, [partial(service.buy, number, number) for number in numbers])
        happened = ours.events_of(0)[-events:]
        peer_cost = await _run(theirs, [partial(_send, peer, event) for event in happened])
        ratios.append((cost.cpu / peer_cost.cpu, cost.p99 / peer_cost.p99))
        print(f"round {done + 1}: {_say(ours, cost)}; {_say(theirs, peer_cost)}", flush=True)
    for crowd in (ours, theirs):
        crowd.check(rounds * events)
        crowd.leave()
    named = [event["entry"]["customer"]["externalId"] for event in ours.events_of(0)]
    if named != [f"customer-{number}" for number in range(1, rounds * events + 1)]:
        raise SystemExit("the events do not tell the purchases, in order")
    if ours.events_of(0) != theirs.events_of(0):
        raise SystemExit("both servers did not tell the same")
    for title, values in zip(("processor time", "p99"), zip(*ratios, strict=True), strict=True):
        median, least, most = statistics.median(values), min(values), max(values)
        print(f"{title} ÷ Node: {median:.2f} ({least:.2f} to {most:.2f})", flush=True)
    print(f"logged: {service.logged('error')} errors, {service.logged('warning')} warnings", flush=True)


async def _run(crowd: Crowd, happenings: Sequence[Callable[[], Awaitable[object]]]) -> Cost:
    """Let events happen one after another. Return what they cost."""
    began = crowd.cpu()
    waited = [await crowd.tell(happen) for happen in happenings]
    cpu = (crowd.cpu() - began) / len(happenings) / len(crowd.told)
    return Cost(cpu, statistics.median(seconds[len(seconds) * 99 // 100] for seconds in waited))


def _say(crowd: Crowd, cost: Cost) -> str:
    """Return the cost of a round as text."""
    return f"{crowd.name} {cost.cpu * 1e6:.0f} µs for an event and subscriber, p99 {cost.p99 * 1e3:.0f} ms"


async def _send(peer: subprocess.Popen[bytes], event: Any) -> None:
    """Let the peer send an event to its subscribers."""
    if peer.stdin is not None:
        peer.stdin.write(orjson.dumps(event) + b"\n")
        peer.stdin.flush()


@contextlib.contextmanager
def _running_peer() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the server in Node during the block. Yield its port and process."""
    node = shutil.which("node")
    if node is None or not (PEER / "node_modules").exists():
        raise SystemExit("Node and the packages of bench/peers are needed: make bench-subscriptions installs them")
    command = [node, str(PEER / "subscriptions.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:  # noqa: S603 - ours
        try:
            port = int(peer.stdout.readline()) if peer.stdout is not None else 0
            yield port, peer
        finally:
            peer.terminate()


if __name__ == "__main__":
    main()
