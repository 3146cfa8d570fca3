"""Declare a tenant's table: ``tenant_id`` leads every key, every reference and every index.

Only this module makes tables, so nobody can write a table without a wall by accident. A test reads the catalogue of a
migrated database and fails for a table without a wall.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.schema import SchemaItem
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(referred_table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    },
)

TENANT_PARAMETER = "current_tenant"
"""It differs from the name of the column: SQLAlchemy would take that for a value to set."""

FILLED_LATER = "filled_later"
"""Marks a column that the rows given to ``insert_rows`` do not have. The database computes it at the insertion (see
``computed`` there), or a later statement fills it."""

KEY_TEXT = Text(collation="C")
"""Text for look-ups, in byte order: so ``^@`` (prefix) and keyset pages can use an index under RLS."""

INSTANT = DateTime(timezone=True)


def tenant_table(name: str, *items: SchemaItem, key: Sequence[str] = ("id",), of_tenants: bool = False) -> Table:
    """Declare a table of one tenant's rows.

    ``key`` names the columns after ``tenant_id`` in the primary key; it is empty for one row per tenant. ``of_tenants``
    makes a foreign key to the tenant itself. A table with a reference to another walled table needs no such key.
    """
    constraints: list[SchemaItem] = [PrimaryKeyConstraint("tenant_id", *key)]
    if of_tenants:
        constraints.append(ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]))
    return Table(name, metadata, Column("tenant_id", Uuid, nullable=False), *items, *constraints)


def identifier(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a UUID column. Ids are UUIDv7; the application makes them, never the database."""
    return Column(name, Uuid, nullable=nullable)


def points(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column of whole points, signed, from -(2^53 - 1) to 2^53 - 1."""
    return Column(name, BigInteger, nullable=nullable)


def amount(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column of money in minor units of the row's currency."""
    return Column(name, BigInteger, nullable=nullable)


def key_text(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column of text in byte order, for ids of other systems and for search."""
    return Column(name, KEY_TEXT, nullable=nullable)


def text_column(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column of text that is only shown."""
    return Column(name, Text, nullable=nullable)


def instant(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column of a point in time, stored with its zone."""
    return Column(name, INSTANT, nullable=nullable)


def digest(name: str) -> Column[Any]:
    """Return a column of a SHA-256, as 32 bytes."""
    return Column(name, LargeBinary, nullable=False)


def document(name: str, *, nullable: bool = False) -> Column[Any]:
    """Return a column of a JSON document that is read whole and never searched."""
    return Column(name, JSONB(none_as_null=True), nullable=nullable)


def references(column_name: str, table: str) -> ForeignKeyConstraint:
    """Return a foreign key that cannot point into another tenant."""
    return ForeignKeyConstraint(["tenant_id", column_name], [f"{table}.tenant_id", f"{table}.id"])


def unique(*columns: str, name: str | None = None) -> UniqueConstraint:
    """Return a constraint: the columns are unique within a tenant."""
    return UniqueConstraint("tenant_id", *columns, name=name)


def index(name: str, *columns: Any, where: ColumnElement[bool] | TextClause | None = None, **options: Any) -> Index:
    """Return an index within a tenant; ``columns`` follow ``tenant_id``. ``where`` selects the rows that are in it."""
    if where is not None:
        options["postgresql_where"] = where
    return Index(name, "tenant_id", *columns, **options)


def due_index(name: str, at: str, *, key: str | None = "id", where: str | None = None) -> Index:
    """Return an index by time over all tenants: the relay asks which tenants have due work.

    Only these indexes do not begin with the tenant. ``where`` selects the rows that wait for their time; without it
    these are the rows that have a time. ``key`` comes last, so a statement of one tenant that uses this index
    gets its rows in the order of time and then of ``key``. It is None for a table
    with one row per tenant.
    """
    columns = (at, "tenant_id") if key is None else (at, "tenant_id", key)
    return Index(name, *columns, postgresql_where=text(where or f"{at} IS NOT NULL"))


def one_of(column_name: str, values: Sequence[str]) -> CheckConstraint:
    """Return a check for a closed set of values. The column is text: an enum type cannot use an index under RLS."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column_name} IN ({listed})", name=column_name)


def check(name: str, condition: str) -> CheckConstraint:
    """Return a constraint: the database refuses a row for which the condition is false."""
    return CheckConstraint(condition, name=name)


def tenant_parameter() -> ColumnElement[Any]:
    """Return the tenant of the running transaction as a bound parameter: the second wall beside the policy."""
    return bindparam(TENANT_PARAMETER, type_=Uuid)


def _collate_as_stored(value: ColumnElement[Any], stored: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a value with the collation of the column that stores it; a value of a parameter has the database's."""
    collation = stored.type.collation if isinstance(stored.type, Text) else None
    return value if collation is None else value.collate(collation)


def among(value: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Compare a value with an array parameter. The text of the statement is the same for one value and for 500."""
    kind = Text() if isinstance(value.type, Text) else value.type
    return value == any_(bindparam(parameter, type_=postgresql.ARRAY(kind)))


def among_these(value: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Compare a text with a fixed list of values."""
    return value == any_(literal(list(values), postgresql.ARRAY(Text())))


def record_set(parameter: str, columns: Sequence[tuple[str, TypeEngine[Any]]]) -> TableValuedAlias:
    """Return the rows of one JSON parameter. The text of the statement is the same for one row and for a thousand."""
    typed = [column(name, Text() if isinstance(kind, Text) else kind) for name, kind in columns]
    return (
        func.jsonb_to_recordset(bindparam(parameter, type_=JSONB))
        .table_valued(*typed, name=parameter)
        .render_derived(with_types=True)
    )


def encode_bytea(value: bytes) -> str:
    """Encode bytes for a JSON text that PostgreSQL reads, such as the parameter of ``record_set``."""
    return f"\\x{value.hex()}"


def rows_parameter(table: Table, parameter: str, columns: Sequence[str] | None = None) -> TableValuedAlias:
    """Return a ``record_set`` of rows of a table, whose columns have the types of the table's columns.

    It has the named ``columns``. Without them it has all that a new row brings: not ``tenant_id``, no column marked
    ``FILLED_LATER``, and no column for which the database has a default.
    """
    names = columns or [
        item.name
        for item in table.c
        if item.name != "tenant_id" and item.server_default is None and not item.info.get(FILLED_LATER)
    ]
    return record_set(parameter, [(name, table.c[name].type) for name in names])


def insert_rows(
    table: Table,
    parameter: str,
    *,
    ordered_by: str | None = None,
    computed: Mapping[str, Callable[[Any], ColumnElement[Any]]] | None = None,
) -> postgresql.Insert:
    """Return a statement that inserts the rows of one JSON parameter under the running transaction's tenant.

    The rows have the columns of ``rows_parameter``; ``ordered_by`` names the one by which they are sorted. They are
    sorted as an index of the table sorts them, by the collation of its column, so that a statement that locks rows of
    the table in the order of this column locks them in the same order. ``computed`` has, by name, columns that the rows
    do not have: each function gets the columns of a row, and returns the expression with which the database computes
    the value.
    """
    rows = rows_parameter(table, parameter)
    made = {name: compute(rows.c) for name, compute in (computed or {}).items()}
    source: Select[Any] = select(tenant_parameter(), *rows.c, *made.values())
    if ordered_by:
        source = source.order_by(_collate_as_stored(rows.c[ordered_by], table.c[ordered_by]))
    return postgresql.insert(table).from_select(["tenant_id", *(item.name for item in rows.c), *made], source)
