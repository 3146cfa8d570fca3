import asyncio
import contextlib
import itertools
import signal
from collections import defaultdict

import orjson
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from loyalty.log.reading import last_position
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.services.tenant import provision_tenant
from loyalty.services.world import World
from loyalty.storage.events import MAX_PAYLOAD_BYTES, Positioned, decode_hints, encode_hints
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.entering import enter_tenant
from tests.fixtures.live import (
    buy,
    end_sessions,
    happen,
    is_waiting_for_a_lock,
    numbers_of,
    read_log,
    relaying,
    until,
    worker_process,
    write_events,
)
from tests.fixtures.tenants import Salon, salon_of
from tests.tenancy.catalogue import MIGRATIONS_TABLE, PLATFORM_TABLES
from worker.relay import relay_batch

WHOLE_TABLES = {"tenants", "tenant_directory", "events", "event_positions", "jobs"}
TIMES_AND_STATES = {
    "accounts": {"tenant_id", "tier_review_at"},
    "accruals": {"tenant_id", "state", "matures_at"},
    "gift_card_holds": {"tenant_id", "state", "expires_at"},
    "gift_cards": {"tenant_id", "due_at", "notice_at"},
    "holds": {"tenant_id", "state", "expires_at"},
    "log_readers": {"tenant_id", "reader", "reaches", "due_at"},
    "lots": {"tenant_id", "state", "due_at", "notice_at"},
    "purchases": {"tenant_id", "evaluates_at"},
    "retention": {"tenant_id", "looks_at"},
}
SEEN_BY_RELAY = {*WHOLE_TABLES, *TIMES_AND_STATES, *PLATFORM_TABLES, MIGRATIONS_TABLE}
"""What the relay may read anything of."""


async def reached(world: World, salon: Salon, position: int) -> bool:
    return await last_position(world.database, salon.tenant_id) == position


async def new_salon(owner_world: World) -> Salon:
    tenant = await provision_tenant(
        owner_world, name="Salon", currency="EUR", time_zone="Europe/Berlin", locale="de-DE"
    )
    return salon_of(tenant)


async def test_events_get_gapless_positions_in_the_order_of_their_commits(
    world: World, salon: Salon, relay_database: Database
) -> None:
    early, late = await buy(world, salon, 2)
    async with relaying(relay_database):
        async with world.database.tenant_transaction(salon.tenant_id) as tx:
            await write_events(tx, late, [1, 2])
            await happen(world, salon, early, [3])
            await until(lambda: reached(world, salon, 1))
            await happen(world, salon, early, [4])
            await until(lambda: reached(world, salon, 2))
        await until(lambda: reached(world, salon, 4))
    log = await read_log(world, salon)
    assert [event.position for event in log] == [1, 2, 3, 4]
    assert numbers_of(log) == [3, 4, 1, 2]


