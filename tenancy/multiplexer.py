"""Reads of many requests over few connections: each is one round trip, and many share a connection at the same time.

``ask`` runs statements as one implicit transaction that begins by entering a tenant, for reading only. Why
it is here, what it may not do and how to drop it: docs/decisions/0021-reads-share-connections.md.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Executable, bindparam, func, literal_column, select
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from loyalty.rules.ids import TenantId
from tenancy.connection import Connect, NoAnswer
from tenancy.elsewhere import REFUSE_ELSEWHERE
from tenancy.pipeline import Pipeline, Question, Request, question_of
from tenancy.policies import CREDENTIAL_SETTING, FOLLOWED_SETTING, NO_TENANT, TENANT_SETTING
from tenancy.statements import wrap_error
from tenancy.table import TENANT_PARAMETER
from tenancy.tracing import RoundTrips
from tenancy.traffic import Door, Traffic, age_of_oldest

READ_CONNECTIONS = 3
SLOW_READ_CONNECTIONS = 1
FAST_STATEMENT_MS = 10_000
SLOW_STATEMENT_MS = 30_000
MAX_IN_FLIGHT = 64
"""Requests that one connection has been given and has not answered."""
MAX_WAITING = 1_000
"""Requests of one lane that wait for room on a connection; one more is told to come again."""
SWEEPS = 4
"""How often within the time for an answer it is looked whether one is overdue."""


class Lane(StrEnum):
    """Reads that may take long do not stand in the way of those that must not."""

    FAST = "FAST"
    """What a screen waits for."""
    SLOW = "SLOW"
    """Reports, which read much."""


class LaneLimits(NamedTuple):
    """How many connections a lane has, and how long one of its statements may take."""

    connections: int
    statement_ms: int


def _enter_with(setting: str) -> Any:
    """Return the statement that begins a read: it sets who reads, forbids to write, and limits the time."""
    return select(
        func.set_config(literal_column(f"'{setting}'"), bindparam("entered"), literal_column("true")),
        func.set_config(literal_column("'transaction_read_only'"), literal_column("'on'"), literal_column("true")),
        func.set_config(literal_column("'statement_timeout'"), bindparam("milliseconds"), literal_column("true")),
    )


_ENTER = _enter_with(TENANT_SETTING)
_PRESENT = _enter_with(CREDENTIAL_SETTING)
_FOLLOW = _enter_with(FOLLOWED_SETTING).add_columns(
    func.set_config(literal_column(f"'{TENANT_SETTING}'"), literal_column(f"'{NO_TENANT}'"), literal_column("true"))
)


def name_followed(tenant_ids: Sequence[TenantId]) -> str:
    """The value of the setting that names the tenants whose logs are followed."""
    return ",".join(map(str, tenant_ids))


class Multiplexer:
    """The reading connections of one process. They open when they are needed.

    ``prepares`` is off behind a pooler that gives every transaction another connection: then nothing is prepared, and
    each connection carries one request at a time. ``fenced`` refuses tenants who live in another cluster.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        connections: int,
        answer_seconds: float,
        wait_seconds: float,
        prepares: bool = True,
        trips: RoundTrips | None = None,
        fenced: bool = False,
    ) -> None:
        self._fenced = fenced
        limits = {
            Lane.FAST: LaneLimits(connections, FAST_STATEMENT_MS),
            Lane.SLOW: LaneLimits(SLOW_READ_CONNECTIONS, SLOW_STATEMENT_MS),
        }
        self._lanes = {
            lane: _Lane(
                connect,
                its,
                answer_seconds=answer_seconds,
                wait_seconds=wait_seconds,
                prepares=prepares,
                trips=trips,
            )
            for lane, its in limits.items()
        }

    async def ask(
        self,
        tenant_id: TenantId,
        lane: Lane,
        statements: Sequence[tuple[Executable, Mapping[str, Any]]],
        *,
        wherever: bool = False,
    ) -> list[list[Any]]:
        """Run statements inside a tenant, in one round trip; the rows of each.

        ``wherever`` asks for what is kept here of a tenant that may live in another cluster.
        Raises what SQLAlchemy raises: DBAPIError for what the database refuses, also when it is away, and
        TimeoutError when too many wait. A request whose connection breaks off is asked once more.
        """
        if not self._fenced or wherever:
            return await self._ask(_ENTER, str(tenant_id), lane, statements)
        fence = (REFUSE_ELSEWHERE, {TENANT_PARAMETER: tenant_id})
        return (await self._ask(_ENTER, str(tenant_id), lane, [fence, *statements]))[1:]

    async def ask_with_credential(self, sha256: str, statement: Executable, parameters: Mapping[str, Any]) -> list[Any]:
        """Run a statement for the owner of a credential, outside of every tenant; its rows."""
        (rows,) = await self._ask(_PRESENT, sha256, Lane.FAST, [(statement, parameters)])
        return rows

    async def ask_of_followed(
        self, tenant_ids: Sequence[TenantId], statement: Executable, parameters: Mapping[str, Any]
    ) -> list[Any]:
        """Run a statement about the logs of these tenants, outside of every tenant; its rows."""
        (rows,) = await self._ask(_FOLLOW, name_followed(tenant_ids), Lane.FAST, [(statement, parameters)])
        return rows

    async def _ask(
        self, entering: Executable, entered: str, lane: Lane, statements: Sequence[tuple[Executable, Mapping[str, Any]]]
    ) -> list[list[Any]]:
        its = self._lanes[lane]
        asked = [(entering, {"entered": entered, "milliseconds": its.milliseconds}), *statements]
        answers = await its.ask([question_of(statement, parameters) for statement, parameters in asked])
        return [answer.rows() for answer in answers[1:]]

    def door(self, lane: Lane) -> Door:
        """How things stand in one lane."""
        return self._lanes[lane].door()

    def close(self) -> None:
        """Give all connections back, and tell every request that waits that the database is away."""
        for lane in self._lanes.values():
            lane.close()


