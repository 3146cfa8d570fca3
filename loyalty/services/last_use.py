"""The last use of credentials: noted in memory while requests are served, written in the background.

A process that dies loses only the notes of the last few seconds.
"""

from collections import defaultdict
from datetime import datetime, timedelta

from loyalty.rules.ids import TenantId, TokenId
from loyalty.storage.api_tokens import mark_used
from tenancy.database import Database

LAST_USED_STEP = timedelta(minutes=1)
"""The precision of ``last_used_at``. So each process writes a busy token at most once a minute."""

MAX_NOTES = 10_000
"""The most tokens whose use one process remembers until it is written. The use of further tokens is not noted."""


class LastUses:
    """The noted uses that are not written yet."""

    def __init__(self) -> None:
        self._notes: dict[tuple[TenantId, TokenId], datetime] = {}

    def note(self, tenant_id: TenantId, token_id: TokenId, last_used_at: datetime | None, now: datetime) -> None:
        """Note a use, unless the written one is recent enough."""
        if last_used_at is not None and now - last_used_at < LAST_USED_STEP:
            return
        key = (tenant_id, token_id)
        if key in self._notes or len(self._notes) < MAX_NOTES:
            self._notes[key] = now

    async def write(self, database: Database) -> None:
        """Write the noted uses, one statement for each tenant. Uses that cannot be written are noted again."""
        notes, self._notes = self._notes, {}
        by_tenant: defaultdict[TenantId, dict[TokenId, datetime]] = defaultdict(dict)
        for (tenant_id, token_id), used_at in notes.items():
            by_tenant[tenant_id][token_id] = used_at
        try:
            while by_tenant:
                tenant_id, uses = next(iter(by_tenant.items()))
                async with database.tenant_transaction(tenant_id) as tx:
                    await mark_used(tx, uses)
                del by_tenant[tenant_id]
        finally:
            for tenant_id, uses in by_tenant.items():
                for token_id, used_at in uses.items():
                    self._notes.setdefault((tenant_id, token_id), used_at)
