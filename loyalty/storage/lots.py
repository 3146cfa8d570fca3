"""Read the open lots before a decision about points."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, literal, select

from loyalty.rules.ids import CustomerId
from loyalty.rules.lots import Lot, LotState
from loyalty.storage.tables import lots
from tenancy.database import Transaction
from tenancy.table import among, tenant_parameter

_LOT_NAMES = tuple(item.name for item in fields(Lot))
LOT_COLUMNS = [lots.c[name] for name in ("customer_id", *_LOT_NAMES)]


def spending_order(columns: Any) -> tuple[ColumnElement[Any], ...]:
    """Return the order in which lots are spent: the soonest expiry first, then the oldest."""
    return columns.expires_at.asc().nulls_last(), columns.opened_at, columns.id


_OPEN_LOTS = (
    select(*LOT_COLUMNS)
    .where(
        lots.c.tenant_id == tenant_parameter(),
        among(lots.c.customer_id, "customers"),
        lots.c.state == literal(LotState.OPEN),
    )
    .order_by(*spending_order(lots.c))
)


async def read_open_lots(tx: Transaction, customer_ids: Sequence[CustomerId]) -> dict[CustomerId, list[Lot]]:
    """Return the lots with points left, in the order in which they are spent. The accounts must be locked."""
    found: dict[CustomerId, list[Lot]] = {customer_id: [] for customer_id in customer_ids}
    for row in await tx.rows(_OPEN_LOTS, customers=list(customer_ids)):
        found[CustomerId(row.customer_id)].append(lot_of(row))
    return found


def lot_of(row: Any) -> Lot:
    """Return a lot for the rules, from ``LOT_COLUMNS``."""
    return Lot(**{name: getattr(row, name) for name in _LOT_NAMES})
