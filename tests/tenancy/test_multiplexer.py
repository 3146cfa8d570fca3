"""Reads of many tenants over the same few connections: nobody gets another's rows, and nobody another's trouble."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Integer, Select, Text, Uuid, any_, bindparam, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DataError, DBAPIError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from loyalty.rules.ids import TenantId
from loyalty.storage.tables import accounts, customers
from runtime.roles import DatabaseUrls
from tenancy import multiplexer as multiplexer_module
from tenancy import pipeline as pipeline_module
from tenancy.database import Database, Pooler
from tenancy.outage import is_away
from tenancy.pipeline import Pipeline, Question
from tenancy.statements import compile_statement, count_compiled
from tenancy.table import among, tenant_parameter
from tenancy.tables import tenants
from tests.fixtures.database import DatabaseServer
from tests.fixtures.live import until
from tests.fixtures.statements import lanes_of
from tests.fixtures.tenants import Salon

REQUESTS = 10_000
TENANTS = 20
READERS = "treue-readers"

WHO = select(tenants.c.tenant_id, func.current_setting("app.tenant_id").label("entered"))
"""All tenants that can be seen: only the wall stands before it, no condition of the statement."""
ECHO = select(bindparam("value", type_=Text).label("value"))
SLEEP = select(func.pg_sleep(bindparam("seconds")), literal_column("1").label("one"))
DIVIDE = select((literal_column("1", Integer) // func.length(bindparam("value", type_=Text))).label("quotient"))
ENDLESS = 60
"""So many seconds nothing here waits for: what sleeps so long is cut off, or given up."""

FAIR_SECONDS = 2.0
"""A deadline that a slow machine keeps wherever nobody sleeps."""

PID = select(func.pg_backend_pid().label("pid"))


@pytest.fixture
async def database(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Provide a database with two reading connections."""
    database = Database(database_urls.app, pool_size=2, read_connections=2, name=READERS)
    yield database
    await database.close()


def pipelines_of(database: Database) -> list[Pipeline]:
    """Return the open reading connections of the fast lane."""
    return list(lanes_of(database.multiplexer)[0].pipelines)


async def backend_pids(database: Database, tenant_id: TenantId) -> set[int]:
    """Return the server's processes behind the reading connections."""
    answers = await asyncio.gather(*(database.reading(tenant_id).rows(PID) for _ in range(20)))
    return {rows[0].pid for rows in answers}


