"""Copy a tenant from one cluster to another, as the owner of the tables in both clusters.

Forced RLS holds for the owner as well, so a copy reads and writes the rows of one tenant only. PostgreSQL refuses COPY
into a table with RLS. So the rows go by COPY (binary form) into a temporary table, and from there into their table. A
copy is one transaction: it is complete, or it does not exist.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from loyalty.rules.ids import TenantId
from tenancy.connection import NETWORK_OPTIONS
from tenancy.database import HOME
from tenancy.elsewhere import MOVE_LOCKS
from tenancy.platform_tables import platform_metadata, platform_tenants
from tenancy.policies import TENANT_SETTING
from tenancy.table import metadata
from tenancy.tables import ARRIVING, ELSEWHERE, MOVED, tenant_directory, tenants, token_directory

STOP_WAIT_MS = 5_000
"""How long a move waits for the tenant's running transactions. Transactions that begin meanwhile are refused."""

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_SESSION = r"-c timezone=UTC -c datestyle=ISO -c default_transaction_isolation=repeatable\ read"
_ARRIVED = sql.Identifier("arrived")
_NAME_OF_LOCK = sql.SQL("{}, hashtext(%s)").format(sql.Literal(MOVE_LOCKS))


class CopiedTable(NamedTuple):
    """A table whose rows a move copies, with the columns to copy."""

    name: str
    columns: Sequence[str]


class Fill(NamedTuple):
    """The number of a tenant's rows in a table, and the sum of the hashes of these rows."""

    rows: int
    digest: int


class TenantOpen(Exception):
    """The tenant can be used in the target cluster; a copy would overwrite it."""


class TenantBusy(Exception):
    """A transaction of the tenant, or another move of it, runs longer than a move waits."""


@cache
def list_copied_tables() -> Sequence[CopiedTable]:
    """Return the tables to copy, each after the tables that it refers to. The directories are not among them."""
    return [
        CopiedTable(table.name, [column.name for column in table.c if column.computed is None])
        for table in metadata.sorted_tables
        if table not in (tenant_directory, token_directory)
    ]


_NOT_COPIED = {tenant_directory.name, token_directory.name, *platform_metadata.tables}
_DIRECTORIES = [
    CopiedTable(table.name, [column.name for column in table.c]) for table in (token_directory, platform_tenants)
]
"""Tables that lead to a tenant: by credentials, and by its id for the platform. A move copies, but never deletes."""


@asynccontextmanager
async def connect_owner(url: str) -> AsyncIterator[Connection]:
    """Open a connection for a copy. Its statements have no time limit."""
    network: dict[str, Any] = {**NETWORK_OPTIONS, "application_name": "treue-move", "options": _SESSION}
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, **network) as connection:
        yield connection


@asynccontextmanager
async def stop_writing(source: Connection, tenant_id: TenantId) -> AsyncIterator[None]:
    """Stop all writing in the tenant during the block: a transaction of the tenant fails with TenantElsewhere.

    The lock belongs to this connection, so close the old copy on it, too. If the connection is lost, the lock is lost,
    and nothing is closed. Raises TenantBusy.
    """
    await source.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(STOP_WAIT_MS)))
    try:
        await source.execute(sql.SQL("SELECT pg_advisory_lock({})").format(_NAME_OF_LOCK), [str(tenant_id)])
    except psycopg.errors.LockNotAvailable as busy:
        raise TenantBusy from busy
    try:
        yield
    finally:
        if not source.closed:
            await source.execute(sql.SQL("SELECT pg_advisory_unlock({})").format(_NAME_OF_LOCK), [str(tenant_id)])


@asynccontextmanager
async def enter_tenant(connection: Connection, tenant_id: TenantId) -> AsyncIterator[None]:
    """Open a transaction inside a tenant."""
    async with connection.transaction():
        await connection.execute("SELECT set_config(%s, %s, true)", [TENANT_SETTING, str(tenant_id)])
        yield


