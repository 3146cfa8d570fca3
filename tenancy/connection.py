"""One connection to PostgreSQL with time limits: for each answer, and for a network that is gone.

A server that falls silent (a frozen machine, a switch that drops packets) closes nothing, so a clock of this process
must end the waiting. Then the connection is closed, because the state of its work on the server is unknown.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg.rows import TupleRow

CONNECT_SECONDS = 5
"""How long one attempt to connect may take."""

TCP_UNANSWERED_SECONDS = 15
"""The kernel cuts the connection if the other side does not acknowledge sent data for so long."""

KEEPALIVE_IDLE_SECONDS = 10
KEEPALIVE_INTERVAL_SECONDS = 5
KEEPALIVE_COUNT = 3

NETWORK_OPTIONS = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": TCP_UNANSWERED_SECONDS * 1_000,
    "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
    "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
    "keepalives_count": KEEPALIVE_COUNT,
}
"""The options for libpq (PostgreSQL's documentation, "Database Connection Control Functions")."""

T = TypeVar("T")

Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]
"""Opens a connection."""


class NoAnswer(psycopg.OperationalError):
    """The database did not answer in time. The connection is closed."""


class BoundedConnection(psycopg.AsyncConnection[TupleRow]):
    """A connection on which each exchange with the server has a deadline."""

    answer_seconds: float | None = None

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - psycopg's
        """Wait for one exchange. Raises NoAnswer after ``answer_seconds``."""
        try:
            return await super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except _WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise NoAnswer("the database did not answer in time") from None


def connector(answer_seconds: float) -> Callable[..., Awaitable[BoundedConnection]]:
    """Return a function that opens connections. Each exchange on them may take ``answer_seconds``."""

    async def connect(*values: Any, **named: Any) -> BoundedConnection:
        connection = await BoundedConnection.connect(*values, **named)
        connection.answer_seconds = answer_seconds
        return connection

    return connect
