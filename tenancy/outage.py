"""Let an endless loop survive a database that is away: it waits, longer each time, and logs the outage once.

An outage is logged when it begins and when it is over, not for each attempt between. A failure that ends by itself (a
database that restarts, a lock, a full pool) is a warning without a traceback. Any other failure is a bug in this
service.
"""

import random

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from tenancy.elsewhere import REFUSED_STATE

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.outage")

FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 5.0
SHORTEST_SHARE = 0.5
"""A wait is drawn at random between this share of it and all of it, so that many processes do not return together."""

AWAY_CLASSES = frozenset({"08", "53"})
"""connection_exception and insufficient_resources (PostgreSQL, appendix A)."""
AWAY_STATES = frozenset({"57P01", "57P02", "57P03"})
"""admin_shutdown, crash_shutdown and cannot_connect_now (as above)."""
BUSY_STATES = frozenset({"25P03", "40001", "40P01", "55P03", "57014", REFUSED_STATE})
"""idle_in_transaction_session_timeout, serialization_failure, deadlock_detected, lock_not_available, and
query_canceled, which ends a statement that takes too long (as above). Also the state of a tenant that is being
moved."""


class Outage:
    """The current outage of a loop, or none. ``who`` is the loop's name for the log."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._failures = 0

    def failed(self, error: Exception) -> float:
        """Note a failed attempt, and log the first one; returns the seconds to wait before the next attempt."""
        if not self._failures:
            log_failure(log, "interrupted", error, who=self._who)
        longest = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return longest * random.uniform(SHORTEST_SHARE, 1)  # noqa: S311 - jitter, not a secret

    def over(self) -> None:
        """Note a successful attempt, and log it if it ends an outage."""
        if self._failures:
            log.info("works again", who=self._who, failures=self._failures)
        self._failures = 0


def is_away(error: Exception) -> bool:
    """Return whether the database could not be reached or used. Such an error says nothing about the work itself."""
    if isinstance(error, OSError | NoFreeConnection):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return _says_away(find_cause(error))


def is_passing(error: Exception) -> bool:
    """Return whether the database is away or too busy, so that the same work may succeed a little later."""
    return isinstance(error, TimeoutError) or is_away(error) or sqlstate_of(error) in BUSY_STATES


def log_failure(logger: structlog.stdlib.BoundLogger, event: str, error: Exception, **details: object) -> None:
    """Log a failure: a warning with its reason if it ends by itself, otherwise an error with its traceback."""
    if is_passing(error):
        logger.warning(event, reason=_say_reason(error), **details)
    else:
        logger.error(event, exc_info=(type(error), error, error.__traceback__), **details)


def _say_reason(error: Exception) -> str:
    """Return the name of the error and its first line. The driver's other lines may quote values."""
    cause = find_cause(error)
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}".removesuffix(": ")


def find_cause(error: BaseException) -> BaseException:
    """Return the error of the driver if SQLAlchemy has wrapped it, else the error itself."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def sqlstate_of(error: BaseException) -> str | None:
    """Return the SQLSTATE with which the database refused a statement; None if it did not."""
    state = getattr(find_cause(error), "sqlstate", None)
    return state if isinstance(state, str) else None


def _says_away(error: BaseException) -> bool:
    """Return whether an error of the driver says that the database is away."""
    sqlstate = sqlstate_of(error)
    if sqlstate is None:
        # Without a SQLSTATE the driver could not ask: the server did not answer, or the connection broke.
        return isinstance(error, psycopg.OperationalError)
    return sqlstate[:2] in AWAY_CLASSES or sqlstate in AWAY_STATES
