"""As the application role inside one tenant, with everything one could know about another one.

The attacks use raw SQL, so that only the database's own wall is between them and the other tenant's rows.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import Table, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.ids import TenantId
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.world import World
from loyalty.storage.events import read_last_positions
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tenancy.table import metadata
from tests.fixtures.entering import enter_tenant
from tests.fixtures.snapshots import snapshot
from tests.loyalty.services.builders import earn, order
from tests.tenancy.neighbours import Neighbour, new_salon
from tests.tenancy.test_wall import APP_RIGHTS

TABLES = [table for table in metadata.sorted_tables if table.name != "token_directory"]
"""The directory is attacked apart: a row is visible only to a caller with its credential."""

every_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)

REFERENCES = [
    (table, column)
    for table in TABLES
    for column in sorted({column for constraint in table.foreign_key_constraints for column in constraint.column_keys})
    if column != "tenant_id"
]

INSUFFICIENT_PRIVILEGE = "42501"
FOREIGN_KEY_VIOLATION = "23503"
UNIQUE_VIOLATION = "23505"


@asynccontextmanager
async def inside(database: Database, tenant_id: TenantId) -> AsyncIterator[AsyncConnection]:
    """Yield the application's connection inside a tenant; what was done is taken back at the end."""
    async with database.engine.connect() as connection:
        await enter_tenant(connection, tenant_id)
        yield connection


async def rows_of(world: World, tenant_id: TenantId, table: Table) -> list[dict[str, Any]]:
    """Return a tenant's own rows of a table, as JSON objects."""
    return [orjson.loads(line) for line in (await snapshot(world.database, tenant_id))[table.name]]


async def insert_as_json(connection: AsyncConnection, table: Table, row: dict[str, Any]) -> None:
    """Insert a row as it is, without any help from our own statements; columns that are computed compute themselves."""
    names = ", ".join(column.name for column in table.c if column.computed is None)
    record = f"jsonb_populate_record(NULL::{table.name}, CAST(:line AS jsonb))"
    statement = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {record}"
    await connection.execute(text(statement), {"line": orjson.dumps(row).decode()})


def sqlstate(refused: pytest.ExceptionInfo[DBAPIError]) -> str:
    """Return PostgreSQL's own name of the error."""
    return str(getattr(refused.value.orig, "sqlstate", None))


def test_the_attacks_are_aimed_at_every_table() -> None:
    assert {table.name for table in TABLES} | {"token_directory"} == set(APP_RIGHTS)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


@every_table
async def test_a_read_without_any_condition_shows_only_our_rows(
    world: World, ours: Neighbour, theirs: Neighbour, table: Table
) -> None:
    """F-39: with the WHERE removed."""
    assert await rows_of(world, theirs.salon.tenant_id, table)
    async with inside(world.database, ours.salon.tenant_id) as connection:
        seen = (await connection.execute(text(f"SELECT tenant_id FROM {table.name}"))).scalars().all()
    assert set(seen) == {ours.salon.tenant_id}


@every_table
async def test_their_rows_are_not_there_even_by_their_exact_keys(
    world: World, ours: Neighbour, theirs: Neighbour, table: Table
) -> None:
    keys = [column.name for column in table.primary_key]
    for row in await rows_of(world, theirs.salon.tenant_id, table):
        condition = " AND ".join(f"{name}::text = :{name}" for name in keys)
        asked = text(f"SELECT count(*) FROM {table.name} WHERE {condition}")
        async with inside(world.database, ours.salon.tenant_id) as connection:
            found = await connection.execute(asked, {name: str(row[name]) for name in keys})
            assert found.scalar_one() == 0


async def test_aggregates_and_joins_see_no_further(world: World, ours: Neighbour, theirs: Neighbour) -> None:
    asked = text(
        "SELECT count(DISTINCT e.tenant_id), min(e.tenant_id::text) FROM entries e "
        "JOIN customers c ON c.external_id = 'anna' LEFT JOIN lots l ON l.entry_id = e.id"
    )
    async with inside(world.database, ours.salon.tenant_id) as connection:
        assert (await connection.execute(asked)).one() == (1, str(ours.salon.tenant_id))
    assert theirs.customer_id != ours.customer_id


