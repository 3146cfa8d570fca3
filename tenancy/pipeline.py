"""One connection in libpq's pipeline mode, for the multiplexer and for transactions.

Requests are sent one after another without waiting; answers come in the same order. Each request is a segment that ends
with a Sync. Unless a transaction was begun, PostgreSQL runs a segment as one implicit transaction. So the tenant that
its first statement sets is unset after it, and an error in it affects no other segment. This module knows no tenants:
who asks puts the statement that enters a tenant first.
"""

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from sqlalchemy import Executable

from tenancy.statements import CompiledStatement, Values, adapt_json, compile_statement, wrap_error
from tenancy.traffic import Traffic

MAX_PREPARED = 400
"""Statements that one connection keeps prepared. Above that, the statement that was not used for longest is dropped."""

MOST_PREPARED_AGAIN = 10
"""How often a request is sent again because the server has forgotten its prepared statements. Then it is refused."""

FORGOTTEN_STATES = frozenset({"26000", "0A000"})
"""invalid_sql_statement_name, and feature_not_supported: with the latter a prepared plan says that its table has
changed."""

_DONE = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})


class Question(NamedTuple):
    """A statement with its parameters."""

    statement: CompiledStatement
    values: Values


def question_of(statement: Executable, parameters: Mapping[str, Any]) -> Question:
    """Compile a statement and convert its parameters for sending.

    Raises DBAPIError for a value that PostgreSQL cannot read.
    """
    compiled = compile_statement(statement)
    return Question(compiled, compiled.values(parameters))


class Answer(NamedTuple):
    """The server's answer to one question. Its rows are read when the asker calls `rows`."""

    statement: CompiledStatement
    result: pq.abc.PGresult
    transformer: Any

    def rows(self) -> list[Any]:
        """Return the rows as named tuples."""
        result = self.result
        if not result.ntuples:
            return []
        self.transformer.set_pgresult(result)
        rows: list[Any] = self.transformer.load_rows(0, result.ntuples, self.statement.row_type(result))
        return rows

    @property
    def touched(self) -> int:
        """How many rows the statement read or wrote."""
        return self.result.command_tuples or 0

    @property
    def command(self) -> str:
        """The name of the command that the server ran."""
        return (self.result.command_status or b"").decode()


class Request:
    """The statements of one segment, with the future that the asker waits for."""

    __slots__ = ("answered", "came_at", "names", "prepared_again", "questions", "results", "sent_again", "sent_at")

    def __init__(self, questions: Sequence[Question], answered: asyncio.Future[list[Answer]], came_at: float) -> None:
        self.questions = questions
        self.answered = answered
        self.came_at = came_at
        self.sent_at = came_at
        self.results: list[pq.abc.PGresult] = []
        self.names: list[bytes | None] = []
        """The names of its prepared statements on the connection to which the request was sent."""
        self.sent_again = False
        self.prepared_again = 0

    def sources(self) -> list[Executable]:
        """Return its statements as SQLAlchemy has them."""
        return [question.statement.source for question in self.questions]

    def fail(self, error: Exception) -> None:
        """Raise the error for the asker, if the asker still waits."""
        if not self.answered.done():
            self.answered.set_exception(error)


class _Preparation:
    """A segment of its own that prepares a statement; with None, one that drops a prepared statement."""

    __slots__ = ("results", "statement")

    def __init__(self, statement: CompiledStatement | None) -> None:
        self.statement = statement
        self.results: list[pq.abc.PGresult] = []


