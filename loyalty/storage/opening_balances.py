"""What customers brought along from elsewhere."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select

from loyalty.rules.ids import CustomerId, OpeningBalanceId
from loyalty.rules.opening import OpeningNumbers
from loyalty.storage.tables import opening_balances
from tenancy.database import Transaction
from tenancy.table import tenant_parameter


class OpeningBalanceRow(NamedTuple):
    """An opening balance as clients see it."""

    id: OpeningBalanceId
    customer_id: CustomerId
    points: int
    lifetime_earned: int
    qualifying: int
    expires_at: datetime | None
    imported_at: datetime
    actor_kind: str
    actor: str

    @property
    def numbers(self) -> OpeningNumbers:
        """What was brought along."""
        return OpeningNumbers(self.points, self.lifetime_earned, self.qualifying)


_ALL = select(*(opening_balances.c[name] for name in OpeningBalanceRow._fields)).where(
    opening_balances.c.tenant_id == tenant_parameter()
)
_BY_IDS = _ALL.where(opening_balances.c.id.in_(bindparam("ids", expanding=True)))
_OF_CUSTOMERS = _ALL.where(opening_balances.c.customer_id.in_(bindparam("customers", expanding=True)))


async def read_opening_balances_by_id(
    tx: Transaction, ids: Sequence[OpeningBalanceId]
) -> dict[OpeningBalanceId, OpeningBalanceRow]:
    """The opening balances among ``ids``."""
    return {row.id: OpeningBalanceRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_opening_balances_of(
    tx: Transaction, customer_ids: Sequence[CustomerId]
) -> dict[CustomerId, OpeningBalanceRow]:
    """What each of these customers brought along; who brought nothing is absent."""
    rows = await tx.rows(_OF_CUSTOMERS, customers=list(customer_ids))
    return {row.customer_id: OpeningBalanceRow._make(row) for row in rows}