async def test_many_requests_of_many_tenants_never_mix(database: Database) -> None:
    """S-01: 10,000 requests of random tenants over two connections, with errors and readers that leave in between."""
    dice = random.Random(5)  # noqa: S311 - chances, not secrets
    tenant_ids = [TenantId(uuid4()) for _ in range(TENANTS)]
    mixed = 0
    refused = 0

    async def ask(number: int) -> None:
        nonlocal mixed, refused
        tenant_id = dice.choice(tenant_ids)
        tx = database.reading(tenant_id)
        kind = number % 10
        if kind == 0:
            with pytest.raises(DBAPIError):
                await tx.rows(DIVIDE, value="")
            refused += 1
            return
        if kind == 1:
            leaving = asyncio.ensure_future(tx.rows(ECHO, value="left"))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            return
        entered, echoed = await asyncio.gather(tx.row(select_entered), tx.row(ECHO, value=f"{tenant_id}-{number}"))
        mixed += entered is None or entered.entered != str(tenant_id)
        mixed += echoed is None or echoed.value != f"{tenant_id}-{number}"

    select_entered = select(func.current_setting("app.tenant_id").label("entered"))
    for start in range(0, REQUESTS, 500):
        await asyncio.gather(*(ask(number) for number in range(start, start + 500)))
    assert (mixed, refused) == (0, REQUESTS // 10)
    assert len(pipelines_of(database)) <= 2


async def test_a_reader_sees_its_own_tenant_only(database: Database, salon: Salon, other_salon: Salon) -> None:
    """The statement asks for all tenants; the wall shows one."""
    asked = [salon.tenant_id, other_salon.tenant_id] * 50
    answers = await asyncio.gather(*(database.reading(one).rows(WHO) for one in asked))
    assert [[(row.tenant_id, row.entered) for row in rows] for rows in answers] == [[(one, str(one))] for one in asked]


async def test_a_statement_that_enters_no_tenant_fails(database: Database, salon: Salon) -> None:
    """On a connection that has just served a tenant the setting is gone, so the wall has nothing to compare with."""
    await database.reading(salon.tenant_id).rows(WHO)
    (lane, *_) = lanes_of(database.multiplexer)
    bare = compile_statement(select(tenants.c.tenant_id))
    for _ in range(3):
        with pytest.raises(DataError, match='invalid input syntax for type uuid: ""'):
            await lane.ask([Question(bare, bare.values({}))])
    assert len(await database.reading(salon.tenant_id).rows(WHO)) == 1


async def test_nothing_is_written_through_the_door_for_reading(database: Database, salon: Salon) -> None:
    writing = text("UPDATE programs SET version = version WHERE tenant_id = :current_tenant")
    with pytest.raises(InternalError, match="read-only transaction"):
        await database.reading(salon.tenant_id).rows(writing)
    with pytest.raises(InternalError, match="read-write mode must be set before any query"):
        await database.reading(salon.tenant_id).rows(select(func.set_config("transaction_read_only", "off", True)))


async def test_an_error_does_not_touch_its_neighbours(database: Database, salon: Salon) -> None:
    tx = database.reading(salon.tenant_id)
    wanted = [tx.row(DIVIDE, value="" if number % 3 == 0 else "12") for number in range(300)]
    answers = await asyncio.gather(*wanted, return_exceptions=True)
    for number, answer in enumerate(answers):
        if number % 3 == 0:
            assert isinstance(answer, DataError)
            assert answer.orig is not None
            assert getattr(answer.orig, "sqlstate", None) == "22012"
        else:
            assert not isinstance(answer, BaseException)
            assert answer is not None
            assert answer.quotient == 0


async def test_a_value_that_postgresql_cannot_read_reaches_nobody(database: Database, salon: Salon) -> None:
    tx = database.reading(salon.tenant_id)
    with pytest.raises(DataError):
        await tx.rows(ECHO, value="nul \0 in it")
    with pytest.raises(DataError):
        await tx.rows(select(bindparam("id", type_=Uuid).label("id")), id="no uuid")
    assert (await tx.rows(ECHO, value="fine"))[0].value == "fine"


async def test_requests_survive_connections_that_the_server_ends(
    database: Database, salon: Salon, database_server: DatabaseServer
) -> None:
    """They are asked once more over another connection: reading twice changes nothing."""
    tx = database.reading(salon.tenant_id)
    pids = await backend_pids(database, salon.tenant_id)
    running = [asyncio.ensure_future(tx.rows(SLEEP, seconds=0.3)) for _ in range(4)]
    await asyncio.sleep(0.1)
    with psycopg.connect(database_server.admin_url, autocommit=True) as admin:
        for pid in pids:
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert [rows[0].one for rows in await asyncio.gather(*running)] == [1] * 4
    assert not pids & await backend_pids(database, salon.tenant_id)


async def test_a_request_whose_connection_breaks_twice_is_told_that_the_database_is_away(
    database: Database, salon: Salon, database_server: DatabaseServer
) -> None:
    tx = database.reading(salon.tenant_id)
    running = asyncio.ensure_future(tx.rows(SLEEP, seconds=60))
    with psycopg.connect(database_server.admin_url, autocommit=True) as admin:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND state = 'active'"

        async def is_over() -> bool:
            admin.execute(end, [READERS])
            return running.done()

        await until(is_over)
    with pytest.raises(OperationalError) as lost:
        await running
    assert lost.value.connection_invalidated
    assert is_away(lost.value)
    assert (await tx.rows(ECHO, value="again"))[0].value == "again"


async def test_a_database_that_cannot_be_reached_is_away(salon: Salon) -> None:
    database = Database("postgresql://nobody:x@127.0.0.1:1/nothing", read_connections=2)
    answers = await asyncio.gather(
        *(database.reading(salon.tenant_id).rows(WHO) for _ in range(10)), return_exceptions=True
    )
    assert all(isinstance(answer, OperationalError) and is_away(answer) for answer in answers)
    await database.close()


async def test_silence_ends_the_waiting(database_urls: DatabaseUrls, salon: Salon) -> None:
    """A statement that takes longer than the database may leave us without an answer ends like a silent network."""
    database = Database(database_urls.app, read_connections=1, answer_seconds=FAIR_SECONDS)
    tx = database.reading(salon.tenant_id)
    await tx.rows(WHO)
    answers = await asyncio.gather(tx.rows(SLEEP, seconds=ENDLESS), tx.rows(WHO), return_exceptions=True)
    assert all(isinstance(answer, OperationalError) and is_away(answer) for answer in answers)
    assert len(await tx.rows(WHO)) == 1
    await database.close()


async def test_who_comes_when_too_many_wait_is_told_to_come_again(
    database: Database, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiplexer_module, "MAX_WAITING", 5)
    monkeypatch.setattr(lanes_of(database.multiplexer)[0], "_depth", 1)
    tx = database.reading(salon.tenant_id)
    await backend_pids_quietly(database, salon)
    answers = await asyncio.gather(*(tx.rows(SLEEP, seconds=0.2) for _ in range(20)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, NoFreeConnection)]
    assert len(refused) == 20 - 5 - len(pipelines_of(database))
    assert all(is_away(answer) for answer in refused)


async def backend_pids_quietly(database: Database, salon: Salon) -> None:
    """Open both connections."""
    tx = database.reading(salon.tenant_id)
    for _ in range(3):
        await asyncio.gather(tx.rows(SLEEP, seconds=0.05), tx.rows(SLEEP, seconds=0.05))


async def test_who_waits_too_long_for_room_is_told_to_come_again(
    database_urls: DatabaseUrls, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(database_urls.app, read_connections=1, pool_wait_seconds=FAIR_SECONDS)
    monkeypatch.setattr(lanes_of(database.multiplexer)[0], "_depth", 1)
    tx = database.reading(salon.tenant_id)
    first = asyncio.ensure_future(tx.rows(SLEEP, seconds=ENDLESS))
    await until(lambda: sum(map(len, pipelines_of(database))) == 1)
    with pytest.raises(NoFreeConnection):
        await tx.rows(WHO)
    assert not first.done()
    first.cancel()
    await database.close()


async def test_a_statement_has_the_time_of_its_lane(database: Database, salon: Salon) -> None:
    limits = {}
    for lane in multiplexer_module.Lane:
        row = await database.reading(salon.tenant_id, lane).row(
            select(func.current_setting("statement_timeout").label("limit"))
        )
        assert row is not None
        limits[lane] = row.limit
    assert limits == {multiplexer_module.Lane.FAST: "10s", multiplexer_module.Lane.SLOW: "30s"}


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    database: Database, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that wait behind it on the same connection get an answer."""
    monkeypatch.setattr(lanes_of(database.multiplexer)[0], "milliseconds", str(int(1_000 * FAIR_SECONDS)))
    tx = database.reading(salon.tenant_id)
    answers = await asyncio.gather(
        *(tx.rows(SLEEP, seconds=ENDLESS) for _ in range(2)), *(tx.rows(WHO) for _ in range(10)), return_exceptions=True
    )
    assert [isinstance(answer, OperationalError) for answer in answers] == [True] * 2 + [False] * 10


async def test_a_slow_report_does_not_hold_up_a_screen(database: Database, salon: Salon) -> None:
    slow = database.reading(salon.tenant_id, multiplexer_module.Lane.SLOW)
    report = asyncio.ensure_future(slow.rows(SLEEP, seconds=ENDLESS))
    await asyncio.sleep(0.05)
    await asyncio.gather(*(database.reading(salon.tenant_id).rows(WHO) for _ in range(50)))
    assert not report.done()
    report.cancel()


async def test_readers_that_leave_leave_nothing_behind(database: Database, salon: Salon) -> None:
    """They leave while they wait for a connection, for room, and for their answer."""
    dice = random.Random(9)  # noqa: S311 - moments, not secrets
    tx = database.reading(salon.tenant_id)
    for _ in range(10):
        readers = [asyncio.ensure_future(tx.rows(SLEEP, seconds=0.001)) for _ in range(200)]
        for reader in readers:
            if dice.random() < 0.05:
                await asyncio.sleep(dice.uniform(0, 0.003))
            if dice.random() < 0.9:
                reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    lane = lanes_of(database.multiplexer)[0]

    async def is_quiet() -> bool:
        return not any(map(len, lane.pipelines)) and not lane.waiting

    await until(is_quiet)
    assert len(lane.pipelines) <= 2
    assert len(await tx.rows(WHO)) == 1


async def test_prepared_statements_are_bounded_and_come_back(
    database: Database, salon: Salon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "MAX_PREPARED", 8)
    tx = database.reading(salon.tenant_id)
    numbered: list[Select[Any]] = [select(literal_column(str(number)).label("number")) for number in range(40)]
    for _ in range(2):
        answers = await asyncio.gather(*(tx.rows(statement) for statement in numbered))
        assert [rows[0].number for rows in answers] == list(range(40))
    kept = await tx.rows(select(func.count().label("kept")).select_from(text("pg_prepared_statements")))
    assert kept[0].kept <= 9


async def test_a_statement_that_the_server_has_forgotten_is_prepared_anew(database: Database, salon: Salon) -> None:
    """As after DISCARD ALL: neither the statement that enters the tenant nor the other one is known any more."""
    tx = database.reading(salon.tenant_id)
    await backend_pids_quietly(database, salon)
    await asyncio.gather(*(tx.rows(WHO) for _ in range(10)))
    for pipeline in pipelines_of(database):
        deallocation = compile_statement(text("DEALLOCATE ALL"))
        asked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        pipeline.send(pipeline_module.Request([Question(deallocation, [])], asked, 0))
        await asked
    answers = await asyncio.gather(*(tx.rows(WHO) for _ in range(20)))
    assert all(len(rows) == 1 for rows in answers)


@pytest.mark.parametrize("pooler", list(Pooler))
async def test_it_works_with_and_without_a_pooler(database_urls: DatabaseUrls, salon: Salon, pooler: Pooler) -> None:
    """Behind a pooler nothing is prepared, and each connection carries one request at a time."""
    database = Database(database_urls.app, read_connections=2, pooler=pooler)
    tx = database.reading(salon.tenant_id)
    answers = await asyncio.gather(*(tx.rows(WHO) for _ in range(100)))
    assert all([row.tenant_id for row in rows] == [salon.tenant_id] for rows in answers)
    kept = await tx.rows(select(func.count().label("kept")).select_from(text("pg_prepared_statements")))
    assert (kept[0].kept > 0) is (pooler is Pooler.NONE)
    with pytest.raises(InternalError, match="read-only transaction"):
        await tx.rows(text("UPDATE programs SET version = version WHERE tenant_id = :current_tenant"))
    async with database.tenant_transaction(salon.tenant_id) as written:
        assert len(await written.rows(WHO)) == 1
    await database.close()


async def test_the_text_is_the_same_for_one_key_and_for_many(database: Database, salon: Salon) -> None:
    by_ids = select(customers.c.id).where(customers.c.tenant_id == tenant_parameter(), among(customers.c.id, "ids"))
    tx = database.reading(salon.tenant_id)
    await tx.rows(by_ids, ids=[])
    before = count_compiled()
    for count in (0, 1, 2, 500):
        assert await tx.rows(by_ids, ids=[uuid4() for _ in range(count)]) == []
    assert count_compiled() == before


def test_a_statement_whose_text_depends_on_its_values_is_refused() -> None:
    expanding = select(accounts.c.customer_id).where(accounts.c.tier_id.in_(bindparam("ids", expanding=True)))
    with pytest.raises(ValueError, match="any_"):
        compile_statement(expanding)


async def test_a_parameter_that_is_missing_is_named(database: Database, salon: Salon) -> None:
    with pytest.raises(TypeError, match="'value'"):
        await database.reading(salon.tenant_id).rows(ECHO)


async def test_a_row_that_should_be_alone_is(database: Database, salon: Salon) -> None:
    tx = database.reading(salon.tenant_id)
    three = select(func.unnest(bindparam("values", type_=ARRAY(Text))).label("value"))
    assert await tx.row(three, values=[]) is None
    row = await tx.row(three, values=["one"])
    assert row is not None
    assert row.value == "one"
    with pytest.raises(Exception, match="single row"):
        await tx.row(three, values=["one", "two"])


async def test_a_statement_that_is_wrong_says_so_every_time(database: Database, salon: Salon) -> None:
    wrong = text("SELECT no_such_column FROM programs")
    for _ in range(3):
        with pytest.raises(ProgrammingError, match="no_such_column"):
            await database.reading(salon.tenant_id).rows(wrong)
    assert len(await database.reading(salon.tenant_id).rows(WHO)) == 1


async def test_large_answers_and_large_questions_pass(database: Database, salon: Salon) -> None:
    """More than the buffers of both sides hold, in both directions at once."""
    tx = database.reading(salon.tenant_id)
    large = "x" * 1_000_000
    answers = await asyncio.gather(*(tx.rows(ECHO, value=f"{number}{large}") for number in range(20)))
    assert [rows[0].value[:2] for rows in answers] == [f"{number}x"[:2] for number in range(20)]
    assert all(len(rows[0].value) > len(large) for rows in answers)


async def test_ids_of_others_lead_nowhere(database: Database, salon: Salon, other_salon: Salon) -> None:
    both = select(tenants.c.tenant_id).where(
        tenants.c.tenant_id == any_(bindparam("ids", type_=ARRAY(Uuid))),
    )
    found = await database.reading(salon.tenant_id).rows(both, ids=[salon.tenant_id, other_salon.tenant_id])
    assert [UUID(str(row.tenant_id)) for row in found] == [salon.tenant_id]


async def test_closing_tells_who_waits_and_leaves_no_connection(
    database_urls: DatabaseUrls, salon: Salon, database_server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiplexer_module, "MAX_IN_FLIGHT", 1)
    name = "treue-closed-readers"
    database = Database(database_urls.app, read_connections=2, name=name)
    tx = database.reading(salon.tenant_id)
    await asyncio.gather(*(tx.rows(SLEEP, seconds=0.05) for _ in range(4)))
    running = [asyncio.ensure_future(tx.rows(SLEEP, seconds=3)) for _ in range(10)]
    await asyncio.sleep(0.05)
    await database.close()
    answers = await asyncio.gather(*running, return_exceptions=True)
    assert all(isinstance(answer, OperationalError) and is_away(answer) for answer in answers)
    with psycopg.connect(database_server.admin_url, autocommit=True) as admin:

        async def is_gone() -> bool:
            found = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name])
            return found.fetchone() == (0,)

        await until(is_gone)
