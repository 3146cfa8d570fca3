"""What goes over the connections of one door to the database. It is counted always: that costs next to nothing."""

import time
from collections.abc import Sequence
from typing import NamedTuple


class Traffic:
    """What one door has sent since the process started. The sender counts; metrics read it."""

    __slots__ = ("answer_seconds", "lost_connections", "refused", "round_trips", "statements", "waited_seconds")

    def __init__(self) -> None:
        self.round_trips = 0
        self.statements = 0
        """Statements of all round trips, with those that begin a transaction or enter a tenant."""
        self.answer_seconds = 0.0
        """From sending to the answer, all round trips together."""
        self.waited_seconds = 0.0
        """How long requests waited for a connection, all together."""
        self.refused = 0
        """Requests that were told that no connection became free in time."""
        self.lost_connections = 0


class Door(NamedTuple):
    """How things stand at one door to the database."""

    traffic: Traffic
    open_connections: int
    busy_connections: int
    """Connections that carry a request, or belong to a transaction."""
    most_connections: int
    waiting: int
    """Requests that wait for a connection."""
    oldest_wait_seconds: float


def age_of_oldest(came_at: Sequence[float]) -> float:
    """How long the first of some who wait in line has waited, in seconds; 0 where nobody waits.

    The times are those of the event loop, which counts as `time.monotonic` does.
    """
    return max(0.0, time.monotonic() - came_at[0]) if came_at else 0.0
