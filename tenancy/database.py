"""Transactions inside one tenant, as the application role.

Only two places set the tenant: this module, and the door for reading in `multiplexer.py`. A statement outside of them
compares ``''::uuid`` in every policy, and fails.
"""

import re
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, NewType

import orjson
import psycopg
from sqlalchemy import URL, ExceptionContext, Executable, bindparam, event, func, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from loyalty.rules.ids import TenantId
from tenancy.connection import NETWORK_OPTIONS, connector
from tenancy.elsewhere import REFUSE_ELSEWHERE, SHARE_MOVE_LOCK
from tenancy.multiplexer import READ_CONNECTIONS, Lane, Multiplexer, name_followed
from tenancy.pipeline import Answer, Question, question_of
from tenancy.policies import CREDENTIAL_SETTING, FOLLOWED_SETTING, NO_TENANT, TENANT_SETTING
from tenancy.reading import Reader, Reads, only_row
from tenancy.statements import CompiledStatement, to_json
from tenancy.table import TENANT_PARAMETER
from tenancy.tables import token_directory
from tenancy.tracing import RoundTrips, Span, Tracer, fail_statement
from tenancy.traffic import Door, Traffic
from tenancy.transactions import Conversation, TransactionPool

HOME = "home"
"""The name of the cluster that has the directories. If the settings name one database, it is this cluster."""

DEFAULT_POOL_SIZE = 10
POOL_WAIT_SECONDS = 10
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_TIMEOUT_MS = 30_000
ANSWER_SECONDS = 35.0
"""The time limit for an answer of the database: a little more than the time limit of a statement."""

_TIMEOUTS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} "
    f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_TIMEOUT_MS} -c timezone=UTC"
)
DIRECT = {"options": _TIMEOUTS}
DIRECT_READER = {"options": f"{_TIMEOUTS} -c default_transaction_read_only=on"}
POOLED: dict[str, Any] = {"prepare_threshold": None}
"""A pooler drops the options of a new connection, so behind it the time limits are those of the database roles, see
runtime/roles.py. And no statement is prepared: another connection does not know it."""

DOOR_OF = {Lane.FAST: "reads", Lane.SLOW: "reports"}
"""The name of the door of each lane."""

MAX_REMEMBERED_TOKENS = 10_000
"""The number of hashes of tokens whose tenant one process remembers."""


class Pooler(StrEnum):
    """The pooler between this process and PostgreSQL."""

    NONE = "none"
    TRANSACTION = "transaction"
    """A pooler that may give each transaction another connection, such as pgbouncer in transaction mode."""


_BEGIN = question_of(text("BEGIN"), {})
_BEGIN_SNAPSHOT = question_of(text("BEGIN ISOLATION LEVEL REPEATABLE READ"), {})
_ENTER = select(func.set_config(TENANT_SETTING, bindparam("tenant"), True))
_PRESENT = select(func.set_config(CREDENTIAL_SETTING, bindparam("sha256"), True))
_FOLLOW = select(
    func.set_config(FOLLOWED_SETTING, bindparam("followed"), True), func.set_config(TENANT_SETTING, NO_TENANT, True)
)
_LOOK_UP = select(token_directory.c.tenant_id, token_directory.c.token_id).where(
    token_directory.c.sha256 == bindparam("sha256"),
)
_EXPORT_SNAPSHOT = select(func.pg_export_snapshot())
_SNAPSHOT_ID = re.compile(r"[0-9A-F-]{1,64}")

SnapshotId = NewType("SnapshotId", str)
"""Names a moment of the database, so that other transactions can read the same moment."""