async def test_a_follower_of_logs_sees_how_far_they_reach_and_nothing_else(
    world: World, ours: Neighbour, theirs: Neighbour
) -> None:
    """F-39: a process asks about many logs at once: only those it names answer, with positions and cluster."""
    stranger = [one.salon.tenant_id for one in (ours, theirs)]
    for named in ([], stranger[:1], stranger):
        found = await read_last_positions(world.database, named)
        assert set(found) == set(named)
        assert all(found.values())
    places = text("SELECT tenant_id FROM tenant_directory")
    for named in ([], stranger[:1], stranger):
        shown = await world.database.ask_of_followed(named, places)
        assert {row.tenant_id for row in shown} == set(named)
    for table in TABLES:
        if table.name not in ("event_positions", "tenant_directory"):
            assert await world.database.ask_of_followed(stranger, text(f"SELECT 1 FROM {table.name}")) == []
    with pytest.raises(DBAPIError, match=r"read-only|permission denied"):
        await world.database.ask_of_followed(stranger, text("UPDATE event_positions SET last_position = 0"))


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


@every_table
async def test_a_row_for_them_is_refused(world: World, ours: Neighbour, theirs: Neighbour, table: Table) -> None:
    (row, *_) = await rows_of(world, theirs.salon.tenant_id, table)
    async with inside(world.database, ours.salon.tenant_id) as connection:
        with pytest.raises(ProgrammingError) as refused:
            await insert_as_json(connection, table, row)
    assert sqlstate(refused) == INSUFFICIENT_PRIVILEGE
    if "INSERT" in APP_RIGHTS[table.name]:
        assert "row-level security" in str(refused.value)


@every_table
async def test_an_update_without_any_condition_touches_only_our_rows(
    world: World, ours: Neighbour, theirs: Neighbour, table: Table
) -> None:
    changeable = _changeable_column(table)
    ours_before = await rows_of(world, ours.salon.tenant_id, table)
    theirs_before = await snapshot(world.database, theirs.salon.tenant_id)
    statement = text(f"UPDATE {table.name} SET {changeable} = {changeable}")
    async with inside(world.database, ours.salon.tenant_id) as connection:
        if "UPDATE" in APP_RIGHTS[table.name]:
            assert (await connection.execute(statement)).rowcount == len(ours_before)
        else:
            with pytest.raises(ProgrammingError) as refused:
                await connection.execute(statement)
            assert sqlstate(refused) == INSUFFICIENT_PRIVILEGE
    assert await snapshot(world.database, theirs.salon.tenant_id) == theirs_before


@every_table
async def test_our_rows_cannot_be_pushed_over_the_wall(
    world: World, ours: Neighbour, theirs: Neighbour, table: Table
) -> None:
    statement = text(f"UPDATE {table.name} SET tenant_id = :theirs")
    async with inside(world.database, ours.salon.tenant_id) as connection:
        with pytest.raises(ProgrammingError) as refused:
            await connection.execute(statement, {"theirs": theirs.salon.tenant_id})
    assert sqlstate(refused) == INSUFFICIENT_PRIVILEGE


@every_table
async def test_a_deletion_touches_only_our_rows_if_anything_may_be_deleted(
    world: World, ours: Neighbour, theirs: Neighbour, table: Table
) -> None:
    ours_before = await rows_of(world, ours.salon.tenant_id, table)
    async with inside(world.database, ours.salon.tenant_id) as connection:
        if "DELETE" in APP_RIGHTS[table.name]:
            assert (await connection.execute(text(f"DELETE FROM {table.name}"))).rowcount == len(ours_before)
        else:
            with pytest.raises(ProgrammingError) as refused:
                await connection.execute(text(f"DELETE FROM {table.name}"))
            assert sqlstate(refused) == INSUFFICIENT_PRIVILEGE
    assert await rows_of(world, theirs.salon.tenant_id, table)


@every_table
async def test_nobody_can_empty_a_table(world: World, ours: Neighbour, table: Table) -> None:
    """TRUNCATE knows no row-level security."""
    async with inside(world.database, ours.salon.tenant_id) as connection:
        with pytest.raises(ProgrammingError) as refused:
            await connection.execute(text(f"TRUNCATE {table.name} CASCADE"))
    assert sqlstate(refused) == INSUFFICIENT_PRIVILEGE


