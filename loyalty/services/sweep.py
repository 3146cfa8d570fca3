"""What a sweep is: background work on what time alone has made due."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from loyalty.storage.due import Due


class Swept(NamedTuple):
    """How much a batch has done, and how much of it later than it should have been."""

    done: int
    late: int = 0


NOTHING_SWEPT = Swept(0)


class Sweep(NamedTuple):
    """One kind of background work: its name in the log, how its work is found, and who does a batch of it."""

    name: str
    due: Due
    """How the relay role finds tenants with work: by an index that begins with the time."""
    work: Callable[[World, TenantId], Awaitable[Swept]]
    """The handler: does one batch in a tenant, in a transaction of its own."""
