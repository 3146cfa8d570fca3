"""The door: a transaction that belongs to one tenant, as the application role.

A transaction enters its tenant here, the door for reading in `multiplexer.py`; no other place sets the tenant. A
statement that runs outside of such a transaction meets ``''::uuid`` in every policy and fails loudly.
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
"""The name of the cluster that the settings of one database name. The directories stand there."""

DEFAULT_POOL_SIZE = 10
POOL_WAIT_SECONDS = 10
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_TIMEOUT_MS = 30_000
ANSWER_SECONDS = 35.0
"""How long the database may leave us without an answer: a little more than it gives a statement itself."""

_TIMEOUTS = (
    f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} "
    f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_TIMEOUT_MS} -c timezone=UTC"
)
DIRECT = {"options": _TIMEOUTS}
DIRECT_READER = {"options": f"{_TIMEOUTS} -c default_transaction_read_only=on"}
POOLED: dict[str, Any] = {"prepare_threshold": None}
"""A pooler drops what is asked for at the start, and a statement that one connection prepared is unknown to the next.

So the time limits are those of the database roles then, see runtime/roles.py.
"""

DOOR_OF = {Lane.FAST: "reads", Lane.SLOW: "reports"}
"""What the door of a lane of reads is called."""

MAX_REMEMBERED_TOKENS = 10_000
"""Ways from the hash of a token to its tenant that one process remembers."""


class Pooler(StrEnum):
    """What stands between this process and PostgreSQL."""

    NONE = "none"
    TRANSACTION = "transaction"
    """A pooler that gives every transaction another connection, such as pgbouncer in transaction mode."""


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
"""Names a moment of the database, for other transactions to see it too."""


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
        """Run a statement for its effect; returns how many rows it touched."""
        return (await self._ask(statement, parameters)).touched

    async def run_and_commit(self, statement: Executable, **parameters: Any) -> None:
        """Run the last statement of the transaction, which commits in the same round trip.

        The statement must fail by itself where nothing may be written: then nothing is committed.
        """
        await self._conversation.ask_and_commit(statement, self._bind_tenant(parameters))

    async def export_snapshot(self) -> SnapshotId:
        """Let other transactions see the moment that this one sees, as long as it is open."""
        ((snapshot,),) = await self.rows(_EXPORT_SNAPSHOT)
        return SnapshotId(snapshot)

    async def _ask(self, statement: Executable, parameters: dict[str, Any]) -> Answer:
        return await self._conversation.ask(statement, self._bind_tenant(parameters))

    def _bind_tenant(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {**parameters, TENANT_PARAMETER: self.tenant_id}


class Database:
    """One process's connections to PostgreSQL under one role.

    ``fenced`` belongs to processes that know several clusters: tenants who live in another one are refused, with
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
        self._ways: OrderedDict[str, tuple[TenantId, uuid.UUID]] = OrderedDict()
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
        """The name of the cluster where a tenant lives."""
        return HOME

    @property
    def clusters(self) -> Mapping[str, "Database"]:
        """The clusters by their names, the home cluster first. Here it is the only one."""
        return {HOME: self}

    @asynccontextmanager
    async def tenant_transaction(
        self, tenant_id: TenantId, *, snapshot: SnapshotId | bool = False, wherever: bool = False
    ) -> AsyncIterator[Transaction]:
        """Open a transaction inside ``tenant_id``: it commits when the block ends and rolls back on an exception.

        With ``snapshot`` all its statements see the same moment (REPEATABLE READ), for reading what must agree; with
        one that another open transaction has exported, the moment of that transaction. ``wherever`` is for what is
        kept here of a tenant that may live in another cluster.
        """
        beginning = _begin_inside(tenant_id, snapshot=snapshot)
        if self._fenced and not wherever:
            beginning += [_share_move_lock(tenant_id), _refuse_elsewhere(tenant_id)]
        async with self.transactions.transaction(beginning) as conversation:
            yield Transaction(conversation, tenant_id)

    @asynccontextmanager
    async def read_transaction(self, tenant_id: TenantId, *, wherever: bool = False) -> AsyncIterator[Transaction]:
        """Open a transaction that only reads: the end of a move neither waits for it nor refuses it."""
        beginning = _begin_inside(tenant_id, snapshot=False)
        if self._fenced and not wherever:
            beginning.append(_refuse_elsewhere(tenant_id))
        async with self.transactions.transaction(beginning) as conversation:
            yield Transaction(conversation, tenant_id)

    @asynccontextmanager
    async def plain_transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction outside of every tenant, for asking the server about itself."""
        async with self.engine.begin() as connection:
            yield connection

    def reading(self, tenant_id: TenantId, lane: Lane = Lane.FAST, *, wherever: bool = False) -> Reads:
        """The door for statements that only read: each is one round trip, and sees what was committed before it.

        What must agree is read in one statement, or in a transaction with ``snapshot``. ``wherever`` as there.
        """
        if self.multiplexer is None:
            return _PooledReader(self, tenant_id, wherever=wherever)
        return Reader(self.multiplexer, tenant_id, lane, wherever=wherever)

    async def tenant_of_token(self, sha256: str) -> tuple[TenantId, uuid.UUID] | None:
        """The tenant and token id that the hash of a presented API token leads to, or None.

        Nobody may change or delete a row of the directory, so a way that was found once is remembered. It says where a
        token is looked up, never whether it stands: that is read for every request.
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
        """The id to which a name of the directory may lead; None when the name belongs to another tenant.

        With one cluster nothing is asked: the directory itself decides when the row is written.
        """
        return wanted

    def _recall_way(self, sha256: str) -> tuple[TenantId, uuid.UUID] | None:
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
        """Run one statement about the logs of many tenants; its rows.

        It sees how far the logs of these tenants reach, and nothing else of any tenant.
        """
        if self.multiplexer is not None:
            return await self.multiplexer.ask_of_followed(tenant_ids, statement, parameters)
        beginning = [_BEGIN, question_of(_FOLLOW, {"followed": name_followed(tenant_ids)})]
        async with self.transactions.transaction(beginning) as conversation:
            return (await conversation.ask(statement, parameters)).rows()

    def doors(self) -> dict[str, Door]:
        """How things stand at each door of this process, by its name. It may be called from another thread."""
        reads = {} if self.multiplexer is None else {DOOR_OF[lane]: self.multiplexer.door(lane) for lane in Lane}
        return {**reads, "transactions": self.transactions.door(), "plain": self._plain_door()}

    def _plain_door(self) -> Door:
        pool = self.engine.pool
        if not isinstance(pool, QueuePool):
            raise TypeError("the engine keeps its connections in another kind of pool")
        busy = pool.checkedout()
        # SQLAlchemy does not tell who waits for its pool.
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
        """Look up the way of a token again next time: where it led, there is no token."""
        self._ways.pop(sha256, None)

    async def close(self) -> None:
        """Give all connections back."""
        if self.multiplexer is not None:
            self.multiplexer.close()
        self.transactions.close()
        await self.engine.dispose()


