"""Refunds of purchases."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, literal, select

from loyalty.rules.ids import CustomerId, PurchaseId, PurchaseRefundId
from loyalty.rules.quantity import quantity_from_document
from loyalty.rules.refund import LineRefund, Refund
from loyalty.storage.tables import purchase_refunds
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class RefundRow(NamedTuple):
    """One refund of a purchase, and the points that it took."""

    id: PurchaseRefundId
    purchase_id: PurchaseId
    customer_id: CustomerId
    number: int
    amount_minor: int
    lines: list[dict[str, Any]]
    points: int
    reason: str | None
    occurred_at: datetime | None
    recorded_at: datetime
    actor_kind: str
    actor: str
    point_share: int | None = None
    """How many points had paid for the refunded part; None if an earlier release did not count them."""
    point_share_minor: int | None = None
    returned_points: int = 0
    """How many of those points went back in the same transaction."""
    returned_minor: int = 0

    @property
    def refund(self) -> Refund:
        """As the rules know it: the amounts of its lines are not among those without a line."""
        lines = tuple(
            LineRefund(one["position"], quantity_from_document(one["quantity"]), one["amount_minor"])
            for one in self.lines
        )
        of_no_line_minor = self.amount_minor - sum(one["money_minor"] for one in self.lines)
        return Refund(lines, of_no_line_minor, money_minor=self.amount_minor)


_REFUND_COLUMNS = [purchase_refunds.c[name] for name in RefundRow._fields]


_REFUNDS = (
    select(*_REFUND_COLUMNS)
    .where(
        purchase_refunds.c.tenant_id == tenant_parameter(),
        among(purchase_refunds.c.purchase_id, "purchases"),
    )
    .order_by(purchase_refunds.c.purchase_id, purchase_refunds.c.number)
)


_REFUNDS_BY_ID = select(*_REFUND_COLUMNS).where(
    purchase_refunds.c.tenant_id == tenant_parameter(),
    among(purchase_refunds.c.id, "ids"),
)


def was_refunded(purchase_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return a column: whether a purchase has a refund. A refund of units that cost nothing changes no sum of money.

    It is a look-up and not EXISTS, for which PostgreSQL may read the first refunds of all purchases.
    """
    first = select(purchase_refunds.c.number).where(
        purchase_refunds.c.tenant_id == tenant_parameter(),
        purchase_refunds.c.purchase_id == purchase_id,
        purchase_refunds.c.number == literal(1),
    )
    return first.limit(1).scalar_subquery().is_not(None).label("was_refunded")


async def read_refunds(tx: Reads, purchase_ids: Sequence[PurchaseId]) -> dict[PurchaseId, list[RefundRow]]:
    """Return the refunds of each purchase, in their order."""
    found: dict[PurchaseId, list[RefundRow]] = {purchase_id: [] for purchase_id in purchase_ids}
    for row in await tx.rows(_REFUNDS, purchases=list(purchase_ids)):
        found[row.purchase_id].append(RefundRow._make(row))
    return found


async def read_refunds_by_id(tx: Transaction, ids: Sequence[PurchaseRefundId]) -> dict[PurchaseRefundId, RefundRow]:
    """Return the refunds among ``ids``."""
    return {row.id: RefundRow._make(row) for row in await tx.rows(_REFUNDS_BY_ID, ids=list(ids))}
