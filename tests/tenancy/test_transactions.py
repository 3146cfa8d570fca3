"""Transactions have a connection for themselves, end in one way, and leave nothing of theirs to the next one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from loyalty.rules.ids import CustomerId
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tenancy.outage import is_away
from tenancy.retry import retries, retry_transaction
from tests.fixtures.live import until
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import known_customer

ONE = text("SELECT 1")
CONNECTION = text("SELECT pg_backend_pid()")
ADD = text("UPDATE accounts SET pending = pending + 1 WHERE customer_id = :customer")
PENDING = text("SELECT pending FROM accounts WHERE customer_id = :customer")
ADD_AGAIN = text("INSERT INTO accounts SELECT * FROM accounts")


@pytest.fixture
async def database(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Provide a pool with one connection."""
    database = Database(database_urls.app, pool_size=1, pool_wait_seconds=5)
    yield database
    await database.close()


@pytest.fixture
async def customer(world: World, salon: Salon) -> CustomerId:
    """Provide somebody with an account."""
    return await known_customer(world, salon)


async def pending(database: Database, salon: Salon, customer: CustomerId) -> int:
    row = await database.reading(salon.tenant_id).row(PENDING, customer=customer)
    assert row is not None
    return int(row.pending)


async def test_commits_at_the_end_and_rolls_back_on_an_exception(
    database: Database, salon: Salon, customer: CustomerId
) -> None:
    async with database.tenant_transaction(salon.tenant_id) as tx:
        assert await tx.run(ADD, customer=customer) == 1
        assert await pending(database, salon, customer) == 0
    assert await pending(database, salon, customer) == 1
    with suppress(ZeroDivisionError):
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.run(ADD, customer=customer)
            raise ZeroDivisionError
    assert await pending(database, salon, customer) == 1


async def test_commit_travels_with_the_last_statement(database: Database, salon: Salon, customer: CustomerId) -> None:
    async with database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(ADD, customer=customer)
        before = database.doors()["transactions"].traffic.round_trips
        await tx.run_and_commit(ADD, customer=customer)
        assert await pending(database, salon, customer) == 2
        with pytest.raises(RuntimeError, match="closed"):
            await tx.run(ADD, customer=customer)
        with pytest.raises(RuntimeError, match="closed"):
            await tx.run_and_commit(ADD, customer=customer)
    assert database.doors()["transactions"].traffic.round_trips == before + 1


async def test_a_last_statement_that_fails_commits_nothing_and_leaves_the_connection_clean(
    database: Database, salon: Salon, customer: CustomerId
) -> None:
    async def fail_at_the_end() -> None:
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.run(ADD, customer=customer)
            await tx.run_and_commit(ADD_AGAIN)

    with pytest.raises(DBAPIError):
        await fail_at_the_end()
    assert await pending(database, salon, customer) == 0
    async with database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run_and_commit(ADD, customer=customer)
    assert await pending(database, salon, customer) == 1


async def test_an_exception_after_the_commit_takes_nothing_back(
    database: Database, salon: Salon, customer: CustomerId
) -> None:
    with suppress(ZeroDivisionError):
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.run_and_commit(ADD, customer=customer)
            raise ZeroDivisionError
    assert await pending(database, salon, customer) == 1


async def test_the_next_transaction_does_not_commit_what_was_rolled_back(
    database: Database, salon: Salon, customer: CustomerId
) -> None:
    """Nobody waits for a rollback: the next transaction on the connection stands behind it."""
    for _ in range(20):
        with suppress(ZeroDivisionError):
            async with database.tenant_transaction(salon.tenant_id) as tx:
                await tx.run(ADD, customer=customer)
                raise ZeroDivisionError
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.rows(ONE)
    assert await pending(database, salon, customer) == 0


async def test_a_refusal_that_was_swallowed_fails_the_commit(
    database: Database, salon: Salon, customer: CustomerId
) -> None:
    """PostgreSQL answers ROLLBACK to such a COMMIT, and calls that no error."""

    async def go_on() -> None:
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.run(ADD, customer=customer)
            with pytest.raises(IntegrityError):
                await tx.run(ADD_AGAIN)

    with pytest.raises(InternalError, match="has failed before"):
        await go_on()
    assert await pending(database, salon, customer) == 0
    async with database.tenant_transaction(salon.tenant_id) as tx:
        assert await tx.run(ADD, customer=customer) == 1