async def copy_tenant(source: Connection, target: Connection, tenant_id: TenantId) -> int:
    """Copy all rows of a tenant to the target; returns how many rows. A closed copy in the target is replaced.

    The new copy is ARRIVING: nobody may use it. Raises TenantOpen if the tenant can be used in the target.
    """
    copied = 0
    async with enter_tenant(source, tenant_id), enter_tenant(target, tenant_id):
        await _refuse_open_tenant(target, tenant_id)
        await _delete_rows(target, tenant_id, keep_tenant=False)
        for table in list_copied_tables():
            await _fetch(source, target, table, tenant_id)
            if table.name == tenants.name:
                await target.execute(sql.SQL("UPDATE {} SET state = %s").format(_ARRIVED), [ARRIVING])
            copied += await _keep_arrived(target, table)
        for table in _DIRECTORIES:
            await _fetch(source, target, table, tenant_id)
            await _keep_arrived(target, table, known_stay=True)
    return copied


async def has_known_tables(connection: Connection) -> bool:
    """Return whether a cluster has exactly the tables and columns of tenants that this release copies.

    During an upgrade of the service a cluster may have newer tables, which this command would not copy.
    """
    found = await connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND is_generated = 'NEVER'"
    )
    columns = set(await found.fetchall())
    of_tenants = {table for table, column in columns if column == tenants.c.tenant_id.name} - _NOT_COPIED
    known = {(table.name, column) for table in list_copied_tables() for column in table.columns}
    return {(table, column) for table, column in columns if table in of_tenants} == known


async def find_differing_tables(source: Connection, target: Connection, tenant_id: TenantId) -> list[str]:
    """Return the tables whose rows differ between the two clusters. The tenant's state is not compared."""
    here, there = await _read_fills(source, tenant_id), await _read_fills(target, tenant_id)
    return [name for name, fill in here.items() if there[name] != fill]


async def set_state(connection: Connection, tenant_id: TenantId, before: str, after: str) -> bool:
    """Change the state of the tenant's row from ``before`` to ``after``; False if it has another state."""
    async with enter_tenant(connection, tenant_id):
        done = await connection.execute(
            "UPDATE tenants SET state = %s WHERE tenant_id = %s AND state = %s", [after, tenant_id, before]
        )
    return done.rowcount == 1


async def read_state(connection: Connection, tenant_id: TenantId) -> str | None:
    """Return the state of the tenant's row in a cluster; None if there is no row."""
    async with enter_tenant(connection, tenant_id):
        row = await (await connection.execute("SELECT state FROM tenants WHERE tenant_id = %s", [tenant_id])).fetchone()
    return None if row is None else str(row[0])


async def has_unpositioned_events(connection: Connection, tenant_id: TenantId) -> bool:
    """Tell whether an event of the tenant waits for its position."""
    async with enter_tenant(connection, tenant_id):
        found = await connection.execute(
            "SELECT 1 FROM events WHERE tenant_id = %s AND position IS NULL LIMIT 1", [tenant_id]
        )
        return await found.fetchone() is not None


async def read_place(home: Connection, tenant_id: TenantId) -> str:
    """Return the cluster where a tenant lives, from the directory of tenants."""
    async with enter_tenant(home, tenant_id):
        found = await home.execute("SELECT cluster FROM tenant_directory WHERE tenant_id = %s", [tenant_id])
        row = await found.fetchone()
    return HOME if row is None else str(row[0])


async def point_directory(home: Connection, tenant_id: TenantId, cluster: str) -> None:
    """Write into the directory of tenants that a tenant lives in another cluster."""
    async with enter_tenant(home, tenant_id):
        await home.execute(
            "INSERT INTO tenant_directory (tenant_id, cluster) VALUES (%s, %s) "
            "ON CONFLICT (tenant_id) DO UPDATE SET cluster = excluded.cluster",
            [tenant_id, cluster],
        )


async def delete_copy(connection: Connection, tenant_id: TenantId, state: str) -> int | None:
    """Delete the rows of a closed copy in a state, ARRIVING or MOVED; returns how many. None if no copy has that state.

    The tenant's own row stays, in the state MOVED: it refuses a process that still remembers the old cluster.
    """
    async with enter_tenant(connection, tenant_id):
        found = await connection.execute(
            "SELECT 1 FROM tenants WHERE tenant_id = %s AND state = %s FOR UPDATE", [tenant_id, state]
        )
        if await found.fetchone() is None:
            return None
        deleted = await _delete_rows(connection, tenant_id, keep_tenant=True)
        await connection.execute("UPDATE tenants SET state = %s WHERE tenant_id = %s", [MOVED, tenant_id])
    return deleted


