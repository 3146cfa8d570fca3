"""Measure what a tenant beyond its budget does to a neighbour, and what refusals and budgets cost.

    make bench-budgets                       rounds of all three situations, in turns
    make bench-budgets ARGS="--rounds 8 --clients 16"

Two tenants, the neighbour and the busy tenant, share one server process. The neighbour asks a small question 50 times a
second in three situations: alone; beside a busy tenant that asks as much as its budget allows; beside a busy tenant
whose clients all ask as fast as they are answered. Most of these last questions are refused, because the budget is used
up. The neighbour's p50 and p99 are printed for each situation.
"""

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from bench.exchange import exchange, post_of
from bench.reader import say_where
from bench.service import (
    HOST,
    LIFETIME,
    Service,
    another_server,
    cpu_seconds_of,
    pin_servers,
    prepare_tenant,
    record_orders,
    run_clients,
    running_service,
)
from loyalty.rules.budget import CLIENT_PART, MOST_BUDGET_POINTS, BudgetLimits
from loyalty.services.budget import Budgets
from loyalty.services.tenant import limit_tenant
from loyalty.services.world import World
from permissions.actor import Actor
from permissions.roles import Role
from schema.budgets import report_cost
from tenancy.database import Database

CUSTOMERS = 50
QUESTION = "query($id: String!) { customer(by: {externalId: $id}) { fullName points { available } } }"
PAGE = "{ customers(first: 20) { nodes { externalId fullName points { available } } } }"
"""The question of the busy tenant."""
LIMITS = BudgetLimits(20_000, 2_000)
"""The budget of the busy tenant. It is small, so that a slow machine also comes to the limit."""
REFUSED = b'"BUDGET_USED_UP"'
ASKED_A_SECOND = 50
"""The number of questions of the neighbour in a second."""
WITHIN = 0.9
"""The part of its budget that the busy tenant spends if it stays within the budget."""
CHARGES = 50_000
WARM_SECONDS = 2.0


class Beside(NamedTuple):
    """The answers that a client of the busy tenant got."""

    answered: int
    refused: int


class Round(NamedTuple):
    """One round of a situation.

    ``seconds`` are the times of the neighbour's answers, ``cpu_seconds`` the processor time of the server.
    """

    seconds: list[float]
    beside: Beside
    cpu_seconds: float


def main() -> None:
    """Measure the situations in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--clients", type=int, default=8)
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    asyncio.run(_measure(wanted.rounds, wanted.seconds, wanted.clients))


async def _measure(rounds: int, seconds: float, clients: int) -> None:
    """Run a service, measure all situations so many times, and print the results."""
    settings = {
        "TREUE_BUDGET_POINTS": str(LIMITS.points),
        "TREUE_BUDGET_POINTS_PER_SECOND": str(LIMITS.per_second),
    }
    async with running_service() as service:
        await service.buy(1, CUSTOMERS)
        busy = await prepare_tenant(service.urls, service.world)
        await record_orders(service.world, busy, 1, CUSTOMERS)
        await _lift_limits(service)
        with another_server(service, settings) as (port, server):
            pin_servers([server.pid])
            situations = {
                "alone": (0, None),
                "beside a tenant within its budget": (clients, WITHIN),
                "beside a tenant far beyond its budget": (clients, None),
            }
            measured: dict[str, list[Round]] = {name: [] for name in situations}
            cost = await _cost_of(port, _question(service.manager_token(), 1))
            page = post_of(_busy_token(service, busy), PAGE, {})
            page_cost = await _cost_of(port, page)
            for number in range(rounds):
                names = list(situations)
                for name in names[number % 3 :] + names[: number % 3]:
                    count, part = situations[name]
                    pause = count * page_cost / (part * LIMITS.share(CLIENT_PART).per_second) if part else 0.0
                    while REFUSED not in await _ask_once(port, page):  # what the tenant has saved up is spent first
                        pass
                    async with _busy_tenant(port, page, count, pause) as beside:
                        await asyncio.sleep(WARM_SECONDS)
                        measured[name].append(await _one_round(service, port, server.pid, seconds, beside))
            _tell(measured)
            await _tell_cost(service, measured["alone"], cost)
        print(f"logged: {service.logged('error')} errors, {service.logged('warning')} warnings", flush=True)


async def _lift_limits(service: Service) -> None:
    """Give the neighbour the largest budget, which nothing uses up."""
    relay = Database(service.urls.relay, pool_size=1)
    most = BudgetLimits(MOST_BUDGET_POINTS, MOST_BUDGET_POINTS)
    await limit_tenant(World(relay), service.tenant_id, most)
    await relay.close()


async def _ask_once(port: int, request: bytes) -> bytes:
    """Send a request over a connection of its own, and return the body of the answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    with contextlib.closing(writer):
        return await exchange(reader, writer, request)


async def _cost_of(port: int, request: bytes) -> int:
    """Return the cost of a request in points of cost, as the server says. A request with errors ends the run."""
    answer = await _ask_once(port, request)
    if b'"errors"' in answer:
        raise SystemExit(f"the question was not answered: {answer[:300]!r}")
    return int(answer.partition(b'"requestedQueryCost":')[2].partition(b",")[0])


