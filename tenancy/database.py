"""The door: a transaction that belongs to one tenant, as the application role.

``enter_tenant`` is the only place that sets the tenant, and it does so for one transaction. A statement that runs
outside of such a transaction meets ``''::uuid`` in every policy and fails loudly.
"""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NewType

import orjson
from sqlalchemy import URL, Executable, Row, TextClause, bindparam, func, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from loyalty.rules.ids import TenantId
from tenancy.connection import NETWORK_OPTIONS, connector
from tenancy.policies import CREDENTIAL_SETTING, TENANT_SETTING
from tenancy.table import TENANT_PARAMETER
from tenancy.tables import token_directory

DEFAULT_POOL_SIZE = 10
POOL_WAIT_SECONDS = 10
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_TIMEOUT_MS = 30_000
ANSWER_SECONDS = 35.0
"""How long the database may leave us without an answer: a little more than it gives a statement itself."""

_ENTER = select(func.set_config(TENANT_SETTING, bindparam("tenant"), True))
_PRESENT = select(func.set_config(CREDENTIAL_SETTING, bindparam("sha256"), True))
_LOOK_UP = select(token_directory.c.tenant_id, token_directory.c.token_id).where(
    token_directory.c.sha256 == bindparam("sha256"),
)


_EXPORT_SNAPSHOT = select(func.pg_export_snapshot())
_SNAPSHOT_ID = re.compile(r"[0-9A-F-]{1,64}")

_closing: set[asyncio.Future[None]] = set()
"""What is being given back: the event loop alone would forget it."""

SnapshotId = NewType("SnapshotId", str)
"""Names a moment of the database, for other transactions to see it too."""


class Transaction:
    """A transaction inside one tenant. Every statement gets ``tenant_id`` bound: the second wall beside the policy."""

    __slots__ = ("_connection", "tenant_id")

    def __init__(self, connection: AsyncConnection, tenant_id: TenantId) -> None:
        self._connection = connection
        self.tenant_id = tenant_id

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
        """Run a statement and return all its rows."""
        result = await self._connection.execute(statement, {**parameters, TENANT_PARAMETER: self.tenant_id})
        return result.all()

    async def row(self, statement: Executable, **parameters: Any) -> Row[Any] | None:
        """Run a statement and return its only row, or None."""
        result = await self._connection.execute(statement, {**parameters, TENANT_PARAMETER: self.tenant_id})
        return result.one_or_none()

    async def run(self, statement: Executable, **parameters: Any) -> int:
        """Run a statement for its effect; returns how many rows it touched."""
        result = await self._connection.execute(statement, {**parameters, TENANT_PARAMETER: self.tenant_id})
        return result.rowcount

    async def export_snapshot(self) -> SnapshotId:
        """Let other transactions see the moment that this one sees, as long as it is open."""
        result = await self._connection.execute(_EXPORT_SNAPSHOT)
        return SnapshotId(result.scalar_one())


class Database:
    """One process's connections to PostgreSQL under one role."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        pool_wait_seconds: float = POOL_WAIT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        name: str = "treue",
    ) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_wait_seconds,
            pool_pre_ping=False,
            json_serializer=_to_json,
            json_deserializer=orjson.loads,
            connect_args={
                **NETWORK_OPTIONS,
                "async_creator_fn": connector(answer_seconds),
                "application_name": name,
                "options": (
                    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} "
                    f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_TIMEOUT_MS} -c timezone=UTC"
                ),
            },
        )

    @asynccontextmanager
    async def tenant_transaction(
        self, tenant_id: TenantId, *, snapshot: SnapshotId | bool = False
    ) -> AsyncIterator[Transaction]:
        """Open a transaction inside ``tenant_id``: it commits when the block ends and rolls back on an exception.

        With ``snapshot`` all its statements see the same moment (REPEATABLE READ), for reading what must agree; with
        one that another open transaction has exported, the moment of that transaction.
        """
        engine = self.engine.execution_options(isolation_level="REPEATABLE READ") if snapshot else self.engine
        async with _begin(engine) as connection:
            if isinstance(snapshot, str):
                await connection.execute(_import_snapshot(snapshot))
            await enter_tenant(connection, tenant_id)
            yield Transaction(connection, tenant_id)

    @asynccontextmanager
    async def plain_transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction outside of every tenant, for asking the server about itself."""
        async with _begin(self.engine) as connection:
            yield connection

    async def tenant_of_token(self, sha256: str) -> tuple[TenantId, uuid.UUID] | None:
        """The tenant and token id that the hash of a presented API token leads to, or None."""
        async with _begin(self.engine) as connection:
            await connection.execute(_PRESENT, {"sha256": sha256})
            found = (await connection.execute(_LOOK_UP, {"sha256": sha256})).one_or_none()
        return (TenantId(found.tenant_id), found.token_id) if found else None

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()


@asynccontextmanager
async def _begin(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction on a connection of the pool. The connection goes back at the end, whatever happens."""
    connection = await _check_out(engine)
    try:
        async with connection.begin():
            yield connection
    finally:
        closing = asyncio.ensure_future(connection.close())
        _keep(closing)
        await asyncio.shield(closing)


async def _check_out(engine: AsyncEngine) -> AsyncConnection:
    """A connection of the pool.

    A reader that goes away cancels us. Opening a connection must not be cut off half-way: the pool would forget it,
    while the server keeps it for minutes. So it is opened to the end, and then given back.
    """
    opening = asyncio.ensure_future(_open(engine))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_give_back)
        raise


async def _open(engine: AsyncEngine) -> AsyncConnection:
    return await engine.connect()


def _give_back(opening: asyncio.Future[AsyncConnection]) -> None:
    """Return a connection that nobody waits for any more to the pool."""
    if opening.cancelled() or opening.exception() is not None:
        return
    _keep(asyncio.ensure_future(opening.result().close()))


def _keep(closing: asyncio.Future[None]) -> None:
    """Let a connection go back to the pool to the end, even when nobody waits for it."""
    _closing.add(closing)
    closing.add_done_callback(_closing.discard)


def _import_snapshot(snapshot: SnapshotId) -> TextClause:
    """The statement takes no parameters, so the name is looked at first."""
    if not _SNAPSHOT_ID.fullmatch(snapshot):
        raise ValueError("that is no name of a snapshot")
    return text(f"SET TRANSACTION SNAPSHOT '{snapshot}'")


async def enter_tenant(connection: AsyncConnection, tenant_id: TenantId) -> None:
    """Bind the running transaction to a tenant, until its end."""
    await connection.execute(_ENTER, {"tenant": str(tenant_id)})


def sqlalchemy_url(url: str) -> URL:
    """A ``postgresql://`` address for SQLAlchemy's psycopg driver."""
    return make_url(url).set(drivername="postgresql+psycopg")


def _to_json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