@pytest.mark.parametrize(("table", "column"), REFERENCES, ids=lambda part: getattr(part, "name", part))
async def test_our_rows_cannot_refer_to_theirs(
    world: World, ours: Neighbour, theirs: Neighbour, table: Table, column: str
) -> None:
    """Foreign keys look past row-level security, so they must lead through the tenant."""
    foreign = await _id_referred_to(world, theirs.salon.tenant_id, table, column)
    (row, *_) = await rows_of(world, ours.salon.tenant_id, table)
    attack: Awaitable[object]
    async with inside(world.database, ours.salon.tenant_id) as connection:
        if table.name == "accounts":
            # Every customer has one already, so a second one would be refused for that.
            attack = connection.execute(
                text(f"UPDATE accounts SET {column} = :foreign WHERE customer_id = CAST(:own AS uuid)"),
                {"foreign": foreign, "own": row["customer_id"]},
            )
        else:
            attack = insert_as_json(connection, table, _fresh(row) | _apart(table, row, ours) | {column: foreign})
        with pytest.raises(IntegrityError) as refused:
            await attack
    assert sqlstate(refused) == FOREIGN_KEY_VIOLATION


async def _id_referred_to(world: World, tenant_id: TenantId, table: Table, column: str) -> str:
    (reference,) = (key for key in table.foreign_keys if key.parent.name == column)
    (row, *_) = await rows_of(world, tenant_id, reference.column.table)
    return str(row["id"])


def _apart(table: Table, row: dict[str, Any], ours: Neighbour) -> dict[str, Any]:
    """Return what else must differ in a second row, where a reference may stand only once."""
    apart: dict[str, dict[str, Any]] = {
        "events": {"entry_id": None},
        "staff_sessions": {"sha256": str(uuid4()), "state_sha256": str(uuid4())},
        "redemptions": {"hold_id": str(uuid4())},
        "opening_balances": {"named_id": str(ours.customer_id)},
        "customer_identifiers": {"value": str(uuid4())},
        "customer_merges": {"source_id": row.get("target_id"), "target_id": row.get("source_id")},
        "gift_cards": {"code_hash": f"\\x{uuid4().hex * 2}"},
        "gift_card_entries": {"kind": "RETURNED", "hold_id": str(ours.card_hold_id), "expires_at": None},
        "gift_card_gifts": {"claimed_at": row.get("given_at"), "claimer_id": str(ours.customer_id)},
    }
    return apart.get(table.name, {})


def _fresh(row: dict[str, Any]) -> dict[str, Any]:
    """Return the same row with new values in each column in which two rows must differ."""
    fresh: dict[str, Any] = {
        "id": str(uuid4()),
        "external_id": str(uuid4()),
        "fingerprint": str(uuid4()),
        "cause_id": str(uuid4()),
        "sequence": 999,
        "number": 999,
        "generation": 99,
        "version": 999,
        "position": None,
    }
    return row | {name: value for name, value in fresh.items() if name in row}


def _changeable_column(table: Table) -> str:
    _, _, column = APP_RIGHTS[table.name].partition("UPDATE(")
    return column.partition(")")[0] or "tenant_id"


# ── what could tell one tenant about another ─────────────────────────────────────────────────────────────────────


async def test_the_same_external_ids_names_and_keys_work_in_both(
    world: World, ours: Neighbour, theirs: Neighbour
) -> None:
    """Nothing is unique across tenants, so nothing that is taken tells of somebody else."""
    same = {
        "customers": ("external_id",),
        "purchases": ("kind", "external_id"),
        "tiers": ("name_key", "min_points"),
        "catalog_items": ("kind", "external_id"),
        "idempotency_keys": ("key",),
        "programs": ("version",),
        "events": ("position",),
    }
    both = [await snapshot(world.database, one.salon.tenant_id) for one in (ours, theirs)]
    for table, columns in same.items():
        keys = [{tuple(orjson.loads(line)[name] for name in columns) for line in seen[table]} for seen in both]
        assert keys[0] & keys[1], table


async def test_a_purchase_of_theirs_is_new_here_and_stays_theirs(
    world: World, ours: Neighbour, theirs: Neighbour
) -> None:
    theirs_before = await snapshot(world.database, theirs.salon.tenant_id)
    await earn(world, theirs.salon, order("only-theirs", 700))
    recorded = await earn(world, ours.salon, order("only-theirs", 700))
    assert not recorded.replayed
    assert recorded.accrual is not None
    assert recorded.accrual.points == 7
    assert len((await snapshot(world.database, theirs.salon.tenant_id))["purchases"]) == (
        len(theirs_before["purchases"]) + 1
    )


