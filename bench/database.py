"""Measure what a read costs through the multiplexer and through the pool, in turns, in one process.

It prints the processor time of this process and of PostgreSQL for each operation, and how often the operation waits for
the database. The multiplexer and the pool are called doors here. The answers of both doors are compared.
"""

import argparse
import asyncio
import contextlib
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import psycopg

from bench.service import OPTIONS, database_cpu_seconds, make_folder, postmaster_of, prepare_tenant, record_orders
from loyalty.services.authentication import refresh_actor
from loyalty.services.customer import CustomerKey, find_customer, list_activity, list_customers, load_customers
from loyalty.services.world import World
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, PointsFilter
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from migrations.run import upgrade
from permissions.actor import Actor
from runtime.postgres import EmbeddedPostgres
from runtime.roles import DatabaseUrls, prepare_database
from tenancy.database import Database
from tenancy.pipeline import Pipeline, Request

NAME = "treue_bench"
CUSTOMERS = 500
PAGE = 50
CONCURRENCY = (1, 16, 64)
POOL_SIZE = 16

Operation = Callable[[World, Actor, int], Awaitable[Any]]


async def read_customer(world: World, actor: Actor, number: int) -> Any:
    """Read one customer with tier and progress, and the standing of the actor."""
    await refresh_actor(world, actor)
    return await find_customer(world, actor, CustomerKey(external_id=f"customer-{number % CUSTOMERS + 1}"))


async def read_entries(world: World, actor: Actor, _number: int) -> Any:
    """Read a page of entries with their customers, and the standing of the actor."""
    await refresh_actor(world, actor)
    entries = await list_activity(world, actor, EntryFilter(), Window(PAGE))
    return entries, await load_customers(world, actor, [entry.customer_id for entry in entries])


async def read_customers(world: World, actor: Actor, _number: int) -> Any:
    """Read a page of customers, and the standing of the actor."""
    await refresh_actor(world, actor)
    wanted = CustomerFilter(PointsFilter.ANY, None, None)
    return await list_customers(world, actor, wanted, CustomerOrder.NAME, Window(PAGE))


OPERATIONS: dict[str, Operation] = {
    "one customer": read_customer,
    "page of 50 entries": read_entries,
    "page of 50 customers": read_customers,
}


class Cost(NamedTuple):
    """The time of one operation, in microseconds."""

    own_cpu: float
    database_cpu: float
    wall: float


@contextlib.asynccontextmanager
async def open_worlds(urls: DatabaseUrls) -> AsyncIterator[dict[str, World]]:
    """Open the same database through both doors, and yield a world for each door by its name."""
    doors = {
        "pool": Database(urls.app, pool_size=POOL_SIZE, read_connections=0, name="bench-pool"),
        "multiplexer": Database(urls.app, pool_size=POOL_SIZE, name="bench-multiplexer"),
    }
    try:
        yield {name: World(database) for name, database in doors.items()}
    finally:
        for database in doors.values():
            await database.close()


async def measure(
    world: World, actor: Actor, operation: Operation, concurrency: int, seconds: float, postmaster: int
) -> Cost:
    """Run an operation again and again for so many seconds, ``concurrency`` times at once. Return the cost of one."""
    end, done = time.monotonic() + seconds, 0

    async def work(first: int) -> None:
        nonlocal done
        number = first
        while time.monotonic() < end:
            await operation(world, actor, number)
            number += concurrency
            done += 1

    cpu, database_cpu, start = time.process_time(), database_cpu_seconds(postmaster), time.monotonic()
    await asyncio.gather(*(work(number) for number in range(concurrency)))
    elapsed = time.monotonic() - start
    own, theirs = time.process_time() - cpu, database_cpu_seconds(postmaster) - database_cpu
    return Cost(own / done * 1e6, theirs / done * 1e6, elapsed / done * 1e6)


@contextlib.contextmanager
def counting() -> Iterator[dict[str, int]]:
    """Yield counts of the statements that are sent during the block, and of their round trips."""
    counts = {"statements": 0, "round trips": 0}
    send = Pipeline.send

    def note_and_send(pipeline: Pipeline, request: Request) -> None:
        counts["statements"] += len(request.questions)
        counts["round trips"] += 1
        send(pipeline, request)

    Pipeline.send = note_and_send  # type: ignore[method-assign, assignment]
    try:
        yield counts
    finally:
        Pipeline.send = send  # type: ignore[method-assign]


async def compare(worlds: dict[str, World], actor: Actor, rounds: int, seconds: float, postmaster: int) -> None:
    """Measure all operations through both doors in turn, and print their costs."""
    for name, operation in OPERATIONS.items():
        answers = [await operation(world, actor, 1) for world in worlds.values()]
        if answers[0] != answers[1]:
            raise SystemExit(f"{name}: the two doors answer differently")
        for door, world in worlds.items():
            with counting() as counts:
                await operation(world, actor, 1)
            print(f"{name}, {door}: {counts['statements']} statements, {counts['round trips']} round trips")
        for concurrency in CONCURRENCY:
            found: dict[str, list[Cost]] = {door: [] for door in worlds}
            for _ in range(rounds):
                for door, world in worlds.items():
                    await measure(world, actor, operation, concurrency, seconds / 2, postmaster)
                    found[door].append(await measure(world, actor, operation, concurrency, seconds, postmaster))
            _print(name, concurrency, found)


def _print(name: str, concurrency: int, found: dict[str, list[Cost]]) -> None:
    """Print the costs of an operation for each door, and their ratio."""
    for door, costs in found.items():
        own, theirs, wall = (statistics.median(values) for values in zip(*costs, strict=True))
        print(f"{name}, {concurrency} at once, {door}: {own:.0f} µs here, {theirs:.0f} µs in PostgreSQL, {wall:.0f} µs")
    for what in ("own_cpu", "wall"):
        pool, multiplexer = ([getattr(cost, what) for cost in costs] for costs in found.values())
        ratios = sorted(one / other for one, other in zip(pool, multiplexer, strict=True))
        print(f"  pool ÷ multiplexer, {what}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


async def run(rounds: int, seconds: float) -> None:
    """Make a database with a tenant in it, and measure."""
    folder = make_folder()
    postgres = EmbeddedPostgres(folder, OPTIONS)
    try:
        with postgres:
            urls = prepare_database(postgres.admin_url, folder, NAME, adopt_roles=True)
            upgrade(urls.owner)
            postmaster = postmaster_of(postgres)
            async with open_worlds(urls) as worlds:
                actor = await prepare_tenant(urls, worlds["pool"])
                await record_orders(worlds["pool"], actor, 1, CUSTOMERS)
                with psycopg.connect(postgres.admin_url, dbname=NAME, autocommit=True) as admin:
                    admin.execute("VACUUM ANALYZE")
                await compare(worlds, actor, rounds, seconds, postmaster)
        postgres.remove()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each door is measured")
    parser.add_argument("--seconds", type=float, default=4, help="how long each time")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.rounds, arguments.seconds))


if __name__ == "__main__":
    main()
