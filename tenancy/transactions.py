"""The writing connections of one process: each transaction has a connection for itself until its end.

The statements that begin a transaction travel with its first statement, so they cost no round trip. Statements use
libpq's pipeline mode as reads do (see pipeline.py), but each is answered before the next is sent. COMMIT travels with
the last statement if that statement fails by itself when nothing may be committed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Executable, text
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from tenancy.connection import Connect, NoAnswer
from tenancy.pipeline import Answer, Pipeline, Question, Request, question_of
from tenancy.statements import wrap_error
from tenancy.tracing import RoundTrips
from tenancy.traffic import Door, Traffic, age_of_oldest

_COMMIT = question_of(text("COMMIT"), {})
_ROLLBACK = question_of(text("ROLLBACK"), {})
_COMMITTED = "COMMIT"
"""The answer of PostgreSQL to COMMIT. If a statement has failed before, the answer is ROLLBACK."""


class Conversation:
    """One transaction on a connection: its statements, and its end. It cannot be used after its end."""

    __slots__ = ("_answer_seconds", "_beginning", "_has_ended", "_is_committed", "_pipeline", "_trips")

    def __init__(
        self, pipeline: Pipeline, beginning: Sequence[Question], answer_seconds: float, trips: RoundTrips | None
    ) -> None:
        self._pipeline = pipeline
        self._trips = trips
        self._beginning = beginning
        self._answer_seconds = answer_seconds
        self._has_ended = False
        self._is_committed = False

    async def ask(self, statement: Executable, parameters: Mapping[str, Any]) -> Answer:
        """Run a statement. Raises what SQLAlchemy raises: DBAPIError, also if the database is away.

        Raises RuntimeError after the end, because another transaction may have the connection.
        """
        return (await self._send(self._put_after_beginning(question_of(statement, parameters))))[-1]

    async def ask_and_commit(self, statement: Executable, parameters: Mapping[str, Any]) -> Answer:
        """Run the last statement together with COMMIT. If the statement fails, nothing is committed."""
        asked = [*self._put_after_beginning(question_of(statement, parameters)), _COMMIT]
        self._has_ended = True
        *_, answer, end = await self._send(asked)
        self._note_commit(end)
        return answer

    async def commit(self) -> None:
        """Commit, unless the last statement has committed. Raises DBAPIError if that fails."""
        if self._is_committed:
            return
        self._has_ended = True
        if self._beginning:
            return
        (end,) = await self._send([_COMMIT])
        self._note_commit(end)

    def roll_back(self) -> None:
        """Roll back, without waiting for the answer: later statements on the connection run after it.

        If a statement is still unanswered, the connection is closed: it is unknown how long the statement would still
        run.
        """
        if self._is_committed:
            return
        self._has_ended = True
        if len(self._pipeline):
            self._pipeline.lose(psycopg.OperationalError("the one who asked has gone away"))
        elif not self._beginning and self._pipeline.is_open:
            request = _build_request([_ROLLBACK])
            request.answered.cancel()
            self._pipeline.send(request)

    def _put_after_beginning(self, question: Question) -> list[Question]:
        """Return the questions for the next round trip. The first one also carries the beginning of the transaction."""
        if self._has_ended:
            raise RuntimeError("the transaction is closed")
        asked = [*self._beginning, question]
        self._beginning = ()
        return asked

    def _note_commit(self, end: Answer) -> None:
        """Note that the transaction is committed. Raises DBAPIError if the answer says that it was rolled back."""
        if end.command != _COMMITTED:
            error = psycopg.InternalError("a statement of the transaction has failed before")
            raise wrap_error(error, _COMMIT.statement)
        self._is_committed = True

    async def _send(self, questions: Sequence[Question]) -> list[Answer]:
        """Send questions that travel together, and return their answers."""
        if not self._pipeline.is_open:
            raise wrap_error(psycopg.OperationalError("the connection was closed"), None, lost=True)
        request = _build_request(questions)
        if self._trips is not None:
            self._trips.watch(request.sources(), request.answered)
        self._pipeline.send(request)
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await request.answered
        except TimeoutError:
            error = NoAnswer("the database did not answer in time")
            self._pipeline.lose(error)
            raise wrap_error(error, None, lost=True) from None


def _build_request(questions: Sequence[Question]) -> Request:
    """Build a request that comes now, with a future for its answers."""
    loop = asyncio.get_running_loop()
    return Request(questions, loop.create_future(), loop.time())


class _Turn(NamedTuple):
    """A transaction that waits for a connection."""

    came_at: float
    lent: asyncio.Future[Pipeline]


class TransactionPool:
    """Connections that open when they are needed, stay open, and belong to one transaction at a time."""

    def __init__(
        self,
        connect: Connect,
        *,
        size: int,
        answer_seconds: float,
        wait_seconds: float,
        prepares: bool,
        trips: RoundTrips | None = None,
    ) -> None:
        self._connect, self._size, self._prepares, self._trips = connect, size, prepares, trips
        self._answer_seconds, self._wait_seconds = answer_seconds, wait_seconds
        self._open: set[Pipeline] = set()
        self._free: list[Pipeline] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Turn] = deque()
        self._traffic = Traffic()

    @property
    def lent(self) -> int:
        """The number of connections that belong to a transaction now."""
        return len(self._open) - len(self._free)

    def door(self) -> Door:
        """Return the figures of this door. Another thread may call this, so it reads copies."""
        waiting = [turn.came_at for turn in list(self._waiting) if not turn.lent.done()]
        return Door(
            self._traffic,
            open_connections=len(self._open),
            busy_connections=max(0, self.lent),
            most_connections=self._size,
            waiting=len(waiting),
            oldest_wait_seconds=age_of_oldest(waiting),
        )

    @asynccontextmanager
    async def transaction(self, beginning: Sequence[Question]) -> AsyncIterator[Conversation]:
        """Open a transaction that begins with these questions. It commits at the end, and rolls back on an exception.

        Raises SQLAlchemy's TimeoutError if no connection becomes free in time.
        """
        pipeline = await self._check_out()
        conversation = Conversation(pipeline, beginning, self._answer_seconds, self._trips)
        try:
            yield conversation
            await conversation.commit()
        except BaseException:
            conversation.roll_back()
            raise
        finally:
            self._give_back(pipeline)

    def close(self) -> None:
        """Close all connections, and refuse every transaction that waits for one."""
        closed = psycopg.OperationalError("the connections are closed")
        for task in self._opening:
            task.cancel()
        self._fail_waiting(closed)
        for pipeline in list(self._open):
            pipeline.lose(closed)

    async def _check_out(self) -> Pipeline:
        """Return a free connection, or wait for one. Raises NoFreeConnection if none becomes free in time."""
        if self._free:
            return self._free.pop()
        loop = asyncio.get_running_loop()
        turn = _Turn(loop.time(), loop.create_future())
        self._waiting.append(turn)
        self._open_more()
        try:
            await asyncio.wait([turn.lent], timeout=self._wait_seconds)
        except asyncio.CancelledError:
            if not turn.lent.cancel() and turn.lent.exception() is None:
                self._give_back(turn.lent.result())
            raise
        self._traffic.waited_seconds += loop.time() - turn.came_at
        if turn.lent.cancel():
            self._traffic.refused += 1
            raise NoFreeConnection("no connection became free in time")
        return turn.lent.result()

    def _give_back(self, pipeline: Pipeline) -> None:
        """Give a connection to the next transaction that waits, or keep it."""
        if not pipeline.is_open:
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.lent.done():
                turn.lent.set_result(pipeline)
                return
        self._free.append(pipeline)

    def _open_more(self) -> None:
        """Open a connection for each waiting transaction, as far as the size of the pool allows.

        If the waiting caller leaves, the opening goes on: the connection stays for the next transaction.
        """
        while len(self._waiting) > len(self._opening) and len(self._open) + len(self._opening) < self._size:
            task = asyncio.ensure_future(self._open_one())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_one(self) -> None:
        """Open one connection and lend it. If that fails and none is open, all waiting transactions are refused."""
        try:
            connection = await self._connect()
        except (psycopg.Error, OSError) as error:
            refused = error if isinstance(error, psycopg.Error) else psycopg.OperationalError(str(error))
            if not self._open:
                self._fail_waiting(refused)
            return
        pipeline = Pipeline(
            connection,
            traffic=self._traffic,
            prepares=self._prepares,
            on_answered=_nothing_waits,
            on_again=_refuse_again,
            on_lost=self._lose,
        )
        self._open.add(pipeline)
        self._give_back(pipeline)

    def _lose(self, pipeline: Pipeline, pending: Sequence[Request], error: psycopg.Error) -> None:
        """Forget a lost connection. Work that waits for its answer gets an error, because a write is not sent again."""
        self._open.discard(pipeline)
        if pipeline in self._free:
            self._free.remove(pipeline)
        for request in pending:
            request.fail(wrap_error(error, None, lost=True))
        self._open_more()

    def _fail_waiting(self, error: psycopg.Error) -> None:
        """Refuse all transactions that wait for a connection."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.lent.done():
                turn.lent.set_exception(wrap_error(error, None, lost=True))


def _nothing_waits() -> None:
    """Do nothing: the one transaction on a connection waits for its answer by itself."""


def _refuse_again(request: Request) -> None:
    """Refuse a request if the server has forgotten its prepared statement: its transaction is already aborted."""
    error = psycopg.errors.FeatureNotSupported("a table was changed meanwhile, so the plan of the statement is void")
    request.fail(wrap_error(error, None))
