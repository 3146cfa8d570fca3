"""The form of a sweep: background work that time has made due."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from loyalty.storage.due import Due


class Swept(NamedTuple):
    """The number of items that a batch has done, and how many of them were late."""

    done: int
    late: int = 0
    more: bool = False
    """Whether the next batch may have work even if this one has done nothing."""


NOTHING_SWEPT = Swept(0)


class Sweep(NamedTuple):
    """One kind of sweep: its name in the log, the query that finds due work, and its handler."""

    name: str
    due: Due
    """How the relay role finds tenants with due work: by an index that begins with the time."""
    work: Callable[[World, TenantId], Awaitable[Swept]]
    """The handler: it does one batch in a tenant, in a transaction of its own."""