class Transaction:
    """A transaction inside one tenant. Every statement gets ``tenant_id`` bound: the second wall beside the policy."""

    __slots__ = ("_conversation", "tenant_id")

    def __init__(self, conversation: Conversation, tenant_id: TenantId) -> None:
        self._conversation = conversation
        self.tenant_id = tenant_id

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        """Run a statement and return all its rows."""
        return (await self._ask(statement, parameters)).rows()

    async def row(self, statement: Executable, **parameters: Any) -> Any | None:
        """Run a statement and return its only row, or None."""
        return only_row(await self.rows(statement, **parameters))

    async def run(self, statement: Executable, **parameters: Any) -> int:
        """Run a statement for its effect; returns how many rows it changed or read."""
        return (await self._ask(statement, parameters)).touched

    async def run_and_commit(self, statement: Executable, **parameters: Any) -> None:
        """Run the last statement of the transaction together with COMMIT, in one round trip.

        The statement must fail by itself if nothing may be written: then nothing is committed.
        """
        await self._conversation.ask_and_commit(statement, self._bind_tenant(parameters))

    async def export_snapshot(self) -> SnapshotId:
        """Return the moment that this transaction reads. Other transactions can read it while this one is open."""
        ((snapshot,),) = await self.rows(_EXPORT_SNAPSHOT)
        return SnapshotId(snapshot)

    async def _ask(self, statement: Executable, parameters: dict[str, Any]) -> Answer:
        return await self._conversation.ask(statement, self._bind_tenant(parameters))

    def _bind_tenant(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {**parameters, TENANT_PARAMETER: self.tenant_id}


class Database:
    """The connections of one process to PostgreSQL under one role.

    ``fenced`` is for processes that know several clusters: a tenant that lives in another cluster is refused with
    TenantElsewhere. It costs no round trip.
    """

    def __init__(  # noqa: PLR0913 - one for each setting, by name
        self,
        url: str,
        *,
        pool_size: int = DEFAULT_POOL_SIZE,
        pool_wait_seconds: float = POOL_WAIT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        read_connections: int = READ_CONNECTIONS,
        pooler: Pooler = Pooler.NONE,
        name: str = "treue",
        tracer: Tracer | None = None,
        fenced: bool = False,
    ) -> None:
        self.url = url
        self._fenced = fenced
        self._trips = trips = None if tracer is None else RoundTrips(tracer, url)
        self._ways: OrderedDict[str, tuple[TenantId, uuid.UUID]] = OrderedDict()  # by token hash, last used last
        direct = pooler is Pooler.NONE
        network = {**NETWORK_OPTIONS, "application_name": name}
        connect = connector(answer_seconds)
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_wait_seconds,
            pool_pre_ping=False,
            json_serializer=to_json,
            json_deserializer=orjson.loads,
            connect_args={**network, **(DIRECT if direct else POOLED), "async_creator_fn": connect},
        )
        self._plain_traffic = Traffic()
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._note_sent)
        event.listen(self.engine.sync_engine, "after_cursor_execute", self._note_answered)
        if trips is not None:
            event.listen(self.engine.sync_engine, "handle_error", self._trace_failure)

        async def connect_writer() -> psycopg.AsyncConnection[Any]:
            return await connect(url, **network, **(DIRECT if direct else POOLED))

        async def connect_reader() -> psycopg.AsyncConnection[Any]:
            return await connect(url, **network, **(DIRECT_READER if direct else POOLED))

        self.transactions = TransactionPool(
            connect_writer,
            size=pool_size,
            answer_seconds=answer_seconds,
            wait_seconds=pool_wait_seconds,
            prepares=direct,
            trips=trips,
        )

        self.multiplexer = (
            Multiplexer(
                connect_reader,
                connections=read_connections,
                answer_seconds=answer_seconds,
                wait_seconds=pool_wait_seconds,
                prepares=direct,
                trips=trips,
                fenced=fenced,
            )
            if read_connections
            else None
        )

    async def place_of(self, tenant_id: TenantId) -> str:  # noqa: ARG002 - see Clusters
        """Return the name of the cluster where a tenant lives."""
        return HOME

    @property
    def clusters(self) -> Mapping[str, "Database"]:
        """The clusters by their names, the home cluster first. Here it is the only one."""
        return {HOME: self}

    @asynccontextmanager
    async def tenant_transaction(
        self, tenant_id: TenantId, *, snapshot: SnapshotId | bool = False, wherever: bool = False
    ) -> AsyncIterator[Transaction]:
        """Open a transaction inside ``tenant_id``. It commits when the block ends, and rolls back on an exception.

        With ``snapshot`` all its statements read the same moment (REPEATABLE READ); use it for values that must agree.
        With a snapshot that another open transaction has exported, they read the moment of that transaction.
        ``wherever`` also allows a tenant that may live in another cluster: its rows in this cluster are used.
        """
        beginning = _begin_inside(tenant_id, snapshot=snapshot)
        if self._fenced and not wherever:
            beginning += [_share_move_lock(tenant_id), _refuse_elsewhere(tenant_id)]
        async with self.transactions.transaction(beginning) as conversation:
            yield Transaction(conversation, tenant_id)

    @asynccontextmanager
    async def read_transaction(self, tenant_id: TenantId, *, wherever: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads. The end of a move does not wait for it and does not refuse it."""
        beginning = _begin_inside(tenant_id, snapshot=False)
        if self._fenced and not wherever:
            beginning.append(_refuse_elsewhere(tenant_id))
        async with self.transactions.transaction(beginning) as conversation:
            yield Transaction(conversation, tenant_id)

    @asynccontextmanager
    async def plain_transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction outside of every tenant, for questions about the server itself."""
        async with self.engine.begin() as connection:
            yield connection

    def reading(self, tenant_id: TenantId, lane: Lane = Lane.FAST, *, wherever: bool = False) -> Reads:
        """Return the door for reading. Each statement is one round trip, and sees all earlier commits.

        Read values that must agree in one statement, or in a transaction with ``snapshot``. ``wherever`` has the same
        meaning as in `tenant_transaction`.
        """
        if self.multiplexer is None:
            return _PooledReader(self, tenant_id, wherever=wherever)
        return Reader(self.multiplexer, tenant_id, lane, wherever=wherever)

    async def tenant_of_token(self, sha256: str) -> tuple[TenantId, uuid.UUID] | None:
        """Return the tenant and the token id for the hash of an API token; None if there is no such hash.

        No row of the directory is ever changed or deleted, so an answer is remembered. It says only where the token is
        looked up. The standing of the token is read for every request.
        """
        known = self._recall_way(sha256)
        if known is not None:
            return known
        if self.multiplexer is not None:
            rows: Sequence[Any] = await self.multiplexer.ask_with_credential(sha256, _LOOK_UP, {"sha256": sha256})
        else:
            beginning = [_BEGIN, question_of(_PRESENT, {"sha256": sha256})]
            async with self.transactions.transaction(beginning) as conversation:
                rows = (await conversation.ask(_LOOK_UP, {"sha256": sha256})).rows()
        if not rows:
            return None
        return self._remember_way(sha256, (TenantId(rows[0].tenant_id), rows[0].token_id))

    async def claim(self, tenant_id: TenantId, sha256: str, wanted: uuid.UUID) -> uuid.UUID | None:  # noqa: ARG002 - see Clusters
        """Return the id to which a name of the directory may lead; None if the name belongs to another tenant.

        With one cluster no statement runs: the directory itself decides when the row is written.
        """
        return wanted

    def _recall_way(self, sha256: str) -> tuple[TenantId, uuid.UUID] | None:
        """Return the tenant and the token id that are remembered for a hash; None if they are not remembered."""
        known = self._ways.get(sha256)
        if known is not None:
            self._ways.move_to_end(sha256)
        return known

    def _remember_way(self, sha256: str, way: tuple[TenantId, uuid.UUID]) -> tuple[TenantId, uuid.UUID]:
        self._ways[sha256] = way
        if len(self._ways) > MAX_REMEMBERED_TOKENS:
            self._ways.popitem(last=False)
        return way

    async def ask_of_followed(
        self, tenant_ids: Sequence[TenantId], statement: Executable, **parameters: Any
    ) -> Sequence[Any]:
        """Run one statement about the logs of many tenants, and return its rows.

        It can read only the newest positions of these logs, and nothing else of any tenant.
        """
        if self.multiplexer is not None:
            return await self.multiplexer.ask_of_followed(tenant_ids, statement, parameters)
        beginning = [_BEGIN, question_of(_FOLLOW, {"followed": name_followed(tenant_ids)})]
        async with self.transactions.transaction(beginning) as conversation:
            return (await conversation.ask(statement, parameters)).rows()

    def doors(self) -> dict[str, Door]:
        """Return the figures of each door of this process, by its name. Another thread may call this."""
        reads = {} if self.multiplexer is None else {DOOR_OF[lane]: self.multiplexer.door(lane) for lane in Lane}
        return {**reads, "transactions": self.transactions.door(), "plain": self._plain_door()}

    def _plain_door(self) -> Door:
        pool = self.engine.pool
        if not isinstance(pool, QueuePool):
            raise TypeError("the engine keeps its connections in another kind of pool")
        busy = pool.checkedout()
        # SQLAlchemy does not say how many transactions wait for its pool.
        return Door(self._plain_traffic, busy + pool.checkedin(), busy, pool.size(), 0, 0.0)

    def _note_sent(
        self, _connection: Any, _cursor: Any, _statement: str, _values: Any, context: Any, _many: Any
    ) -> None:
        self._plain_traffic.round_trips += 1
        self._plain_traffic.statements += 1
        context.treue_span = None if self._trips is None else self._trips.begin([context.invoked_statement])
        context.treue_sent_at = time.monotonic()

    def _note_answered(
        self, _connection: Any, _cursor: Any, _statement: str, _values: Any, context: Any, _many: Any
    ) -> None:
        self._plain_traffic.answer_seconds += time.monotonic() - context.treue_sent_at
        if context.treue_span is not None:
            context.treue_span.end()

    def _trace_failure(self, failure: ExceptionContext) -> None:
        span: Span | None = getattr(failure.execution_context, "treue_span", None)
        if span is not None:
            fail_statement(span, failure.original_exception)
            span.end()

    def forget_token(self, sha256: str) -> None:
        """Forget the tenant of a token's hash, because there is no such token: the next request asks again."""
        self._ways.pop(sha256, None)

    async def close(self) -> None:
        """Close all connections."""
        if self.multiplexer is not None:
            self.multiplexer.close()
        self.transactions.close()
        await self.engine.dispose()


class _PooledReader:
    """The door for reading without a multiplexer: each statement runs in a transaction of its own from the pool."""

    __slots__ = ("_database", "_wherever", "tenant_id")

    def __init__(self, database: Database, tenant_id: TenantId, *, wherever: bool) -> None:
        self._database = database
        self._wherever = wherever
        self.tenant_id = tenant_id

    async def rows(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        """Run a statement and return all its rows."""
        async with self._database.read_transaction(self.tenant_id, wherever=self._wherever) as opened:
            return await opened.rows(statement, **parameters)

    async def row(self, statement: Executable, **parameters: Any) -> Any | None:
        """Run a statement and return its only row, or None."""
        async with self._database.read_transaction(self.tenant_id, wherever=self._wherever) as opened:
            return await opened.row(statement, **parameters)


def _begin_inside(tenant_id: TenantId, *, snapshot: SnapshotId | bool) -> list[Question]:
    """Return the statements that begin a transaction inside a tenant. `tenant_transaction` explains ``snapshot``."""
    beginning = [_BEGIN_SNAPSHOT if snapshot else _BEGIN]
    if isinstance(snapshot, str):
        beginning.append(Question(_import_snapshot(snapshot), ()))
    return [*beginning, question_of(_ENTER, {"tenant": str(tenant_id)})]


def _share_move_lock(tenant_id: TenantId) -> Question:
    """Return the statement with which a transaction holds up the end of a move.

    It comes first, so the tenant's state that is read next is the state after the lock.
    """
    return question_of(SHARE_MOVE_LOCK, {"entered": str(tenant_id)})


def _refuse_elsewhere(tenant_id: TenantId) -> Question:
    """Return the statement that refuses a transaction unless the tenant lives in this cluster."""
    return question_of(REFUSE_ELSEWHERE, {TENANT_PARAMETER: tenant_id})


def _import_snapshot(snapshot: SnapshotId) -> CompiledStatement:
    """Return the statement that imports a snapshot. It takes no parameters, so the snapshot's form is checked first."""
    if not _SNAPSHOT_ID.fullmatch(snapshot):
        raise ValueError("that is no name of a snapshot")
    return CompiledStatement(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"), is_sent_once=True)


def sqlalchemy_url(url: str) -> URL:
    """Return a ``postgresql://`` address for SQLAlchemy's psycopg driver."""
    return make_url(url).set(drivername="postgresql+psycopg")
