"""What one batch of a sweep says: sweeps do what time alone has made due."""

from typing import NamedTuple


class Swept(NamedTuple):
    """How much a batch has done, and how much of it later than it should have been."""

    done: int
    late: int = 0


NOTHING_SWEPT = Swept(0)
