"""What comes through the doors is what SQLAlchemy's own way brings, to the type of every value."""

import importlib
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Delete,
    Insert,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    SmallInteger,
    Text,
    Update,
    Uuid,
    bindparam,
    func,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import InternalError
from sqlalchemy.ext.asyncio import AsyncConnection

import loyalty.storage.tables  # noqa: F401 - declares the tables
from loyalty.rules.money import Money
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.world import World
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tenancy.statements import compile_statement
from tenancy.table import insert_rows, metadata, tenant_parameter
from tests.fixtures.entering import enter_tenant
from tests.fixtures.snapshots import TENANT_TABLES
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import earn, give, one_point_per_euro, order

INSTANT = DateTime(timezone=True)
KATHMANDU = timezone(timedelta(hours=5, minutes=45))


class Colour(StrEnum):
    """Values of the product are often texts with names."""

    RED = "RED"


VALUES: list[tuple[Any, list[Any]]] = [
    (Uuid(), [uuid4(), UUID(int=0)]),
    (Text(), ["", "ä€𝄞 \\ ' \" { } , \n\t", "NULL", "null", "x" * 10_000, Colour.RED]),
    (Text(collation="C"), ["Ž", "a\\b"]),
    (BigInteger(), [0, -1, 2**53 - 1, -(2**63), 2**63 - 1]),
    (Integer(), [0, -(2**31), 2**31 - 1]),
    (SmallInteger(), [0, -7]),
    (Boolean(), [True, False]),
    (INSTANT, [datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)]),
    (INSTANT, [datetime(2026, 10, 25, 3, 0, tzinfo=KATHMANDU)]),
    (Date(), [date(1, 1, 1), date(2026, 2, 28), date(9999, 12, 31)]),
    (JSONB(), [{"a": [1, "two", None, {"b": True}], "ü": 1.5}, [], {}, "text", 2**53, False]),
    (JSONB(none_as_null=True), [{"nested": {"deep": [1, 2, 3]}}]),
    (LargeBinary(), [b"", bytes(range(256)), b"\\x"]),
    (Numeric(), [Decimal(0), Decimal("-12345678901234567890.123456789"), Decimal("1E+20")]),
    (ARRAY(Text()), [[], ["", "a,b", '"', "\\", "NULL", "null", "{}"], ["x", None]]),
    (ARRAY(Uuid()), [[], [uuid4(), uuid4()]]),
    (ARRAY(BigInteger()), [[], [1, -1, 2**40]]),
    (ARRAY(Integer()), [[3, 2, 1]]),
]
CASES = [
    (kind, value)
    for kind, values in VALUES
    for value in [*values, None]
    # SQLAlchemy itself does not know what an untyped NULL is when it expects a number.
    if not (value is None and isinstance(kind, Numeric))
]


@pytest.fixture
async def database(database_urls: DatabaseUrls) -> AsyncIterator[Database]:
    """Provide both doors to one database."""
    database = Database(database_urls.app, pool_size=2, read_connections=1)
    yield database
    await database.close()


