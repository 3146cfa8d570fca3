"""What a loop that must not end does while the database is away: it waits, longer each time, and says so once.

An outage is one piece of news when it begins and one when it is over, however many attempts lie between. What passes by
itself (a database that restarts, a lock, a full pool) is a warning without a traceback; anything else is a bug of ours.
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
"""Waits are drawn between this share and the whole, so that many processes do not come back at the same instant."""

AWAY_CLASSES = frozenset({"08", "53"})
"""connection_exception and insufficient_resources (PostgreSQL, appendix A)."""
AWAY_STATES = frozenset({"57P01", "57P02", "57P03"})
"""admin_shutdown, crash_shutdown and cannot_connect_now (as above)."""
BUSY_STATES = frozenset({"25P03", "40001", "40P01", "55P03", "57014", REFUSED_STATE})
"""idle_in_transaction_session_timeout, serialization_failure, deadlock_detected, lock_not_available and query_canceled,
which is what a statement that took too long ends with (as above); and a tenant that is being moved."""


class Outage:
    """The trouble that ``who`` (a name for the log) has at the moment, or has not."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._failures = 0

    def failed(self, error: Exception) -> float:
        """Note a failed attempt, log it when it is the first; returns how many seconds to wait before the next."""
        if not self._failures:
            log_failure(log, "interrupted", error, who=self._who)
        longest = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return longest * random.uniform(SHORTEST_SHARE, 1)  # noqa: S311 - jitter, not a secret

    def over(self) -> None:
        """Note an attempt that went well; logs it when it ends an outage."""
        if self._failures:
            log.info("works again", who=self._who, failures=self._failures)
        self._failures = 0


def is_away(error: Exception) -> bool:
    """Whether the database could not be reached or used, which says nothing about the work that was tried."""
    if isinstance(error, OSError | NoFreeConnection):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return _tells_away(find_cause(error))


def is_passing(error: Exception) -> bool:
    """Whether the database is away or too busy, so that the same work may well succeed a little later."""
    return isinstance(error, TimeoutError) or is_away(error) or sqlstate_of(error) in BUSY_STATES


def log_failure(logger: structlog.stdlib.BoundLogger, event: str, error: Exception, **details: object) -> None:
    """Log what failed: a warning with the reason when it passes by itself, an error with its traceback otherwise."""
    if is_passing(error):
        logger.warning(event, reason=_say_reason(error), **details)
    else:
        logger.error(event, exc_info=(type(error), error, error.__traceback__), **details)


def _say_reason(error: Exception) -> str:
    """The error and its first line. The driver's further lines may quote values."""
    cause = find_cause(error)
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}".removesuffix(": ")


def find_cause(error: BaseException) -> BaseException:
    """The error of the driver, where SQLAlchemy has wrapped it."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE with which the database refused a statement; None where it did not."""
    state = getattr(find_cause(error), "sqlstate", None)
    return state if isinstance(state, str) else None


def _tells_away(error: BaseException) -> bool:
    sqlstate = sqlstate_of(error)
    if sqlstate is None:
        # The driver could not even ask: nobody answered, or the connection broke off.
        return isinstance(error, psycopg.OperationalError)
    return sqlstate[:2] in AWAY_CLASSES or sqlstate in AWAY_STATES
