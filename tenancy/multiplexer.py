"""Send the reads of many requests over few connections. Each read is one round trip; many reads share a connection.

``ask`` runs statements as one implicit transaction that first enters a tenant and can only read. The reasons, the
limits, and how to remove this module: docs/decisions/0021-reads-share-connections.md.
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
"""Requests that wait for their answer on one connection at the same time."""
MAX_WAITING = 1_000
"""Requests of one lane that wait for room on a connection. One more request is refused and may be sent again later."""
PLAN_ONCE, PLAN_AS_USUAL = "force_generic_plan", "auto"
"""Values of `plan_cache_mode`: the first one for statements with the mark of `keep_plan`."""
SWEEPS = 4
"""How often, within the time limit for an answer, the lane looks for overdue requests."""


class Lane(StrEnum):
    """Connections for reads that may take equally long, so that slow reads do not delay fast ones."""

    FAST = "FAST"
    """Reads that a screen waits for."""
    SLOW = "SLOW"
    """Reads of reports, which read many rows."""


class LaneLimits(NamedTuple):
    """The number of connections of a lane, and the time limit of one of its statements."""

    connections: int
    statement_ms: int


def _enter_with(setting: str) -> Any:
    """Return the first statement of a read.

    It sets who reads, forbids writing, limits the time of a statement, and says whether plans are kept.
    """
    return select(
        func.set_config(literal_column(f"'{setting}'"), bindparam("entered"), literal_column("true")),
        func.set_config(literal_column("'transaction_read_only'"), literal_column("'on'"), literal_column("true")),
        func.set_config(literal_column("'statement_timeout'"), bindparam("milliseconds"), literal_column("true")),
        func.set_config(literal_column("'plan_cache_mode'"), bindparam("plans"), literal_column("true")),
    )


_ENTER = _enter_with(TENANT_SETTING)
_PRESENT = _enter_with(CREDENTIAL_SETTING)
_FOLLOW = _enter_with(FOLLOWED_SETTING).add_columns(
    func.set_config(literal_column(f"'{TENANT_SETTING}'"), literal_column(f"'{NO_TENANT}'"), literal_column("true"))
)


def name_followed(tenant_ids: Sequence[TenantId]) -> str:
    """Return the value of the setting that lists the tenants whose logs this process follows."""
    return ",".join(map(str, tenant_ids))


class Multiplexer:
    """The reading connections of one process. They open when they are needed.

    ``prepares`` is False behind a pooler that may give each transaction another connection. Then no statement is
    prepared, and each connection carries one request at a time. ``fenced`` refuses tenants that live in another
    cluster.
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
            lane: _LaneConnections(
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
        """Run statements inside a tenant in one round trip, and return the rows of each statement.

        ``wherever`` also reads the rows in this cluster of a tenant that lives in another cluster. Raises what
        SQLAlchemy raises: DBAPIError if the database refuses or is away, and TimeoutError if too many requests wait. A
        request whose connection is lost is sent once more.
        """
        if not self._fenced or wherever:
            return await self._ask_in_lane(_ENTER, str(tenant_id), lane, statements)
        fence = (REFUSE_ELSEWHERE, {TENANT_PARAMETER: tenant_id})
        return (await self._ask_in_lane(_ENTER, str(tenant_id), lane, [fence, *statements]))[1:]

    async def ask_with_credential(self, sha256: str, statement: Executable, parameters: Mapping[str, Any]) -> list[Any]:
        """Run a statement outside of every tenant for the holder of a credential, and return its rows."""
        (rows,) = await self._ask_in_lane(_PRESENT, sha256, Lane.FAST, [(statement, parameters)])
        return rows

    async def ask_of_followed(
        self, tenant_ids: Sequence[TenantId], statement: Executable, parameters: Mapping[str, Any]
    ) -> list[Any]:
        """Run a statement outside of every tenant about the logs of these tenants, and return its rows."""
        (rows,) = await self._ask_in_lane(_FOLLOW, name_followed(tenant_ids), Lane.FAST, [(statement, parameters)])
        return rows

    async def _ask_in_lane(
        self, entering: Executable, entered: str, lane: Lane, statements: Sequence[tuple[Executable, Mapping[str, Any]]]
    ) -> list[list[Any]]:
        """Run statements in one lane, and return the rows of each statement.

        The statement ``entering`` runs first: it sets who reads, with the value ``entered``.
        """
        its = self._lanes[lane]
        asked = [question_of(statement, parameters) for statement, parameters in statements]
        plans = PLAN_ONCE if all(question.statement.keeps_plan for question in asked) else PLAN_AS_USUAL
        entered_with = {"entered": entered, "milliseconds": its.milliseconds, "plans": plans}
        answers = await its.ask([question_of(entering, entered_with), *asked])
        return [answer.rows() for answer in answers[1:]]

    def door(self, lane: Lane) -> Door:
        """Return the figures of one lane."""
        return self._lanes[lane].door()

    def close(self) -> None:
        """Close all connections. Every request that waits is refused as if the database were away."""
        for lane in self._lanes.values():
            lane.close()


class _LaneConnections:
    """The connections of one lane, and the requests that wait for room on them."""

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
        """Return the answers to the questions of one request. Raises NoFreeConnection if too many requests wait."""
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
        """Send the waiting requests, each on the connection with the fewest unanswered requests."""
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
        """Begin to open a connection, without waiting for it."""
        task = asyncio.ensure_future(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        """Open one connection. If that fails and no connection is open, all waiting requests are refused."""
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
        """Put a request back as the first in line, because the server has forgotten its prepared statement."""
        self.waiting.appendleft(request)
        self._feed()

    def _lose(self, pipeline: Pipeline, pending: Sequence[Request], error: psycopg.Error) -> None:
        """Send the unanswered requests of a lost connection once more: a repeated read changes nothing.

        A request that was sent twice already is refused, and so is a request on a connection that did not answer in
        time.
        """
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

    # ── requests that wait too long ──────────────────────────────────────────────────────────────────────────────

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Plan the next look for overdue requests, unless one is planned."""
        if self._sweeping is None:
            shortest = min(self._answer_seconds, self._wait_seconds)
            self._sweeping = loop.call_later(shortest / SWEEPS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up connections that do not answer, and refuse requests that have waited too long for room."""
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
        """Return the figures of this lane. Another thread may call this, so it reads copies."""
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
        """Drop waiting requests whose askers do not wait any more."""
        self.waiting = deque(request for request in self.waiting if not request.answered.done())

    def _fail_waiting(self, error: Exception) -> None:
        """Refuse all waiting requests with an error."""
        while self.waiting:
            self.waiting.popleft().fail(error)

    def close(self) -> None:
        """Close all connections, and refuse every request that waits."""
        closed = psycopg.OperationalError("the connections are closed")
        for task in self._opening:
            task.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        # Refuse the waiting requests first: a closing connection would open another one for them.
        self._fail_waiting(wrap_error(closed, None, lost=True))
        for pipeline in list(self.pipelines):
            pipeline.lose(NoAnswer("the connections are closed"))
