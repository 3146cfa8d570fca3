"""What a loop that must not end does while the database is away: it waits, longer each time, and says so once.

An outage is one piece of news when it begins and one when it is over, however many attempts lie between.
"""

import logging
import random

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

log: structlog.stdlib.BoundLogger = structlog.get_logger("treue.outage")

FIRST_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 5.0
SHORTEST_SHARE = 0.5
"""Waits are drawn between this share and the whole, so that many processes do not come back at the same instant."""

AWAY_CLASSES = frozenset({"08", "53"})
"""connection_exception and insufficient_resources (PostgreSQL, appendix A)."""
AWAY_STATES = frozenset({"57P01", "57P02", "57P03"})
"""admin_shutdown, crash_shutdown and cannot_connect_now (as above)."""


class Outage:
    """The trouble that ``who`` (a name for the log) has at the moment, or has not."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._failures = 0

    def failed(self, error: Exception) -> float:
        """Note a failed attempt, log it when it is the first; returns how many seconds to wait before the next."""
        if not self._failures:
            # A full pool is no outage: requests take all connections just now.
            level = logging.WARNING if isinstance(error, NoFreeConnection) else logging.ERROR
            log.log(level, "interrupted", who=self._who, exc_info=(type(error), error, error.__traceback__))
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
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        return _tells_away(error.orig)
    return _tells_away(error)


def _tells_away(error: BaseException | None) -> bool:
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is None:
        # The driver could not even ask: nobody answered, or the connection broke off.
        return isinstance(error, psycopg.OperationalError)
    return sqlstate[:2] in AWAY_CLASSES or sqlstate in AWAY_STATES
