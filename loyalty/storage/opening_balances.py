"""The opening balances of customers."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import select

from loyalty.rules.ids import CustomerId, OpeningBalanceId
from loyalty.rules.opening import OpeningNumbers
from loyalty.storage.tables import customers, opening_balances
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class OpeningBalanceRow(NamedTuple):
    """An opening balance as clients see it."""

    id: OpeningBalanceId
    customer_id: CustomerId
    named_id: CustomerId
    points: int
    lifetime_earned: int
    qualifying: int
    expires_on: date | None
    """The last day in the import, if it has one."""
    expires_at: datetime | None
    earned_on: date | None
    """The local day on which the points were earned, if the import has one."""
    imported_at: datetime
    actor_kind: str
    actor: str

    @property
    def numbers(self) -> OpeningNumbers:
        """The numbers of the opening balance."""
        return OpeningNumbers(self.points, self.lifetime_earned, self.qualifying)


class NamedOpening(NamedTuple):
    """A customer whom an import names, and the earlier opening balance under this name.

    ``id`` is the named customer's own id, also if this customer was merged.
    """

    id: CustomerId
    balance: OpeningBalanceRow | None


_COLUMNS = [opening_balances.c[name] for name in OpeningBalanceRow._fields]
_BY_IDS = select(*_COLUMNS).where(
    opening_balances.c.tenant_id == tenant_parameter(), among(opening_balances.c.id, "ids")
)
_OF_NAMES = (
    select(customers.c.external_id, customers.c.id.label("named"), *_COLUMNS)
    .select_from(
        customers.outerjoin(
            opening_balances,
            (opening_balances.c.tenant_id == customers.c.tenant_id) & (opening_balances.c.named_id == customers.c.id),
        )
    )
    .where(
        customers.c.tenant_id == tenant_parameter(),
        among(customers.c.external_id, "external_ids"),
    )
)


async def read_opening_balances_by_id(
    tx: Reads, ids: Sequence[OpeningBalanceId]
) -> dict[OpeningBalanceId, OpeningBalanceRow]:
    """Return the opening balances among ``ids``."""
    return {row.id: OpeningBalanceRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def read_named_openings(tx: Transaction, external_ids: Sequence[str]) -> dict[str, NamedOpening]:
    """Return customers by external id, each with the opening balance under that same external id."""
    rows = await tx.rows(_OF_NAMES, external_ids=list(external_ids))
    return {
        row.external_id: NamedOpening(row.named, OpeningBalanceRow._make(row[2:]) if row.id else None) for row in rows
    }
