"""Real disturbances between real transactions: what the database asks to run again runs again, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from loyalty.rules.errors import NotFound
from loyalty.services.world import World
from tenancy.retry import MAX_ATTEMPTS, SERIALIZATION_FAILURE, StaleRead, retries, retry_transaction
from tests.fixtures.entering import enter_tenant
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import known_customer

EARN_ONE = text("UPDATE accounts SET pending = pending + 1 WHERE customer_id = :customer")
READ = text("SELECT pending FROM accounts WHERE customer_id = :customer")


def counted(cause: str) -> Callable[[], int]:
    """Return how often this cause has been counted from now on."""
    before = retries[cause]
    return lambda: retries[cause] - before


class Disturbed:
    """Adds 1 to what is pending, and is overtaken by somebody else the first `times` times."""

    def __init__(self, world: World, salon: Salon, customer_id: object, times: int) -> None:
        self.world, self.salon, self.times = world, salon, times
        self.customer = {"customer": customer_id}
        self.attempts = 0

    async def __call__(self) -> int:
        """Add 1 to the pending points. The first ``times`` attempts are overtaken by another transaction."""
        self.attempts += 1
        async with self.world.database.engine.connect() as fresh:
            connection = await fresh.execution_options(isolation_level="REPEATABLE READ")
            await enter_tenant(connection, self.salon.tenant_id)
            seen = (await connection.execute(READ, self.customer)).scalar_one()
            if self.attempts <= self.times:
                async with self.world.database.tenant_transaction(self.salon.tenant_id) as other:
                    await other.run(EARN_ONE, **self.customer)
            await connection.execute(EARN_ONE, self.customer)
            await connection.commit()
        return int(seen) + 1


async def test_a_serialization_failure_runs_again_and_is_counted(world: World, salon: Salon) -> None:
    work = Disturbed(world, salon, await known_customer(world, salon), times=2)
    again = counted("serialization_failure")
    assert await retry_transaction(work) == 3
    assert work.attempts == 3
    assert again() == 2


async def test_attempts_are_bounded_and_the_last_error_is_shown(world: World, salon: Salon) -> None:
    work = Disturbed(world, salon, await known_customer(world, salon), times=MAX_ATTEMPTS)
    again = counted("serialization_failure")
    with pytest.raises(DBAPIError) as refused:
        await retry_transaction(work)
    assert getattr(refused.value.orig, "sqlstate", None) == SERIALIZATION_FAILURE
    assert work.attempts == MAX_ATTEMPTS
    assert again() == MAX_ATTEMPTS - 1


async def test_a_deadlock_runs_again_and_both_arrive(world: World, salon: Salon) -> None:
    anna, ben = await known_customer(world, salon, "anna"), await known_customer(world, salon, "ben")
    again = counted("deadlock")
    both_hold_one = asyncio.Barrier(2)
    meet = [True, True]

    def takes(number: int, first: object, second: object) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            async with world.database.tenant_transaction(salon.tenant_id) as tx:
                await tx.run(EARN_ONE, customer=first)
                if meet[number]:
                    meet[number] = False
                    await both_hold_one.wait()
                await tx.run(EARN_ONE, customer=second)

        return work

    await asyncio.gather(retry_transaction(takes(0, anna, ben)), retry_transaction(takes(1, ben, anna)))
    assert again() == 1
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        pending = [(await tx.rows(READ, customer=customer))[0].pending for customer in (anna, ben)]
    assert pending == [2, 2]


async def test_a_stale_read_runs_again_and_is_counted() -> None:
    attempts, again = 0, counted("stale_read")

    async def work() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise StaleRead
        return "fresh"

    assert await retry_transaction(work) == "fresh"
    assert (attempts, again()) == (3, 2)


async def test_any_other_error_of_the_database_is_not_tried_again(world: World, salon: Salon) -> None:
    customer_id = await known_customer(world, salon)
    attempts, before = 0, retries.total()

    async def work() -> None:
        nonlocal attempts
        attempts += 1
        async with world.database.tenant_transaction(salon.tenant_id) as tx:
            await tx.run(text("UPDATE accounts SET available = -1 WHERE customer_id = :id"), id=customer_id)

    with pytest.raises(IntegrityError):
        await retry_transaction(work)
    assert (attempts, retries.total()) == (1, before)


async def test_a_refusal_is_not_tried_again() -> None:
    attempts, before = 0, retries.total()

    async def work() -> None:
        nonlocal attempts
        attempts += 1
        raise NotFound("customer")

    with pytest.raises(NotFound):
        await retry_transaction(work)
    assert (attempts, retries.total()) == (1, before)
