"""The last use of credentials: noted in memory while requests are served, written in the background.

A process that dies loses only the notes of the last few seconds.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from loyalty.rules.ids import TenantId
from loyalty.storage.api_tokens import mark_used
from loyalty.storage.staff_sessions import mark_sessions_used
from tenancy.database import Database, Transaction

LAST_USED_STEP = timedelta(minutes=1)
"""The precision of ``last_used_at``. So each process writes a busy credential at most once a minute."""

MAX_NOTES = 10_000
"""The most uses of one kind of credential that one process remembers until they are written."""


class LastUses:
    """The noted uses of API tokens, OAuth clients and browser sessions that are not written yet."""

    def __init__(self) -> None:
        self.tokens = Notes(mark_used)
        self.sessions = Notes(mark_sessions_used)

    async def write(self, database: Database) -> None:
        """Write the noted uses. Uses that cannot be written are noted again."""
        await self.tokens.write(database)
        await self.sessions.write(database)


class Notes:
    """The noted uses of one kind of credential; ``mark`` writes those of one tenant."""

    def __init__(self, mark: Callable[[Transaction, Mapping[UUID, datetime]], Awaitable[None]]) -> None:
        self._mark = mark
        self._notes: dict[tuple[TenantId, UUID], datetime] = {}

    def note(self, tenant_id: TenantId, row_id: UUID, last_used_at: datetime | None, now: datetime) -> None:
        """Note a use, unless the written one is recent enough."""
        if last_used_at is not None and now - last_used_at < LAST_USED_STEP:
            return
        key = (tenant_id, row_id)
        if key in self._notes or len(self._notes) < MAX_NOTES:
            self._notes[key] = now

    async def write(self, database: Database) -> None:
        """Write the noted uses, one statement for each tenant. Uses that cannot be written are noted again."""
        notes, self._notes = self._notes, {}
        by_tenant: defaultdict[TenantId, dict[UUID, datetime]] = defaultdict(dict)
        for (tenant_id, row_id), used_at in notes.items():
            by_tenant[tenant_id][row_id] = used_at
        try:
            while by_tenant:
                tenant_id, uses = next(iter(by_tenant.items()))
                async with database.tenant_transaction(tenant_id) as tx:
                    await self._mark(tx, uses)
                del by_tenant[tenant_id]
        finally:
            for tenant_id, uses in by_tenant.items():
                for row_id, used_at in uses.items():
                    self._notes.setdefault((tenant_id, row_id), used_at)
