"""Run a whole transaction again if the database or an optimistic check asks for it."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from tenancy.elsewhere import REFUSED_STATE
from tenancy.outage import sqlstate_of

MAX_ATTEMPTS = 8
FIRST_WAIT_SECONDS = 0.005
MAX_WAIT_SECONDS = 0.2

SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
FEATURE_NOT_SUPPORTED = "0A000"
"""With this SQLSTATE PostgreSQL says that a prepared plan cannot be used, because its table has changed."""

_CAUSES = {
    SERIALIZATION_FAILURE: "serialization_failure",
    DEADLOCK_DETECTED: "deadlock",
    FEATURE_NOT_SUPPORTED: "void_plan",
    REFUSED_STATE: "tenant_elsewhere",
}

retries: Counter[str] = Counter()
"""How often this process ran a transaction again, for each cause."""

T = TypeVar("T")


class StaleRead(Exception):
    """A row that the transaction read has changed before its write.

    Nothing was written; the whole transaction runs again.
    """


async def retry_transaction(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work``, one whole transaction, until no other one disturbs it. Runs it at most ``MAX_ATTEMPTS`` times."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            return await work()
        except (DBAPIError, StaleRead) as disturbance:
            cause = _name_cause(disturbance)
            if cause is None or attempt == MAX_ATTEMPTS:
                raise
            retries[cause] += 1
            longest = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**attempt)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, not a secret
    raise AssertionError


def _name_cause(disturbance: Exception) -> str | None:
    """Return the name of the cause for which a transaction runs again; None for an error that would only come again."""
    if isinstance(disturbance, StaleRead):
        return "stale_read"
    return _CAUSES.get(sqlstate_of(disturbance) or "")
