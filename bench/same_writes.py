"""Make the same writes as `purchaseRecord`, without Treue: a script for pgbench, and rows for COPY.

Both are made from the rows that a purchase has just left in the database, so they have the same columns, indexes,
checks and foreign keys, and as many bytes. The script runs as the application role, so the policies count too. It may
make its ids from numbers, decides nothing and proves nothing: it is the least that a program without Treue would send.
"""

import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import TupleRow, dict_row
from sqlalchemy import make_url

from bench.service import Service, prepare_tenant, record_orders
from loyalty.rules.ids import TenantId

INSERTED = ("purchases", "purchase_facts", "accruals", "entries", "lots", "events")
"""The tables that get a row from each purchase, in the order of their references."""
UPDATED = ("accounts",)
"""The tables in which each purchase changes a row."""
LOCKED = ("customers",)
"""The tables in which each purchase locks a row that it does not change."""
NUMBERED = "lpad(to_hex({}::bigint), 32, '0')::uuid"
"""SQL for an id that is made from a number."""
_COUNTED_TABLES = (
    "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
    "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attname = 'tenant_id' ORDER BY relname"
)
_COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
    "AND attgenerated = '' ORDER BY attnum"
)

Expressions = Mapping[str, str]
"""SQL expressions, by the text of the value that they replace, or by the name of the column."""


class Peer(NamedTuple):
    """A tenant for the writes without Treue, in the same tables. The ids of its customers are their numbers."""

    tenant_id: TenantId
    customers: int
    rows: Mapping[str, Mapping[str, str | None]]
    """The row of each table that a purchase has left, by column, as text."""


async def prepare_peer(service: Service, customers: int) -> Peer:
    """Make the tenant, and learn from the second purchase of a customer which rows a purchase leaves."""
    actor = await prepare_tenant(service.urls, service.world)
    for first in (1, 2):
        await record_orders(service.world, actor, first, first, customer="the template")
    with connect_as_admin(service) as admin:
        rows = {table: _read_newest(admin, table, actor.tenant_id) for table in (*LOCKED, *UPDATED, *INSERTED)}
        peer = Peer(actor.tenant_id, customers, rows)
        for table, key in (("customers", "id"), ("accounts", "customer_id")):
            _copy_customers(admin, peer, table, key)
    return peer


def connect_as_admin(service: Service) -> psycopg.Connection[TupleRow]:
    """Return a connection that no policy binds. COPY is refused on a connection with policies."""
    database = make_url(service.urls.app).database
    return psycopg.connect(service.admin_url, dbname=database, autocommit=True)


def write_script(peer: Peer, path: Path, *, pipelined: bool) -> Path:
    """Write the script: separate statements, or one pipeline. It needs the variables of `name_variables`."""
    statements = [
        "BEGIN",
        f"SELECT set_config('app.tenant_id', '{peer.tenant_id}', true)",
        _lock_customer(peer),
        _lock_account(peer),
        *(_insert(peer, table) for table in INSERTED),
        _update_account(peer),
        "COMMIT",
    ]
    lines = [f"{statement};" for statement in statements]
    if pipelined:
        lines = [r"\startpipeline", *lines, r"\endpipeline"]
    numbers = [r"\set i :i + 1", r"\set id :base + :i * :clients + :client_id", r"\set c random(1, :customers)"]
    path.write_text("\n".join([*numbers, *lines, ""]), "utf-8")
    return path


def name_variables(*, base: int, clients: int, customers: int) -> list[str]:
    """Return the arguments of pgbench for a run of the script. ``base`` is above every id of the runs before."""
    values = {"i": 0, "base": base, "clients": clients, "customers": customers}
    return [f"--define={name}={value}" for name, value in values.items()]


def count_last_writes(service: Service, tenant_id: TenantId) -> dict[str, int]:
    """Return how many rows of each table the transaction of a tenant's newest entry wrote.

    The relay gives events their position afterwards, so events are found by their entry.
    """
    with connect_as_admin(service) as admin:
        entry, written_by = admin.execute(
            "SELECT id, xmin::text FROM entries WHERE tenant_id = %s ORDER BY xmin::text::bigint DESC LIMIT 1",
            [tenant_id],
        ).fetchone() or ("", "")
        counted = {"events": "entry_id = %(entry)s"}
        found = {}
        for (table,) in admin.execute(_COUNTED_TABLES).fetchall():
            which = counted.get(table, "xmin::text = %(by)s")
            question = f"SELECT count(*) FROM {table} WHERE tenant_id = %(tenant)s AND {which}"
            values = {"tenant": tenant_id, "entry": entry, "by": written_by}
            ((found[table],),) = admin.execute(question, values).fetchall()
    return {table: count for table, count in found.items() if count}


class CopiedBatch(NamedTuple):
    """The rows of one table in the form for COPY."""

    command: str
    text: bytes


def prepare_copies(peer: Peer, ids: "itertools.count[int]", size: int) -> list[CopiedBatch]:
    """Return the rows of ``size`` purchases of as many customers, for each table that gets rows."""
    numbers = [next(ids) for _ in range(size)]
    batches = []
    for table in INSERTED:
        row = peer.rows[table]
        lines = []
        for customer, number in enumerate(numbers, 1):
            told = _expressions(peer, str(uuid.UUID(int=number)), str(uuid.UUID(int=customer)))
            # The sequence of an entry is unique for its customer.
            told |= {"external_id": f"copied-{number}", "sequence": str(number)}
            lines.append(
                "\t".join(_of_copy(told.get(name, told.get(value or "", value))) for name, value in row.items())
            )
        batches.append(CopiedBatch(f"COPY {table} ({', '.join(row)}) FROM STDIN", ("\n".join(lines) + "\n").encode()))
    return batches


