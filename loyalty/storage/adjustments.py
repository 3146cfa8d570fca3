"""The adjustments, with their actor and reason."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.ids import AdjustmentId, CustomerId
from loyalty.storage.tables import adjustments
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class AdjustmentRow(NamedTuple):
    """An adjustment as clients see it. The schema decides which of the notes a viewer may read."""

    id: AdjustmentId
    customer_id: CustomerId
    points: int
    requested_points: int
    reason: AdjustmentReason
    internal_note: str | None
    customer_description: str | None
    qualifying: bool
    actor_kind: str
    actor: str
    actor_subject: str
    created_at: datetime
    location: str | None = None


_BY_IDS = select(*(adjustments.c[name] for name in AdjustmentRow._fields)).where(
    adjustments.c.tenant_id == tenant_parameter(),
    among(adjustments.c.id, "ids"),
)


async def read_adjustments_by_id(tx: Reads, ids: Sequence[AdjustmentId]) -> dict[AdjustmentId, AdjustmentRow]:
    """Return the adjustments among ``ids``."""
    return {row.id: AdjustmentRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}
