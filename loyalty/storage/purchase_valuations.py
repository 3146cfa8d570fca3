"""Read purchases that must be valued, or valued again, with what points and gift cards pay of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, cast, func, literal, select, true

from loyalty.rules.payments import PaidWithCards
from loyalty.rules.purchase import PurchaseKind
from loyalty.rules.redemption import HoldState
from loyalty.storage.accruals import AccrualRow, accrual_row
from loyalty.storage.cards_paid import cards_paid, read_cards_paid
from loyalty.storage.points_paid import select_given_back
from loyalty.storage.purchase_preparation import look_up
from loyalty.storage.purchases import PurchaseRow, purchase_columns, purchase_row
from loyalty.storage.refunds import was_refunded
from loyalty.storage.tables import accruals, holds, purchases, redemption_returns, redemptions
from tenancy.database import Transaction
from tenancy.table import INSTANT, record_set, tenant_parameter


def _select_points_paid(kind: ColumnElement[Any], external_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return what active holds and redemptions for a purchase pay of it, less the points given back.

    Points given back for a refund had paid for the refunded part, so they still count.
    """
    held = select(func.sum(holds.c.discount_minor)).where(
        holds.c.tenant_id == tenant_parameter(),
        holds.c.purchase_kind == kind,
        holds.c.purchase_external_id == external_id,
        holds.c.state == literal(HoldState.ACTIVE),
    )
    of_purchase = (
        redemptions.c.tenant_id == tenant_parameter(),
        redemptions.c.purchase_kind == kind,
        redemptions.c.purchase_external_id == external_id,
    )
    spent = select(func.sum(redemptions.c.discount_minor)).where(*of_purchase)
    returned = (
        select(func.sum(redemption_returns.c.discount_minor))
        .join_from(
            redemptions,
            redemption_returns,
            (redemption_returns.c.tenant_id == redemptions.c.tenant_id)
            & (redemption_returns.c.redemption_id == redemptions.c.id),
        )
        .where(*of_purchase)
    )
    parts = [func.coalesce(part.scalar_subquery(), 0) for part in (held, spent, returned)]
    _, refunded_minor = select_given_back(kind, external_id)
    return cast(parts[0] + parts[1] - parts[2] + refunded_minor, BigInteger)


_DUE_EVALUATIONS = (
    select(
        *purchase_columns,
        _select_points_paid(purchases.c.kind, purchases.c.external_id).label("points_paid_minor"),
        cards_paid(purchases.c.kind, purchases.c.external_id),
        was_refunded(purchases.c.id),
    )
    .where(
        purchases.c.tenant_id == tenant_parameter(),
        purchases.c.evaluates_at <= bindparam("now", type_=INSTANT),
    )
    .order_by(purchases.c.evaluates_at, purchases.c.id)
    .limit(bindparam("limit"))
)


_keys = record_set("keys", [("kind", Text()), ("external_id", Text())])


_of_key = look_up(
    "purchase",
    [column for column in purchases.c if column.name != "tenant_id"],
    purchases.c.tenant_id == tenant_parameter(),
    purchases.c.kind == _keys.c.kind,
    purchases.c.external_id == _keys.c.external_id,
)


_of_purchase = look_up(
    "accrual",
    [column for column in accruals.c if column.name != "tenant_id"],
    accruals.c.tenant_id == tenant_parameter(),
    accruals.c.purchase_id == _of_key.c.id,
    accruals.c.generation == _of_key.c.generation,
)


_EVALUATED = select(
    _select_points_paid(_keys.c.kind, _keys.c.external_id).label("points_paid_minor"),
    cards_paid(_keys.c.kind, _keys.c.external_id),
    was_refunded(_of_key.c.id),
    *(column.label(f"purchase_{column.name}") for column in _of_key.c),
    *(column.label(f"accrual_{column.name}") for column in _of_purchase.c),
).select_from(_keys.join(_of_key, true()).join(_of_purchase, true()))


class EvaluatedPurchase(NamedTuple):
    """An evaluated purchase, with its accrual and what points and cards pay of it now."""

    purchase: PurchaseRow
    accrual: AccrualRow
    points_paid_minor: int
    cards: PaidWithCards
    was_refunded: bool


class DueEvaluation(NamedTuple):
    """A purchase whose rules are due to be evaluated, and what points and cards pay of it now."""

    purchase: PurchaseRow
    points_paid_minor: int
    cards: PaidWithCards
    was_refunded: bool


async def read_evaluated_purchases(
    tx: Transaction, keys: Sequence[tuple[PurchaseKind, str]]
) -> list[EvaluatedPurchase]:
    """Return the purchases with these natural keys that were evaluated in their present generation."""
    wanted = [{"kind": kind, "external_id": external_id} for kind, external_id in set(keys)]
    rows = await tx.rows(_EVALUATED, keys=wanted)
    return [
        EvaluatedPurchase(
            purchase_row(row), accrual_row(row), row.points_paid_minor, read_cards_paid(row), row.was_refunded
        )
        for row in rows
    ]


async def read_due_evaluations(tx: Transaction, now: datetime, limit: int) -> list[DueEvaluation]:
    """Return purchases whose rules are due to be evaluated."""
    rows = await tx.rows(_DUE_EVALUATIONS, now=now, limit=limit)
    return [
        DueEvaluation(purchase_row(row), row.points_paid_minor, read_cards_paid(row), row.was_refunded) for row in rows
    ]