@asynccontextmanager
async def as_sqlalchemy(database: Database, salon: Salon) -> AsyncIterator[AsyncConnection]:
    """Yield a connection inside the salon on which SQLAlchemy itself sends statements and reads rows."""
    async with database.engine.connect() as connection:
        await enter_tenant(connection, salon.tenant_id)
        yield connection


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same type, with everything inside."""
    kind: type[Any] = type(other)
    if type(one) is not kind:
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, datetime):
        return bool(one == other and one.utcoffset() == other.utcoffset())
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def test_every_type_of_a_column_is_compared() -> None:
    used = {type(column.type) for table in metadata.sorted_tables for column in table.c}
    assert used <= {type(kind) for kind, _ in VALUES}
    elements = {
        type(column.type.item_type)
        for table in metadata.sorted_tables
        for column in table.c
        if isinstance(column.type, ARRAY)
    }
    assert elements <= {type(kind.item_type) for kind, _ in VALUES if isinstance(kind, ARRAY)}


async def test_values_of_every_type_come_back_as_sqlalchemy_brings_them(database: Database, salon: Salon) -> None:
    reader = database.reading(salon.tenant_id)
    statements: dict[Any, Select[Any]] = {}
    async with as_sqlalchemy(database, salon) as theirs, database.tenant_transaction(salon.tenant_id) as tx:
        for kind, value in CASES:
            statement = statements.setdefault(kind, select(bindparam("value", type_=kind).label("value")))
            expected = (await theirs.execute(statement, {"value": value})).one()
            for read in (await reader.row(statement, value=value), await tx.row(statement, value=value)):
                assert read is not None
                assert same(read.value, expected.value), (kind, value, read.value, expected.value)


async def test_results_of_functions_have_the_types_that_sqlalchemy_gives(database: Database, salon: Salon) -> None:
    """Sums of bigints are numeric, counts are bigints, and gathered rows are arrays or JSON."""
    one = literal_column("1", BigInteger)
    statement = select(
        func.sum(one).label("sum"),
        func.count().label("count"),
        func.array_agg(one).label("listed"),
        type_coerce(func.jsonb_agg(one), JSONB).label("gathered"),
        func.now().label("now"),
        func.date_trunc("day", func.now()).label("day"),
        (literal_column("date '2026-02-28'", Date) + 1).label("tomorrow"),
        func.avg(one).label("average"),
        func.bool_and(literal_column("true", Boolean)).label("all"),
        literal_column("1.5::float8").label("float"),
        literal_column("interval '1 day 2 hours'").label("interval"),
    )
    read = await database.reading(salon.tenant_id).row(statement)
    async with as_sqlalchemy(database, salon) as theirs:
        expected = (await theirs.execute(statement)).one()
    assert read is not None
    assert read._fields == tuple(expected._fields)
    for name, one_value, other in zip(read._fields, read, expected, strict=True):
        assert type(one_value) is type(other), name
        assert name in {"now", "day"} or same(one_value, other), name


async def test_rows_of_every_table_come_back_as_sqlalchemy_brings_them(
    database: Database, world: World, salon: Salon
) -> None:
    """All columns of all tables, of a tenant in which something has happened."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order("order-1", 5000, customer="customer-1"))
    await give(world, salon, 5, "bonus", customer="customer-1")
    reader, filled = database.reading(salon.tenant_id), 0
    for table in metadata.sorted_tables:
        if table.name not in TENANT_TABLES:
            continue
        statement = select(*table.c).where(table.c.tenant_id == tenant_parameter()).order_by(*table.primary_key)
        read = await reader.rows(statement)
        async with as_sqlalchemy(database, salon) as theirs:
            expected = (await theirs.execute(statement, {"current_tenant": salon.tenant_id})).all()
        assert len(read) == len(expected)
        assert all(same(tuple(one), tuple(other)) for one, other in zip(read, expected, strict=True)), table.name
        filled += bool(read)
    assert filled > 10


async def test_a_value_that_is_not_of_its_type_is_refused_as_by_sqlalchemy(database: Database, salon: Salon) -> None:
    """Nothing is guessed from its text: the type of a parameter is that of the statement."""
    statement = select(bindparam("value", type_=BigInteger).label("value"))
    assert (await database.reading(salon.tenant_id).rows(statement, value=7))[0].value == 7
    with pytest.raises(Exception, match="invalid input syntax for type bigint"):
        await database.reading(salon.tenant_id).rows(statement, value="seven")
    with pytest.raises(Exception, match="cannot adapt type"):
        await database.reading(salon.tenant_id).rows(statement, value=Money(1, "EUR").__class__)


def test_every_statement_has_one_text() -> None:
    """Statements made at import can be prepared once, whatever they are asked with."""
    count = 0
    for path in sorted([*Path("loyalty/storage").glob("*.py"), *Path("loyalty/ledger").glob("**/*.py")]):
        module = importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
        for statement in vars(module).values():
            if isinstance(statement, Select | Insert | Update | Delete):
                compile_statement(statement)
                count += 1
    assert count > 150


def test_a_text_that_depends_on_its_values_is_refused() -> None:
    with pytest.raises(ValueError, match="any_"):
        compile_statement(select(literal_column("1")).where(literal_column("1").in_([1, 2])))


def test_rows_are_written_in_the_order_in_which_the_table_is_locked() -> None:
    """A database may sort texts by a language, and this column sorts them byte by byte: two orders would deadlock."""
    customers = metadata.tables["customers"]
    written = compile_statement(insert_rows(customers, "customers", ordered_by="external_id")).text
    stored = customers.c.external_id.type
    assert isinstance(stored, Text)
    assert stored.collation == "C"
    assert written.endswith(b'external_id COLLATE "C"')
    assert compile_statement(insert_rows(customers, "customers", ordered_by="id")).text.endswith(b".id")


async def test_a_statement_that_locks_cannot_be_read_through_the_door(database: Database, salon: Salon) -> None:
    programs = metadata.tables["programs"]
    locking = select(programs.c.version).where(programs.c.tenant_id == tenant_parameter()).with_for_update()
    with pytest.raises(InternalError, match="read-only transaction"):
        await database.reading(salon.tenant_id).rows(locking)
