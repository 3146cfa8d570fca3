"""Counts of the requests and statements at one door to the database.

Counting costs almost nothing, so it is always on.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple


class Traffic:
    """The counts of one door since the process started. The sender of requests counts; metrics read the counts."""

    __slots__ = ("answer_seconds", "lost_connections", "refused", "round_trips", "statements", "waited_seconds")

    def __init__(self) -> None:
        self.round_trips = 0
        self.statements = 0
        """Statements of all round trips, with the statements that begin a transaction or enter a tenant."""
        self.answer_seconds = 0.0
        """The time from sending to the answer, summed over all round trips."""
        self.waited_seconds = 0.0
        """The time that requests waited for a connection, summed."""
        self.refused = 0
        """Requests that were refused because no connection became free in time."""
        self.lost_connections = 0


class Door(NamedTuple):
    """The figures of one door to the database."""

    traffic: Traffic
    open_connections: int
    busy_connections: int
    """Connections that carry a request or belong to a transaction."""
    most_connections: int
    waiting: int
    """Requests that wait for a connection."""
    oldest_wait_seconds: float


def age_of_oldest(came_at: Sequence[float]) -> float:
    """Return for how many seconds the first request in line has waited; 0 if none waits.

    The times are those of the event loop, which counts as `time.monotonic` does.
    """
    return max(0.0, time.monotonic() - came_at[0]) if came_at else 0.0