class Pipeline:
    """A connection in pipeline mode. ``send`` does not wait; the request's future gets the answer.

    ``on_answered`` is called after each reading: the connection may have room again. ``on_again`` is called with a
    request whose prepared statement the server does not know. ``on_lost`` is called once when the connection is lost,
    with the requests that got no answer.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        *,
        traffic: Traffic,
        prepares: bool,
        on_answered: Callable[[], None],
        on_again: Callable[[Request], None],
        on_lost: Callable[["Pipeline", list[Request], psycopg.Error], None],
    ) -> None:
        adapt_json(connection)
        self._connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._prepares = prepares
        self._traffic = traffic
        self._names = itertools.count()
        self._prepared: OrderedDict[CompiledStatement, bytes] = OrderedDict()
        self._wrong: dict[CompiledStatement, psycopg.Error] = {}
        self._in_flight: deque[Request | _Preparation] = deque()
        self._on_answered, self._on_again, self._on_lost = on_answered, on_again, on_lost
        self._loop = asyncio.get_running_loop()
        self._writing = False
        self.quiet_since = self._loop.time()
        """The time of the last answer, in seconds of the event loop."""
        self.is_open = True
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._socket = self._pgconn.socket
        self._loop.add_reader(self._socket, self._read)

    def __len__(self) -> int:
        """Return how many segments wait for their answer."""
        return len(self._in_flight)

    def send(self, request: Request) -> None:
        """Queue a request, and write as much of it as the network takes now."""
        request.sent_at = self._loop.time()
        if not self._in_flight:
            self.quiet_since = request.sent_at
        self._traffic.round_trips += 1
        self._traffic.statements += len(request.questions)
        request.results = []
        try:
            request.names = [self._name_of(question.statement) for question in request.questions]
            self._in_flight.append(request)
            for name, (statement, values) in zip(request.names, request.questions, strict=True):
                if name is None:
                    self._pgconn.send_query_params(statement.text, values, statement.parameter_types)
                else:
                    self._pgconn.send_query_prepared(name, values)
            self._pgconn.pipeline_sync()
            self._write()
        except psycopg.Error as error:
            if request not in self._in_flight:
                self._in_flight.append(request)
            self.lose(error)

    def lose(self, error: psycopg.Error) -> None:
        """Close the connection and report the unanswered requests: their state on the server is unknown."""
        if not self.is_open:
            return
        pending = [request for request in self._in_flight if isinstance(request, Request)]
        self._traffic.lost_connections += 1
        self._close()
        self._on_lost(self, pending, error)

    def _close(self) -> None:
        """Close the connection, and stop watching its socket."""
        self.is_open = False
        self._in_flight.clear()
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        self._pgconn.finish()

    # ── prepared statements ──────────────────────────────────────────────────────────────────────────────────────

    def _name_of(self, statement: CompiledStatement) -> bytes | None:
        """Return the name under which this connection has prepared a statement. Prepares the statement if needed.

        Returns None if the statement is sent without preparing. The preparation is a segment of its own, so a request
        that fails does not undo it.
        """
        if not self._prepares or statement.is_sent_once:
            return None
        name = self._prepared.get(statement)
        if name is not None:
            self._prepared.move_to_end(statement)
            return name
        if len(self._prepared) >= MAX_PREPARED:
            _, oldest = self._prepared.popitem(last=False)
            self._pgconn.send_query_params(b"DEALLOCATE " + oldest, None)
            self._end_preparation(None)
        name = self._prepared[statement] = b"treue_%d" % next(self._names)
        self._pgconn.send_prepare(name, statement.text, statement.parameter_types)
        self._end_preparation(statement)
        return name

    def _end_preparation(self, statement: CompiledStatement | None) -> None:
        """End the segment of a preparation. ``statement`` is None if the segment drops a prepared statement."""
        self._pgconn.pipeline_sync()
        self._in_flight.append(_Preparation(statement))

    def _note_prepared(self, preparation: "_Preparation") -> None:
        """Remember the error of a statement that cannot be prepared, for the requests that use the statement."""
        statement = preparation.statement
        if statement is None:
            return
        self._wrong.pop(statement, None)
        for result in preparation.results:
            if result.status not in _DONE:
                if len(self._wrong) >= MAX_PREPARED:
                    self._wrong.clear()
                self._wrong[statement] = error_from_result(result, encoding="utf-8")

    def _forget(self, request: Request) -> None:
        """Forget the prepared statements of a request, so that they are prepared again at the next use.

        A statement that another request has prepared again meanwhile is kept.
        """
        for name, question in zip(request.names, request.questions, strict=True):
            if name is not None and self._prepared.get(question.statement) == name:
                del self._prepared[question.statement]

    # ── the wire ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _write(self) -> None:
        """Write as much as the network takes now; the rest is written when the network takes more."""
        waits = self._pgconn.flush() == 1
        if waits and not self._writing:
            self._loop.add_writer(self._socket, self._write_on)
        elif self._writing and not waits:
            self._loop.remove_writer(self._socket)
        self._writing = waits

    def _write_on(self) -> None:
        """Go on writing when the network takes more."""
        try:
            self._write()
        except psycopg.Error as error:
            self.lose(error)

    @property
    def is_congested(self) -> bool:
        """Whether the network takes no more data at the moment."""
        return self._writing

    def _read(self) -> None:
        """Read what has arrived, and answer the requests that are complete."""
        try:
            self._pgconn.consume_input()
            self._take_results()
        except psycopg.Error as error:
            self.lose(error)
            return
        if self._pgconn.status == pq.ConnStatus.BAD:
            self.lose(psycopg.OperationalError("the connection was closed"))
            return
        self._on_answered()

    def _take_results(self) -> None:
        """Collect the results that have arrived; a Sync ends the segment at the front and answers it."""
        pgconn, in_flight = self._pgconn, self._in_flight
        ended = False
        while in_flight and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                # None ends the results of one statement; results of the next statement may be there already.
                if ended:
                    return
                ended = True
                continue
            ended = False
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                self.quiet_since = self._loop.time()
                ended_segment = in_flight.popleft()
                if isinstance(ended_segment, Request):
                    self._answer(ended_segment)
                else:
                    self._note_prepared(ended_segment)
            else:
                in_flight[0].results.append(result)

    def _answer(self, request: Request) -> None:
        """Give the asker the answers of a complete segment, or the error of its first statement that failed."""
        self._traffic.answer_seconds += self.quiet_since - request.sent_at
        if request.answered.done():
            return  # The asker does not wait any more.
        for result, question in zip(request.results, request.questions, strict=False):
            if result.status not in _DONE:
                self._refuse(request, question.statement, error_from_result(result, encoding="utf-8"))
                return
        if len(request.results) != len(request.questions):
            request.fail(wrap_error(psycopg.OperationalError("an answer is missing"), None))
            return
        request.answered.set_result(
            [
                Answer(question.statement, result, self._transformer)
                for question, result in zip(request.questions, request.results, strict=True)
            ]
        )

    def _refuse(self, request: Request, statement: CompiledStatement, error: psycopg.Error) -> None:
        """Send a request again if the server forgot its prepared statement; else raise the error for the asker."""
        if error.sqlstate in FORGOTTEN_STATES and self._prepares:
            self._forget(request)
            error = self._wrong.get(statement, error)
        if error.sqlstate in FORGOTTEN_STATES and self._prepares and request.prepared_again < MOST_PREPARED_AGAIN:
            request.prepared_again += 1
            self._on_again(request)
        else:
            request.fail(wrap_error(error, statement))
