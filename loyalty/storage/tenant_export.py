"""Read all rows of a tenant, table by table, as JSON objects without secrets."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, bindparam, func, literal, select, tuple_
from sqlalchemy import text as sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

import loyalty.storage.tables  # noqa: F401 - declares the tables
from tenancy.reading import Reads
from tenancy.table import metadata, tenant_parameter

EXPORT_PAGE = 1_000
"""The number of rows that are read at once."""

SECRETS: Mapping[str, tuple[str, ...]] = {
    "api_tokens": ("secret_mark", "former_secret_mark"),
    "gift_cards": ("code_hash", "code_sealed"),
    "oidc_issuers": ("client_secret",),
    "staff_sessions": ("sha256", "state_sha256"),
}
"""Columns that are left out: hashes of secrets, client secrets, and the codes of gift cards, which are money."""

LEFT_OUT = frozenset({"token_directory", "tenant_directory"})
"""The directories, which are left out: hashes of secrets with their tenant, and the cluster of each tenant."""

EXPORTED = tuple(table.name for table in metadata.sorted_tables if table.name not in LEFT_OUT)
"""The tables of an export, in their order."""


class ExportPlace(NamedTuple):
    """The place in a table where an export continues: the key of the last row."""

    values: tuple[Any, ...]


class _Pages(NamedTuple):
    first: Select[Any]
    later: Select[Any] | None
    key: tuple[str, ...]


def _pages(table: Table) -> _Pages:
    key = [column for column in table.primary_key if column.name != "tenant_id"]
    shown: ColumnElement[Any] = func.to_jsonb(sql(table.name), type_=JSONB)
    if secrets := SECRETS.get(table.name):
        shown = shown.op("-", return_type=JSONB)(literal(list(secrets), postgresql.ARRAY(postgresql.TEXT)))
    first = (
        select(shown.label("row"), *(column.label(f"key_{column.name}") for column in key))
        .select_from(table)
        .where(table.c.tenant_id == tenant_parameter())
        .order_by(*key)
        .limit(EXPORT_PAGE)
    )
    if not key:
        return _Pages(first, None, ())
    beyond = tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in key))
    return _Pages(first, first.where(tuple_(*key) > beyond), tuple(column.name for column in key))


_PAGES = {name: _pages(metadata.tables[name]) for name in EXPORTED}


async def read_export_page(
    tx: Reads, table: str, after: ExportPlace | None
) -> tuple[Sequence[Mapping[str, Any]], ExportPlace | None]:
    """Return up to ``EXPORT_PAGE`` rows of a table in the order of its key, and the place of the next page.

    After the last row the place is None.
    """
    pages = _PAGES[table]
    if after is None:
        rows = await tx.rows(pages.first)
    elif pages.later is None:
        return [], None
    else:
        beyond = {f"after_{name}": value for name, value in zip(pages.key, after.values, strict=True)}
        rows = await tx.rows(pages.later, **beyond)
    place = ExportPlace(tuple(rows[-1][1:])) if len(rows) == EXPORT_PAGE else None
    return [row[0] for row in rows], place
