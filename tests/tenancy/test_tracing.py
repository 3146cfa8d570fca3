"""What a statement is called in a trace: what it does to which tables, and never a value."""

from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)

from tenancy.tracing import MAX_SUMMARY_LENGTH, summarize

ALL = MetaData()
CUSTOMERS = Table("customers", ALL, Column("id", Integer), Column("name", Text))
ENTRIES = Table("entries", ALL, Column("id", Integer), Column("customer_id", Integer))
_WRITTEN = insert(ENTRIES).values(id=bindparam("id")).returning(ENTRIES.c.id).cte("written")
_MANY = [Table(f"table_number_{number}", ALL, Column("id", Integer)) for number in range(30)]
_MANY_OF_ONE_LENGTH = [Table(f"table_{number:08}", ALL, Column("id", Integer)) for number in range(30)]


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        (select(CUSTOMERS.c.id).where(CUSTOMERS.c.name == literal("Anna")), "SELECT customers"),
        (select(CUSTOMERS.c.id).where(CUSTOMERS.c.name == literal_column("'Anna'")), "SELECT customers"),
        (select(CUSTOMERS.alias("c").c.id), "SELECT customers"),
        (select(CUSTOMERS.c.id).join(ENTRIES, ENTRIES.c.customer_id == CUSTOMERS.c.id), "SELECT entries customers"),
        (select(select(ENTRIES.c.id).scalar_subquery()), "SELECT entries"),
        (select(literal("Anna")), "SELECT"),
        (update(CUSTOMERS).values(name="Anna").where(CUSTOMERS.c.id == 5), "UPDATE customers"),
        (select(_WRITTEN.c.id, CUSTOMERS.c.id), "INSERT entries SELECT customers"),
        (text("WITH x AS (SELECT 'Anna' FROM a FOR UPDATE SKIP LOCKED) UPDATE events SET x = 1"), "UPDATE events"),
        (text("INSERT INTO jobs (id) VALUES (1) ON CONFLICT DO UPDATE SET id = 2"), "INSERT jobs"),
        (text("COMMIT"), "COMMIT"),
        (None, "SQL"),
    ],
)
def test_a_statement_is_called_by_what_it_does_to_which_tables(statement: Any, summary: str) -> None:
    assert summarize(statement) == summary


@pytest.mark.parametrize("tables", [_MANY, _MANY_OF_ONE_LENGTH])
def test_a_summary_ends_with_a_whole_name(tables: list[Table]) -> None:
    summary = summarize(select(*(one.c.id for one in tables)))
    assert len(summary) <= MAX_SUMMARY_LENGTH
    assert set(summary.split()[1:]) < {one.name for one in tables}
