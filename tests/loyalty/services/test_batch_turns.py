"""A batch works in slices: other callers of the process have turns in between."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from statistics import median
from typing import NamedTuple

import pytest

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.opening import OpeningNumbers
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.opening_balance import MAX_BATCH as MOST_OPENINGS
from loyalty.services.opening_balance import Opening, import_opening_balances
from loyalty.services.purchase import MAX_BATCH, record_purchases
from loyalty.services.world import World
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import order, rule

ROUNDS = 3
EVERY_SECONDS = 0.001
LONGEST_SHARE = 0.25
"""The longest turn of a batch in all that it computes. As one piece the booking alone was nine tenths."""


class Turns(NamedTuple):
    """What a batch computed on the processor, in all and in its longest turn, in seconds."""

    whole: float
    longest: float


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """Keep the collector away: what a whole run of tests has left in memory is no work of a batch."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def measure_turns(work: Callable[[], Awaitable[object]]) -> Turns:
    """Run work beside a task that wants a turn every millisecond; only processor time of this thread counts."""
    turns: list[float] = []
    done = False

    async def want_turns() -> None:
        last = time.thread_time()
        while not done:
            await asyncio.sleep(EVERY_SECONDS)
            turns.append(time.thread_time() - last)
            last = time.thread_time()

    wanting = asyncio.create_task(want_turns())
    await asyncio.sleep(0)
    await work()
    done = True
    await wanting
    return Turns(sum(turns), max(turns))


async def test_a_batch_of_a_thousand_purchases_lets_others_have_turns(world: World, salon: Salon) -> None:
    for _ in range(5):
        await create_earning_rule(world, salon.manager, rule(10))
    shares = []
    for round_ in range(ROUNDS):
        batch = [order(f"{round_}-{number}", customer=f"guest-{number}") for number in range(MAX_BATCH)]
        turns = await measure_turns(lambda batch=batch: record_purchases(world, salon.integration, batch))  # type: ignore[misc]
        shares.append(turns.longest / turns.whole)
    assert median(shares) < LONGEST_SHARE


async def test_an_import_of_a_thousand_balances_lets_others_have_turns(world: World, salon: Salon) -> None:
    shares = []
    for round_ in range(ROUNDS):
        batch = [
            Opening(CustomerProfile(f"{round_}-{number}"), OpeningNumbers(1, 1, 1), None)
            for number in range(MOST_OPENINGS)
        ]
        turns = await measure_turns(lambda batch=batch: import_opening_balances(world, salon.manager, batch))  # type: ignore[misc]
        shares.append(turns.longest / turns.whole)
    assert median(shares) < LONGEST_SHARE