def copy_batches(admin: psycopg.Connection[TupleRow], batches: Sequence[CopiedBatch]) -> None:
    """Write the rows of all tables in one transaction."""
    with admin.transaction(), admin.cursor() as cursor:
        for batch in batches:
            with cursor.copy(batch.command) as copy:
                copy.write(batch.text)


# ── the statements ───────────────────────────────────────────────────────────────────────────────────────────────


def _lock_customer(peer: Peer) -> str:
    """Return the statement that finds a customer by the external id and locks the row, as Treue does."""
    return (
        f"SELECT id, full_name, merged_into FROM customers WHERE tenant_id = '{peer.tenant_id}' "
        f"AND external_id = {_CUSTOMER_NAME} FOR NO KEY UPDATE"
    )


def _lock_account(peer: Peer) -> str:
    """Return the statement that locks the account of a customer."""
    return (
        f"SELECT sequence, available, chain FROM accounts WHERE tenant_id = '{peer.tenant_id}' "
        f"AND customer_id = {NUMBERED.format(':c')} FOR NO KEY UPDATE"
    )


def _update_account(peer: Peer) -> str:
    """Return the statement that adds the points to the account."""
    points = peer.rows["entries"]["points"]
    raised = ("available", "lifetime_earned", "qualifying", "standing")
    sums = ", ".join(f"{name} = {name} + {points}" for name in raised)
    return (
        f"UPDATE accounts SET {sums}, sequence = sequence + 1, chain = {_quote(peer.rows['entries']['hash'])}, "
        f"updated_at = now() WHERE tenant_id = '{peer.tenant_id}' AND customer_id = {NUMBERED.format(':c')}"
    )


_CUSTOMER_NAME = "'customer-' || :c::bigint"


def _insert(peer: Peer, table: str, **named: str) -> str:
    """Return the INSERT of one row like the template, with its own ids and names."""
    row = peer.rows[table]
    told = _expressions(peer, NUMBERED.format(":id"), NUMBERED.format(":c"))
    told |= {"external_id": "'peer-' || :id::bigint"} | named
    source = ""
    if table == "entries":
        told |= {"sequence": "account.sequence + 1", "balance_after": f"account.available + {row['points']}"}
        source = (
            f" FROM accounts AS account WHERE account.tenant_id = '{peer.tenant_id}' "
            f"AND account.customer_id = {NUMBERED.format(':c')}"
        )
    values = [told.get(name) or told.get(value or "") or _quote(value) for name, value in row.items()]
    return f"INSERT INTO {table} ({', '.join(row)}) SELECT {', '.join(values)}{source}"


def _expressions(peer: Peer, made_id: str, customer: str) -> dict[str, str]:
    """Return what replaces the template's ids: one new id for all rows of the purchase, and the id of the customer."""
    made = [row["id"] for table, row in peer.rows.items() if table in INSERTED and row.get("id")]
    return {str(one): made_id for one in made} | {str(peer.rows["customers"]["id"]): customer}


def _quote(value: str | None) -> str:
    """Return a literal.

    The colon is written as an escape, because pgbench reads it as a variable, also within quotes.
    """
    if value is None:
        return "NULL"
    return "E'" + value.replace("\\", "\\\\").replace("'", "''").replace(":", r"\x3a") + "'"


def _of_copy(value: str | None) -> str:
    """Return a value in the form for COPY."""
    return r"\N" if value is None else value.replace("\\", "\\\\")


# ── the template ─────────────────────────────────────────────────────────────────────────────────────────────────


def _read_newest(admin: psycopg.Connection[TupleRow], table: str, tenant_id: TenantId) -> dict[str, str | None]:
    """Return the newest row of a table, as text. The row of an event gets no position: the relay gives it."""
    names = [name for (name,) in admin.execute(_COLUMNS, [table])]
    columns = ", ".join(f"{name}::text AS {name}" for name in names)
    # Ids are in the order in which they were made.
    newest = next(name for name in ("id", "purchase_id", "customer_id") if name in names)
    question = f"SELECT {columns} FROM {table} WHERE tenant_id = %s ORDER BY {newest} DESC LIMIT 1"
    cursor: psycopg.Cursor[dict[str, Any]] = admin.cursor(row_factory=dict_row)
    row = cursor.execute(question, [tenant_id]).fetchone()
    if row is None:
        raise SystemExit(f"a purchase has left no row in {table}")
    return {**row, "position": None} if "position" in row else row


def _copy_customers(admin: psycopg.Connection[TupleRow], peer: Peer, table: str, key: str) -> None:
    """Insert the customers of the peer, or their accounts, which are empty."""
    row = {**peer.rows[table], key: None}
    told: dict[str, Callable[[], str]] = {key: lambda: NUMBERED.format("n"), "external_id": lambda: "'customer-' || n"}
    empty = {"available", "lifetime_earned", "qualifying", "standing", "sequence"}
    values = [
        told[name]() if name in told else "0" if name in empty and table == "accounts" else _quote(value)
        for name, value in row.items()
    ]
    admin.execute(
        f"INSERT INTO {table} ({', '.join(row)}) SELECT {', '.join(values)} "
        f"FROM generate_series(1, {peer.customers}) AS n"
    )