def _busy_token(service: Service, busy: Actor) -> str:
    """Return a signed token for a manager of the busy tenant."""
    return service.issuer.issue(
        subject="staff:busy", tenant_id=busy.tenant_id, role=Role.MANAGER, name="Busy", lifetime=LIFETIME
    ).text


def _question(token: str, number: int) -> bytes:
    """Return the request of the neighbour's question with this number."""
    return post_of(token, QUESTION, {"id": f"customer-{1 + number % CUSTOMERS}"})


@contextlib.asynccontextmanager
async def _busy_tenant(port: int, page: bytes, clients: int, pause: float) -> AsyncIterator[list[Beside]]:
    """Let clients of the busy tenant ask during the block.

    Each client begins a question every ``pause`` seconds at most. Yields what each client got, which grows meanwhile.
    """
    sent = [Beside(0, 0)] * clients

    async def ask_on(number: int) -> None:
        await asyncio.sleep(number * pause / clients)  # not all at the same moment
        reader, writer = await asyncio.open_connection(HOST, port)
        with contextlib.closing(writer):
            while True:
                began = time.monotonic()
                answer = await exchange(reader, writer, page)
                is_refused = REFUSED in answer
                sent[number] = Beside(sent[number].answered + (not is_refused), sent[number].refused + is_refused)
                await asyncio.sleep(max(0.0, began + pause - time.monotonic()))

    async with run_clients(ask_on, clients):
        yield sent


async def _one_round(service: Service, port: int, server: int, seconds: float, beside: list[Beside]) -> Round:
    """Let the neighbour ask for so many seconds, and return what was measured. A refusal ends the run."""
    token, before, used = service.owner_token(), list(beside), cpu_seconds_of(server)
    took: list[float] = []
    reader, writer = await asyncio.open_connection(HOST, port)
    next_at = time.monotonic()
    ends_at = next_at + seconds
    while next_at < ends_at:
        await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        began = time.monotonic()
        answer = await exchange(reader, writer, _question(token, len(took)))
        took.append(time.monotonic() - began)
        if b'"errors"' in answer:
            raise SystemExit(f"the neighbour was refused: {answer[:300]!r}")
        next_at = max(next_at + 1 / ASKED_A_SECOND, time.monotonic())
    writer.close()
    answered = sum(now.answered - then.answered for now, then in zip(beside, before, strict=True))
    refused = sum(now.refused - then.refused for now, then in zip(beside, before, strict=True))
    return Round(took, Beside(answered, refused), cpu_seconds_of(server) - used)


def _tell(measured: Mapping[str, Sequence[Round]]) -> None:
    """Print the results of each situation, and compare the p99 of the last one with those of the others."""
    ratios = {}
    for name, rounds in measured.items():
        seconds = sum(sum(one.seconds) + len(one.seconds) / ASKED_A_SECOND for one in rounds)
        answered, refused = (sum(one.beside[part] for one in rounds) for part in (0, 1))
        ratios[name] = [_percentile(one.seconds, 99) for one in rounds]
        print(
            f"{name:38} p50 {_median_of(rounds, 50):5.1f} ms  p99 {_median_of(rounds, 99):5.1f} ms   "
            f"beside: {answered:,} answered, {refused:,} refused   "
            f"{sum(one.cpu_seconds for one in rounds):.1f} s of processor in about {seconds:.0f} s",
            flush=True,
        )
    alone, within, beyond = ratios.values()
    for name, base in (("alone", alone), ("beside a tenant within its budget", within)):
        ratio = statistics.median(one / other for one, other in zip(beyond, base, strict=True))
        print(f"p99 beside a tenant far beyond its budget: {ratio:.2f} × that {name}", flush=True)


def _percentile(seconds: Sequence[float], part: int) -> float:
    """Return the time that ``part`` per cent of the answers do not pass, in seconds."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, len(ordered) * part // 100)]


def _median_of(rounds: Sequence[Round], part: int) -> float:
    """Return the median of a percentile over the rounds, in milliseconds."""
    return 1_000 * statistics.median(_percentile(one.seconds, part) for one in rounds)


async def _tell_cost(service: Service, alone: Sequence[Round], cost: int) -> None:
    """Print the processor time of charging an operation and reporting its cost, compared with a small read.

    The bookings that happen meanwhile are included.
    """
    database = Database(service.urls.app, pool_size=2)
    budgets = Budgets(database, lambda: datetime.now(UTC), BudgetLimits(200_000, MOST_BUDGET_POINTS))
    began = time.process_time()
    for _ in range(CHARGES):
        report_cost(await budgets.charge(service.manager, cost))
    await budgets.book_all()
    charged = 1e6 * (time.process_time() - began) / CHARGES
    await database.close()
    read = 1e6 * sum(one.cpu_seconds for one in alone) / sum(len(one.seconds) for one in alone)
    print(
        f"a charge takes {charged:.1f} µs of processor, a small read {read:,.0f} µs: {charged / read:.1%}", flush=True
    )


if __name__ == "__main__":
    main()
