"""Measure what operations cost if customers have a long past, and compare with a short past.

    make bench-scale                                   200,000 and 2,000,000 entries of 2,000 customers
    make bench-scale ARGS="--entries 200000 20000000"  with ten times as much

All ledgers have as many customers, so a customer of the larger one has done the same for longer. Operations run in
turns over both, in this process as one manager. Printed are the milliseconds of each, and how many times the time and
the processor time of the smallest ledger an operation takes on the others: the median of the rounds. What happened in
a month is as much in all of them. Verification and exports are left out, since they read everything.
"""

import argparse
import asyncio
import contextlib
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from api.server import settle_memory
from api.service import UNAVAILABLE, hash_of_secret, make_secret
from bench.ledger import BIG_TENANT, Builder, build
from bench.reader import say_where
from bench.scale_operations import OPERATIONS, Operation
from bench.service import cpu_seconds_of, make_folder, owner_of
from bench.turns import NoFeed
from bench.verify import BYTES_OF_AN_ENTRY, OPTIONS
from loyalty.rules.earning_rule import EarningRule, PerAmountAward
from loyalty.rules.ids import RuleId, TenantId
from loyalty.services.customer_token import CustomerGrant
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.world import World
from migrations.run import upgrade
from permissions.actor import Actor
from runtime.postgres import EmbeddedPostgres
from runtime.roles import prepare_database
from schema.context import Context, Services
from schema.executable import ExecutableSchema
from schema.root import treue_schema
from tenancy.database import Database

CUSTOMERS = 2_000
ENTRIES = (200_000, 2_000_000)
MOST_RATIO = 1.2
"""The largest accepted ratio of processor time. An operation above it is marked with "grows"."""

SETTINGS = {**OPTIONS, "shared_buffers": "1GB", "max_connections": "100"}
CONNECTIONS = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")


class Ledger(NamedTuple):
    """A ledger of one size, with the world and the actor for operations on it."""

    entries: int
    world: World
    owner: Actor
    services: Services

    async def run(self, schema: ExecutableSchema, operation: Operation, number: int) -> None:
        """Run an operation; ``number`` is the number of the call. A refusal ends the run."""
        context = Context(self.services, self.owner, "bench")
        result = await schema.execute(
            operation.document, variable_values=operation.variables(number), context_value=context
        )
        problem = result.errors or _find_user_errors(result.data)
        if problem:
            raise SystemExit(f"{operation.name} was refused: {problem}")

    async def cpu_seconds(self) -> float:
        """Return the processor time of this process and of the connections to the ledger, in seconds."""
        async with self.world.database.tenant_transaction(self.owner.tenant_id) as tx:
            pids = [row.pid for row in await tx.rows(CONNECTIONS)]
        return time.process_time() + sum(map(cpu_seconds_of, pids))


def _find_user_errors(data: Mapping[str, Any] | None) -> object:
    """Return the refusals of mutations in an answer."""
    return [
        value["userErrors"] for value in (data or {}).values() if isinstance(value, dict) and value.get("userErrors")
    ]


class Cost(NamedTuple):
    """The cost of one call of an operation, in seconds."""

    seconds: float
    cpu: float