@pytest.mark.parametrize(
    "bait",
    [
        "x'); SELECT set_config('app.tenant_id', '{theirs}', true); --",
        "x'; SET app.tenant_id = '{theirs}'; --",
        "{theirs}",
        "%(current_tenant)s :current_tenant $1 \\",
    ],
)
async def test_a_value_is_never_a_statement(world: World, ours: Neighbour, theirs: Neighbour, bait: str) -> None:
    poison = bait.format(theirs=theirs.salon.tenant_id) if "{theirs}" in bait else bait
    profile = CustomerProfile(poison, full_name=poison, category=poison)
    theirs_before = await snapshot(world.database, theirs.salon.tenant_id)
    recorded = await earn(world, ours.salon, order(poison, 100, customer=profile, location=poison))
    found = await find_customer(world, ours.salon.manager, CustomerKey(external_id=poison))
    assert found is not None
    assert (found.id, found.external_id, found.full_name) == (recorded.customer.id, poison, poison)
    assert await find_customer(world, theirs.salon.manager, CustomerKey(external_id=poison)) is None
    assert await snapshot(world.database, theirs.salon.tenant_id) == theirs_before


async def test_a_parameter_called_like_the_tenant_does_not_replace_it(
    world: World, ours: Neighbour, theirs: Neighbour
) -> None:
    async with world.database.tenant_transaction(ours.salon.tenant_id) as tx:
        asked = text("SELECT CAST(:current_tenant AS uuid)")
        row = await tx.row(asked, current_tenant=theirs.salon.tenant_id)
    assert row is not None
    assert row[0] == ours.salon.tenant_id


# ── the directory of credentials ─────────────────────────────────────────────────────────────────────────────────


async def test_the_directory_shows_nothing_without_a_credential(world: World, ours: Neighbour) -> None:
    async with inside(world.database, ours.salon.tenant_id) as connection:
        assert (await connection.execute(text("SELECT count(*) FROM token_directory"))).scalar_one() == 0
    async with world.database.engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM token_directory"))).scalar_one() == 0


async def test_a_credential_leads_to_its_tenant_only(world: World, ours: Neighbour, theirs: Neighbour) -> None:
    for one in (ours, theirs):
        assert await world.database.tenant_of_token(one.token_sha256) == (one.salon.tenant_id, one.token_id)
    assert await world.database.tenant_of_token("") is None
    assert await world.database.tenant_of_token("0" * 64) is None
    assert await world.database.tenant_of_token(f"{ours.token_sha256}' OR '1'='1") is None


async def test_no_credential_can_be_led_into_another_tenant(world: World, ours: Neighbour, theirs: Neighbour) -> None:
    statement = text("INSERT INTO token_directory (sha256, tenant_id, token_id) VALUES (:sha256, :tenant, :token)")
    async with inside(world.database, ours.salon.tenant_id) as connection:
        with pytest.raises(ProgrammingError) as refused:
            await connection.execute(
                statement, {"sha256": "1" * 64, "tenant": theirs.salon.tenant_id, "token": ours.token_id}
            )
    assert sqlstate(refused) == INSUFFICIENT_PRIVILEGE
    async with inside(world.database, ours.salon.tenant_id) as connection:
        with pytest.raises(IntegrityError) as taken:
            await connection.execute(
                statement, {"sha256": theirs.token_sha256, "tenant": ours.salon.tenant_id, "token": ours.token_id}
            )
    assert sqlstate(taken) == UNIQUE_VIOLATION
    for change in ("UPDATE token_directory SET token_id = token_id", "DELETE FROM token_directory"):
        async with inside(world.database, ours.salon.tenant_id) as connection:
            with pytest.raises(ProgrammingError):
                await connection.execute(text(change))


# ── without a tenant ─────────────────────────────────────────────────────────────────────────────────────────────


