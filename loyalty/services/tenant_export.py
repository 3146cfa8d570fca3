"""Export a tenant: all its rows, as they were at one moment."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from loyalty.storage.tenant_export import EXPORTED, ExportPlace, read_export_page


class ExportedRow(NamedTuple):
    """A row, and the name of its table."""

    table: str
    row: Mapping[str, Any]


async def export_tenant(world: World, tenant_id: TenantId) -> AsyncIterator[ExportedRow]:
    """Yield every row of a tenant, table by table, as they were at one moment; none for an unknown tenant.

    Secrets are left out: hashes of credentials, and the codes of gift cards.
    """
    async with world.database.tenant_transaction(tenant_id, snapshot=True) as tx:
        for table in EXPORTED:
            place: ExportPlace | None = None
            while True:
                rows, place = await read_export_page(tx, table, place)
                for row in rows:
                    yield ExportedRow(table, row)
                if place is None:
                    break