def main() -> None:
    """Build the ledgers, then measure in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, nargs="+", default=ENTRIES, help="multiples of 20,000, smallest first")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=20, help="of each operation in a round")
    parser.add_argument("--only", help="operations whose name holds this")
    wanted = parser.parse_args()
    print(say_where(), flush=True)
    chosen = [one for one in OPERATIONS if wanted.only is None or wanted.only in one.name]
    with _databases(wanted.entries) as urls:
        asyncio.run(_measure(urls, chosen, wanted.rounds, wanted.calls))


@contextlib.contextmanager
def _databases(sizes: Sequence[int]) -> Iterator[dict[int, str]]:
    """Yield a database for each size, all on one server: the URLs of the application role, by size.

    The databases are deleted after the block.
    """
    folder = make_folder()
    postgres = EmbeddedPostgres(folder, SETTINGS)
    try:
        with postgres:
            yield {entries: _build(postgres, folder, entries) for entries in sizes}
        postgres.remove()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(postgres: EmbeddedPostgres, folder: Path, entries: int) -> str:
    """Build the ledger of one size in a database of its own. Return the URL of the application role."""
    if shutil.disk_usage(folder).free < entries * BYTES_OF_AN_ENTRY:
        raise SystemExit(f"{folder} has no room for {entries:,} entries")
    began = time.monotonic()
    name = f"treue_bench_{entries}"
    urls = prepare_database(postgres.admin_url, folder, name, adopt_roles=True)
    upgrade(urls.owner)
    build(postgres.admin_url.replace("/postgres?", f"/{name}?"), Builder.of(entries, entries // CUSTOMERS, 0))
    print(f"{entries:,} entries built in {time.monotonic() - began:.0f} s", flush=True)
    return urls.app


async def _measure(urls: Mapping[int, str], operations: Sequence[Operation], rounds: int, calls: int) -> None:
    """Measure the operations on all ledgers in turns, and print the results."""
    schema = treue_schema(UNAVAILABLE)
    async with contextlib.AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(_open(entries, url)) for entries, url in urls.items()]
        settle_memory()
        print(
            f"{'operation':32} " + " ".join(f"{each.entries:>12,}" for each in ledgers) + "   time    CPU", flush=True
        )
        for operation in operations:
            for ledger in ledgers:
                await ledger.run(schema, operation, 0)
            costs: list[list[Cost]] = [[] for _ in ledgers]
            for round_ in range(rounds):
                for ledger, own in zip(ledgers, costs, strict=True):
                    own.append(
                        await _run(schema, ledger, operation, range(1 + round_ * calls, 1 + (round_ + 1) * calls))
                    )
            _tell(operation.name, costs)


@contextlib.asynccontextmanager
async def _open(entries: int, url: str) -> AsyncIterator[Ledger]:
    """Yield a ledger whose program gives points and lets points pay."""
    database = Database(url, pool_size=2)
    world, owner = World(database), owner_of(TenantId(UUID(BIG_TENANT)))
    rule = EarningRule(RuleId(UUID(int=entries)), "A point per euro", 1, 0, True, PerAmountAward(1, 100))
    await create_earning_rule(world, owner, rule)
    await update_program(world, owner, ProgramEdit(_let_points_pay, None))
    services = Services(world, NoFeed(), _sign_nothing, make_secret, b"bench", hash_of_secret)
    yield Ledger(entries, world, owner, services)
    await database.close()


def _sign_nothing(maker: Actor, grant: CustomerGrant) -> tuple[str, datetime]:
    """Refuse to sign tokens: no operation asks for one."""
    raise NotImplementedError


def _let_points_pay(settings: Any) -> Any:
    """Return the settings with redemption switched on."""
    return replace(settings, redemption=replace(settings.redemption, enabled=True))


async def _run(schema: ExecutableSchema, ledger: Ledger, operation: Operation, numbers: range) -> Cost:
    """Run an operation for each number. Return the cost of one call."""
    used, began = await ledger.cpu_seconds(), time.perf_counter()
    for number in numbers:
        await ledger.run(schema, operation, number)
    seconds = time.perf_counter() - began
    return Cost(seconds / len(numbers), (await ledger.cpu_seconds() - used) / len(numbers))


def _tell(name: str, costs: Sequence[Sequence[Cost]]) -> None:
    """Print the times of an operation on each ledger, and their ratios to the smallest ledger."""
    milliseconds = " ".join(f"{1e3 * statistics.median(one.seconds for one in own):9.2f} ms" for own in costs)
    least = costs[0]
    ratios = [
        " × ".join(f"{_ratio(own, least, of):5.2f}" for own in costs[1:])
        for of in (lambda cost: cost.seconds, lambda cost: cost.cpu)
    ]
    grows = any(_ratio(own, least, lambda cost: cost.cpu) > MOST_RATIO for own in costs[1:])
    print(f"{name:32} {milliseconds}  {'  '.join(ratios)}{'  grows' if grows else ''}", flush=True)


def _ratio(own: Sequence[Cost], least: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    """Return the median ratio of two ledgers over the rounds; ``of`` chooses the number."""
    return statistics.median(of(one) / of(other) for one, other in zip(own, least, strict=True) if of(other))


if __name__ == "__main__":
    main()