class _PooledReader:
    """The door for reading without a multiplexer: each statement has a transaction of the pool."""

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
    """What begins a transaction inside a tenant."""
    beginning = [_BEGIN_SNAPSHOT if snapshot else _BEGIN]
    if isinstance(snapshot, str):
        beginning.append(Question(_import_snapshot(snapshot), ()))
    return [*beginning, question_of(_ENTER, {"tenant": str(tenant_id)})]


def _share_move_lock(tenant_id: TenantId) -> Question:
    """What makes the end of a move wait for a transaction. It comes first: the state read next is that of after it."""
    return question_of(SHARE_MOVE_LOCK, {"entered": str(tenant_id)})


def _refuse_elsewhere(tenant_id: TenantId) -> Question:
    """What lets a transaction go on only where the tenant lives."""
    return question_of(REFUSE_ELSEWHERE, {TENANT_PARAMETER: tenant_id})


def _import_snapshot(snapshot: SnapshotId) -> CompiledStatement:
    """The statement takes no parameters, so the name is looked at first."""
    if not _SNAPSHOT_ID.fullmatch(snapshot):
        raise ValueError("that is no name of a snapshot")
    return CompiledStatement(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"), is_sent_once=True)


def sqlalchemy_url(url: str) -> URL:
    """A ``postgresql://`` address for SQLAlchemy's psycopg driver."""
    return make_url(url).set(drivername="postgresql+psycopg")