@every_table
async def test_without_a_tenant_every_read_fails_loudly(
    database_urls: DatabaseUrls, ours: Neighbour, table: Table
) -> None:
    """On a connection that never had a tenant, and on one that had."""
    database = Database(database_urls.app, pool_size=1, name="treue-tests-nobody")
    try:
        for expected in ("unrecognized configuration parameter", "invalid input syntax for type uuid"):
            with pytest.raises(DBAPIError, match=expected):
                async with database.transactions.transaction([]) as nobody:
                    await nobody.ask(text(f"SELECT * FROM {table.name}"), {})
            async with database.tenant_transaction(ours.salon.tenant_id) as tx:
                await tx.rows(text("SELECT 1"))
    finally:
        await database.close()


async def test_a_tenant_that_does_not_exist_is_empty(world: World) -> None:
    assert not any((await snapshot(world.database, TenantId(uuid4()))).values())


# ── one connection, many tenants ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def single(database_urls: DatabaseUrls) -> AsyncIterator[World]:
    """Provide a world behind a single connection."""
    database = Database(database_urls.app, pool_size=1, name="treue-tests-single")
    yield World(database)
    await database.close()


async def test_twenty_tenants_on_one_connection_never_mix(single: World, owner_world: World, ours: Neighbour) -> None:
    salons = [await new_salon(owner_world) for _ in range(20)]

    async def visit(number: int) -> tuple[int, int, set[UUID]]:
        salon, own = salons[number], order("order-1", (number + 1) * 100)
        recorded = await earn(single, salon, own)
        seen = set()
        for _ in range(3):
            async with inside(single.database, salon.tenant_id) as connection:
                seen |= set((await connection.execute(text("SELECT tenant_id FROM purchases"))).scalars())
        again = await earn(single, salon, own)
        assert again.replayed
        assert again.purchase.id == recorded.purchase.id
        return recorded.purchase.total.amount_minor, again.purchase.total.amount_minor, seen

    visits = await asyncio.gather(*(visit(number) for number in range(20)))
    assert visits == [
        ((number + 1) * 100, (number + 1) * 100, {salon.tenant_id}) for number, salon in enumerate(salons)
    ]
    assert ours.salon.tenant_id not in {tenant for _, _, seen in visits for tenant in seen}


async def test_a_pool_of_one_serves_fifty_at_once(single: World, ours: Neighbour) -> None:
    """No use case holds one connection while it waits for a second one."""
    recorded = await asyncio.gather(
        *(
            earn(single, ours.salon, order(f"crowd-{number}", 100, customer=f"guest-{number % 7}"))
            for number in range(50)
        )
    )
    assert {one.purchase.external_id for one in recorded} == {f"crowd-{number}" for number in range(50)}


async def _tenant_of_connection(database: Database) -> str | None:
    """Return the tenant that a statement finds on the only connection for transactions.

    The statement enters no tenant.
    """
    asked = text("SELECT nullif(current_setting('app.tenant_id', true), '')")
    async with database.transactions.transaction([]) as nobody:
        ((tenant,),) = (await nobody.ask(asked, {})).rows()
    return cast("str | None", tenant)


async def test_after_a_commit_the_connection_carries_no_tenant(single: World, ours: Neighbour) -> None:
    await earn(single, ours.salon, order("committed", 100))
    assert await _tenant_of_connection(single.database) is None


async def test_after_an_exception_the_connection_carries_no_tenant(single: World, ours: Neighbour) -> None:
    async def fail(statement: str) -> None:
        async with single.database.tenant_transaction(ours.salon.tenant_id) as tx:
            await tx.run(text(statement))
            raise RuntimeError

    for statement in ("SELECT 1", "SELECT 1/0"):
        with pytest.raises((RuntimeError, DBAPIError)):
            await fail(statement)
        assert await _tenant_of_connection(single.database) is None


async def test_after_a_cancellation_the_connection_carries_no_tenant(single: World, ours: Neighbour) -> None:
    async def sleep_in_the_database() -> None:
        async with single.database.tenant_transaction(ours.salon.tenant_id) as tx:
            await tx.run(text("SELECT pg_sleep(30)"))

    for _ in range(3):
        task = asyncio.create_task(sleep_in_the_database())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await _tenant_of_connection(single.database) is None


async def test_a_transaction_is_of_no_use_after_its_end(world: World, ours: Neighbour) -> None:
    async with world.database.tenant_transaction(ours.salon.tenant_id) as tx:
        await tx.rows(text("SELECT 1"))
    with pytest.raises(RuntimeError, match="closed"):
        await tx.rows(text("SELECT * FROM customers"))