class _Lane:
    """Some connections, and the requests that wait for them."""

    def __init__(
        self,
        connect: Connect,
        limits: LaneLimits,
        *,
        answer_seconds: float,
        wait_seconds: float,
        prepares: bool,
        trips: RoundTrips | None,
    ) -> None:
        self.milliseconds = str(limits.statement_ms)
        self._connect, self._size, self._prepares = connect, limits.connections, prepares
        self._answer_seconds, self._wait_seconds = answer_seconds, wait_seconds
        self._depth = MAX_IN_FLIGHT if prepares else 1
        self._trips = trips
        self._traffic = Traffic()
        self.pipelines: list[Pipeline] = []
        self._opening: set[asyncio.Task[None]] = set()
        self.waiting: deque[Request] = deque()
        self._sweeping: asyncio.TimerHandle | None = None

    async def ask(self, questions: Sequence[Question]) -> Any:
        """The answers to the questions of one request."""
        if len(self.waiting) >= MAX_WAITING:
            self._forget_who_left()
            if len(self.waiting) >= MAX_WAITING:
                self._traffic.refused += 1
                raise NoFreeConnection("too many reads wait for a connection")
        loop = asyncio.get_running_loop()
        request = Request(questions, loop.create_future(), loop.time())
        if self._trips is not None:
            self._trips.watch(request.sources(), request.answered)
        self.waiting.append(request)
        self._feed()
        self._watch(loop)
        return await request.answered

    def _feed(self) -> None:
        """Send the requests that wait, each on the connection that has the least to do."""
        while self.waiting:
            pipeline = min(self.pipelines, key=len, default=None)
            if (pipeline is None or len(pipeline)) and len(self.pipelines) + len(self._opening) < self._size:
                self._open_one()
            if pipeline is None or len(pipeline) >= self._depth or pipeline.is_congested:
                return
            request = self.waiting.popleft()
            if not request.answered.done():
                pipeline.send(request)
                self._traffic.waited_seconds += request.sent_at - request.came_at

    def _open_one(self) -> None:
        task = asyncio.ensure_future(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        try:
            connection = await self._connect()
        except (psycopg.Error, OSError) as error:
            refused = error if isinstance(error, psycopg.Error) else psycopg.OperationalError(str(error))
            if not self.pipelines:
                self._fail_waiting(wrap_error(refused, None, lost=True))
            return
        self.pipelines.append(
            Pipeline(
                connection,
                traffic=self._traffic,
                prepares=self._prepares,
                on_answered=self._feed,
                on_again=self._ask_again,
                on_lost=self._lose,
            )
        )
        self._feed()

    def _ask_again(self, request: Request) -> None:
        self.waiting.appendleft(request)
        self._feed()

    def _lose(self, pipeline: Pipeline, pending: Sequence[Request], error: psycopg.Error) -> None:
        """Ask once more what a broken connection did not answer: reading again changes nothing."""
        if pipeline in self.pipelines:
            self.pipelines.remove(pipeline)
        for request in reversed(pending):
            if request.sent_again or isinstance(error, NoAnswer):
                request.fail(wrap_error(error, None, lost=True))
            else:
                request.sent_again = True
                request.came_at = asyncio.get_running_loop().time()
                self.waiting.appendleft(request)
        self._feed()

    # ── who waits too long ───────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweeping is None:
            shortest = min(self._answer_seconds, self._wait_seconds)
            self._sweeping = loop.call_later(shortest / SWEEPS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up connections that are silent, and requests that have waited too long for room."""
        self._sweeping = None
        now = loop.time()
        for pipeline in [one for one in self.pipelines if len(one)]:
            if now - pipeline.quiet_since > self._answer_seconds:
                pipeline.lose(NoAnswer("the database did not answer in time"))
        while self.waiting and now - self.waiting[0].came_at > self._wait_seconds:
            self._traffic.refused += 1
            self.waiting.popleft().fail(NoFreeConnection("no connection had room in time"))
        if self.waiting or any(map(len, self.pipelines)):
            self._watch(loop)

    def door(self) -> Door:
        """How things stand. It may be called from another thread, so it looks at copies."""
        waiting = [request.came_at for request in list(self.waiting) if not request.answered.done()]
        return Door(
            self._traffic,
            open_connections=len(self.pipelines),
            busy_connections=sum(1 for one in list(self.pipelines) if len(one)),
            most_connections=self._size,
            waiting=len(waiting),
            oldest_wait_seconds=age_of_oldest(waiting),
        )

    def _forget_who_left(self) -> None:
        self.waiting = deque(request for request in self.waiting if not request.answered.done())

    def _fail_waiting(self, error: Exception) -> None:
        while self.waiting:
            self.waiting.popleft().fail(error)

    def close(self) -> None:
        """Close all connections, and tell every request that waits."""
        closed = psycopg.OperationalError("the connections are closed")
        for task in self._opening:
            task.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        # The requests that wait come first: a connection that goes would open another one for them.
        self._fail_waiting(wrap_error(closed, None, lost=True))
        for pipeline in list(self.pipelines):
            pipeline.lose(NoAnswer("the connections are closed"))
