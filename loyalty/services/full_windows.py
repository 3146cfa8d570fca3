"""The clients whose window of wrong look-ups is full, as far as one process knows."""

from collections import OrderedDict
from datetime import datetime

from loyalty.rules.ids import TenantId

MAX_REMEMBERED_WINDOWS = 10_000
"""The most full windows that one process remembers. It learns of a forgotten one with the next wrong look-up."""


class FullWindows:
    """The ends of the full windows of clients."""

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[TenantId, str], datetime] = OrderedDict()

    def find_end(self, tenant_id: TenantId, client: str, now: datetime) -> datetime | None:
        """Return when the full window of a client ends; None if it is not full, or has ended."""
        ends_at = self._ends.get((tenant_id, client))
        return ends_at if ends_at is not None and now < ends_at else None

    def remember(self, tenant_id: TenantId, client: str, ends_at: datetime) -> None:
        """Remember a full window."""
        self._ends[tenant_id, client] = ends_at
        self._ends.move_to_end((tenant_id, client))
        if len(self._ends) > MAX_REMEMBERED_WINDOWS:
            self._ends.popitem(last=False)