async def test_a_transaction_without_statements_sends_nothing(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    with statements() as sent:
        async with world.database.tenant_transaction(salon.tenant_id):
            pass
    assert sent == []


async def test_connections_are_kept_and_lent_to_the_next_who_waits(database: Database, salon: Salon) -> None:
    used: list[int] = []

    async def use() -> None:
        async with database.tenant_transaction(salon.tenant_id) as tx:
            ((connection,),) = await tx.rows(CONNECTION)
            used.append(connection)
            await asyncio.sleep(0)

    await asyncio.gather(*(use() for _ in range(30)))
    assert len(used) == 30
    assert len(set(used)) == 1
    assert database.transactions.lent == 0


async def test_who_waits_too_long_is_told_so(database_urls: DatabaseUrls, salon: Salon) -> None:
    database = Database(database_urls.app, pool_size=1, pool_wait_seconds=0.2)
    async with database.tenant_transaction(salon.tenant_id) as tx:
        await tx.rows(ONE)
        with pytest.raises(NoFreeConnection):
            async with database.tenant_transaction(salon.tenant_id):
                pass
    async with database.tenant_transaction(salon.tenant_id) as tx:
        await tx.rows(ONE)
    await database.close()


async def test_who_goes_away_while_waiting_takes_no_connection_along(database: Database, salon: Salon) -> None:
    async def use() -> None:
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.rows(ONE)

    for _ in range(20):
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.rows(ONE)
            waiting = [asyncio.create_task(use()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        # The connection was handed over to the second one just now, and that one goes away as well.
        waiting[1].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results[2] is None
        assert database.transactions.lent == 0


async def test_a_connection_that_breaks_off_is_replaced(database: Database, salon: Salon) -> None:
    with pytest.raises(OperationalError) as failed:
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.rows(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert is_away(failed.value)
    async with database.tenant_transaction(salon.tenant_id) as tx:
        assert len(await tx.rows(ONE)) == 1


async def test_a_connection_that_breaks_off_between_two_statements_writes_nothing(
    database: Database, world: World, salon: Salon, customer: CustomerId
) -> None:

    async def add_twice() -> None:
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.run(ADD, customer=customer)
            ((connection,),) = await tx.rows(CONNECTION)
            async with world.database.tenant_transaction(salon.tenant_id) as other:
                await other.rows(text("SELECT pg_terminate_backend(:connection)"), connection=connection)
            await tx.run(ADD, customer=customer)

    with pytest.raises(OperationalError) as failed:
        await add_twice()
    assert is_away(failed.value)
    assert await pending(database, salon, customer) == 0


async def test_a_database_that_cannot_be_reached_is_away(salon: Salon) -> None:
    database = Database("postgresql://nobody@/nothing?host=%2Fnowhere")
    with pytest.raises(DBAPIError, match="nowhere") as failed:
        async with database.tenant_transaction(salon.tenant_id):
            pass
    assert is_away(failed.value)
    await database.close()


async def test_closing_tells_who_waits(database: Database, salon: Salon) -> None:
    async def use() -> None:
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.rows(text("SELECT pg_sleep(30)"))

    users = [asyncio.create_task(use()) for _ in range(2)]
    await until(lambda: database.transactions.lent == 1)
    await database.close()
    for result in await asyncio.gather(*users, return_exceptions=True):
        assert isinstance(result, OperationalError)
        assert is_away(result)


async def test_a_plan_that_is_void_since_its_table_was_changed_is_made_again(
    database: Database, owner_world: World, salon: Salon
) -> None:
    """As when a migration runs while servers do."""
    attempts = 0
    everything = text("SELECT * FROM tiers")

    async def read_tiers() -> None:
        nonlocal attempts
        attempts += 1
        async with database.tenant_transaction(salon.tenant_id) as tx:
            await tx.rows(everything)

    await retry_transaction(read_tiers)
    before = retries["void_plan"]
    async with owner_world.database.plain_transaction() as owner:
        await owner.execute(text("ALTER TABLE tiers ADD COLUMN passing integer"))
        await owner.execute(text("GRANT SELECT ON tiers TO PUBLIC"))
    try:
        await retry_transaction(read_tiers)
    finally:
        async with owner_world.database.plain_transaction() as owner:
            await owner.execute(text("REVOKE SELECT ON tiers FROM PUBLIC"))
            await owner.execute(text("ALTER TABLE tiers DROP COLUMN passing"))
    assert (attempts, retries["void_plan"] - before) == (3, 1)