async def test_positions_are_counted_for_each_tenant_alone(
    world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> None:
    for tenant, numbers in ((salon, [1, 2, 3]), (other_salon, [7])):
        (customer,) = await buy(world, tenant, 1)
        await happen(world, tenant, customer, numbers)
    while await relay_batch(relay_database):
        pass
    assert [event.position for event in await read_log(world, salon)] == [1, 2, 3]
    assert [event.position for event in await read_log(world, other_salon)] == [1]


async def test_a_backlog_of_one_tenant_keeps_no_other_waiting(
    world: World, salon: Salon, other_salon: Salon, relay_database: Database
) -> None:
    (many,), (one,) = await buy(world, salon, 1), await buy(world, other_salon, 1)
    while await relay_batch(relay_database):
        pass
    await happen(world, salon, many, range(1_200))
    await happen(world, other_salon, one, [1])
    await relay_batch(relay_database)
    assert len(await read_log(world, other_salon)) == 1
    # Two tenants share a batch of 1,000.
    assert len(await read_log(world, salon)) == 500


async def test_a_rolled_back_write_leaves_neither_event_nor_gap(
    world: World, salon: Salon, relay_database: Database
) -> None:
    (customer,) = await buy(world, salon, 1)
    async with relaying(relay_database):
        with contextlib.suppress(LookupError):
            async with world.database.tenant_transaction(salon.tenant_id) as tx:
                await write_events(tx, customer, [1])
                raise LookupError
        await happen(world, salon, customer, [2])
        await until(lambda: reached(world, salon, 1))
    assert numbers_of(await read_log(world, salon)) == [2]


async def test_two_relays_give_each_event_one_position_and_keep_each_customers_order(
    world: World, owner_world: World, relay_database: Database
) -> None:
    salons = [await new_salon(owner_world) for _ in range(20)]
    customers = {salon.tenant_id: await buy(world, salon, 3) for salon in salons}
    numbers = itertools.count()

    async def write(salon: Salon) -> None:
        for customer in itertools.islice(itertools.cycle(customers[salon.tenant_id]), 25):
            await happen(world, salon, customer, [next(numbers)])

    async with relaying(relay_database, relays=2):
        await asyncio.gather(*(write(salon) for salon in salons))
        for salon in salons:
            await until(lambda salon=salon: reached(world, salon, 25))  # type: ignore[misc]
    seen: list[int] = []
    for salon in salons:
        log = await read_log(world, salon)
        assert [event.position for event in log] == list(range(1, 26))
        by_customer: dict[CustomerId | None, list[int]] = defaultdict(list)
        for event in log:
            by_customer[event.customer_id].append(event.payload["number"])
        assert all(told == sorted(told) for told in by_customer.values())
        seen += numbers_of(log)
    assert sorted(seen) == list(range(500))


async def test_a_killed_relay_leaves_every_event_for_the_next_one(
    world: World, salon: Salon, relay_database: Database, database_urls: DatabaseUrls
) -> None:
    (customer,) = await buy(world, salon, 1)
    await happen(world, salon, customer, range(40))
    async with worker_process(database_urls, "--only", "relay") as process:
        await until(lambda: reached(world, salon, 40))
        async with relay_database.engine.begin() as blocker:
            await blocker.execute(
                text("SELECT FROM event_positions WHERE tenant_id = :tenant FOR UPDATE"), {"tenant": salon.tenant_id}
            )
            await happen(world, salon, customer, range(40, 80))
            await until(lambda: is_waiting_for_a_lock(database_urls.relay, "treue-relay"))
            process.send_signal(signal.SIGKILL)
            assert await process.wait() == -signal.SIGKILL
        await happen(world, salon, customer, range(80, 100))
    assert await reached(world, salon, 40)
    async with worker_process(database_urls, "--only", "relay"):
        await until(lambda: reached(world, salon, 100))
    log = await read_log(world, salon)
    assert [event.position for event in log] == list(range(1, 101))
    assert numbers_of(log) == list(range(100))


async def test_goes_on_after_its_connection_is_lost(
    world: World, salon: Salon, relay_database: Database, database_urls: DatabaseUrls
) -> None:
    (customer,) = await buy(world, salon, 1)
    with capture_logs():
        async with relaying(relay_database):
            await happen(world, salon, customer, [1])
            await until(lambda: reached(world, salon, 1))
            assert await end_sessions(database_urls.relay, "treue-tests-relay")
            await happen(world, salon, customer, [2])
            await until(lambda: reached(world, salon, 2))
    assert numbers_of(await read_log(world, salon)) == [1, 2]


async def test_an_outage_of_the_database_is_logged_once_and_survived(
    own_database_urls: DatabaseUrls, database_urls: DatabaseUrls, owner_world: World
) -> None:
    relay = Database(own_database_urls.relay, pool_size=1, name="treue-tests-outage")
    name = psycopg.conninfo.conninfo_to_dict(own_database_urls.relay)["dbname"]

    async def open_for_connections(answer: str) -> None:
        order = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS " + answer).format(sql.Identifier(str(name)))
        owner = owner_world.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with owner.connect() as connection:
            await connection.execute(text(order.as_string()))

    with capture_logs() as lines:
        async with relaying(relay):
            await open_for_connections("false")
            await end_sessions(database_urls.relay, "treue-tests-outage", str(name))
            await until(lambda: bool(lines))
            await open_for_connections("true")
            await until(lambda: len(lines) > 1)
    await relay.close()
    assert [(line["event"], line["who"]) for line in lines] == [("interrupted", "relay"), ("works again", "relay")]


async def test_hints_are_short_enough_for_postgresql_and_can_be_read_back(relay_database: Database) -> None:
    largest = 9_223_372_036_854_775_807
    positioned = [Positioned(TenantId(uuid7()), largest - number, 1) for number in range(1_000)]
    payloads = encode_hints(positioned)
    assert len(payloads) == 9
    assert all(len(payload) < MAX_PAYLOAD_BYTES for payload in payloads)
    assert [hint for payload in payloads for hint in decode_hints(payload)] == [log[:2] for log in positioned]
    assert orjson.loads(payloads[0])[0] == [str(positioned[0].tenant_id), largest]
    async with relay_database.engine.begin() as connection:
        for payload in payloads:
            await connection.execute(text("SELECT pg_notify('elsewhere', :payload)"), {"payload": payload})


def test_no_new_events_need_no_hint() -> None:
    assert encode_hints([]) == []


@pytest.mark.parametrize("payload", ["", "{}x", "7", '["a"]', '[["no-uuid",1]]', "[[1,2]]", '[["a"]]'])
def test_a_payload_that_is_not_ours_is_refused(payload: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_hints(payload)


async def test_the_relay_sees_the_outbox_and_what_is_due_and_nothing_else(
    owner_world: World, relay_database: Database, salon: Salon
) -> None:
    tables = text("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')")
    async with owner_world.database.engine.connect() as connection:
        names = set((await connection.execute(tables)).scalars())
    assert names > SEEN_BY_RELAY
    assert {name for name in names if await may_read(relay_database, salon, name)} == SEEN_BY_RELAY


@pytest.mark.parametrize("table", TIMES_AND_STATES)
async def test_the_relay_sees_whose_work_is_due_and_when(
    owner_world: World, relay_database: Database, table: str
) -> None:
    """SB-04: neither points nor customers."""
    columns = text("SELECT attname FROM pg_attribute WHERE attrelid = CAST(:name AS regclass) AND attnum > 0")
    allowed = text("SELECT has_column_privilege(:table, CAST(:name AS text), 'SELECT')")
    async with owner_world.database.engine.connect() as connection:
        names = set((await connection.execute(columns, {"name": table})).scalars())
    async with relay_database.engine.connect() as connection:
        asked = [(name, await connection.execute(allowed, {"table": table, "name": name})) for name in names]
        assert {name for name, answer in asked if answer.scalar()} == TIMES_AND_STATES[table] < names
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(text(f"SELECT * FROM {table}"))


async def may_read(database: Database, salon: Salon, table: str) -> bool:
    """Tell whether a table can be read, even by somebody who knows how to enter a tenant."""
    async with database.engine.connect() as connection:
        await enter_tenant(connection, salon.tenant_id)
        try:
            await connection.execute(text(f"SELECT count(*) FROM {table}"))
        except ProgrammingError as error:
            if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
                return False
            raise
    return True


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE events SET payload = '{}'",
        "DELETE FROM events",
        "INSERT INTO jobs SELECT * FROM jobs",
        "UPDATE jobs SET state = 'DONE'",
        "UPDATE accruals SET state = 'AVAILABLE'",
        "DELETE FROM accruals",
        "UPDATE tenants SET name = 'Mine'",
        "DELETE FROM event_positions",
    ],
)
async def test_the_relay_changes_nothing_but_positions(attempt: str, relay_database: Database) -> None:
    async with relay_database.engine.connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(text(attempt))