async def _refuse_open_tenant(connection: Connection, tenant_id: TenantId) -> None:
    """Raise TenantOpen if the tenant can be used in this cluster."""
    found = await connection.execute(
        "SELECT 1 FROM tenants WHERE tenant_id = %s AND NOT state = ANY (%s)", [tenant_id, list(ELSEWHERE)]
    )
    if await found.fetchone() is not None:
        raise TenantOpen


async def _delete_rows(connection: Connection, tenant_id: TenantId, *, keep_tenant: bool) -> int:
    """Delete all rows of a tenant, and return how many. With ``keep_tenant`` the tenant's own row stays."""
    deleted = 0
    for table in reversed(list_copied_tables()):
        if not (keep_tenant and table.name == tenants.name):
            statement = sql.SQL("DELETE FROM {} WHERE tenant_id = %s").format(sql.Identifier(table.name))
            deleted += (await connection.execute(statement, [tenant_id])).rowcount
    return deleted


async def _fetch(source: Connection, target: Connection, table: CopiedTable, tenant_id: TenantId) -> None:
    """Copy the tenant's rows of a table into a temporary table of the target's transaction."""
    named = {
        "table": sql.Identifier(table.name),
        "arrived": _ARRIVED,
        "columns": _list_names(table.columns),
        "tenant": sql.Literal(tenant_id),
    }
    await target.execute(sql.SQL("DROP TABLE IF EXISTS pg_temp.{arrived}").format(**named))
    await target.execute(
        sql.SQL("CREATE TEMPORARY TABLE {arrived} ON COMMIT DROP AS SELECT {columns} FROM {table} LIMIT 0").format(
            **named
        )
    )
    out = sql.SQL("COPY (SELECT {columns} FROM {table} WHERE tenant_id = {tenant}) TO STDOUT (FORMAT binary)")
    into = sql.SQL("COPY {arrived} ({columns}) FROM STDIN (FORMAT binary)")
    async with (
        source.cursor().copy(out.format(**named)) as leaving,
        target.cursor().copy(into.format(**named)) as arriving,
    ):
        async for block in leaving:
            await arriving.write(block)


async def _keep_arrived(target: Connection, table: CopiedTable, *, known_stay: bool = False) -> int:
    """Insert the temporary table's rows into their table; returns how many. With ``known_stay`` existing rows stay."""
    statement = sql.SQL("INSERT INTO {table} ({columns}) SELECT {columns} FROM {arrived}{conflict}").format(
        table=sql.Identifier(table.name),
        columns=_list_names(table.columns),
        arrived=_ARRIVED,
        conflict=sql.SQL(" ON CONFLICT DO NOTHING" if known_stay else ""),
    )
    return (await target.execute(statement)).rowcount


async def _read_fills(connection: Connection, tenant_id: TenantId) -> Mapping[str, Fill]:
    """Return, for each table, the number of a tenant's rows and the sum of their hashes.

    The tenant's state is not part of a hash: a move changes it.
    """
    fills: dict[str, Fill] = {}
    async with enter_tenant(connection, tenant_id):
        for table in list_copied_tables():
            columns = [name for name in table.columns if (table.name, name) != (tenants.name, tenants.c.state.name)]
            found = await connection.execute(
                sql.SQL(
                    "SELECT count(*), coalesce(sum(hashtextextended(ROW({columns})::text, 0)::numeric), 0) "
                    "FROM {table} WHERE tenant_id = {tenant}"
                ).format(columns=_list_names(columns), table=sql.Identifier(table.name), tenant=sql.Literal(tenant_id))
            )
            row = await found.fetchone()
            fills[table.name] = Fill(*row) if row else Fill(0, 0)
    return fills


def _list_names(names: Sequence[str]) -> sql.Composed:
    """Return names of columns as SQL, quoted and with commas between them."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
