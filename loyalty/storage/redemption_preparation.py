"""Read the facts that an operation about holds, redemptions or a purchase needs before it locks anything."""

from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, func, null, select, true
from sqlalchemy.sql.elements import ColumnElement

from loyalty.rules.ids import CustomerId, HoldId, PurchaseId, RedemptionId
from loyalty.storage.idempotency import KEPT_FOR_CALL, KeptKey, KeyedCall
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchase_locks import take_purchase
from loyalty.storage.shared_names import conditions_of
from loyalty.storage.tables import customers, holds, programs, purchases, redemptions
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import tenant_parameter


class Prepared(NamedTuple):
    """The facts that an operation needs before it locks anything."""

    config_version: int
    kept_key: KeptKey | None
    customer_id: CustomerId | None
    purchase_id: PurchaseId | None = None


def _prepare(*found: ColumnElement[Any]) -> Any:
    kept = KEPT_FOR_CALL.subquery("kept")
    return (
        select(programs.c.config_version, kept.c.fingerprint, kept.c.result_id, *found)
        .select_from(programs.outerjoin(kept, true()))
        .where(programs.c.tenant_id == tenant_parameter())
    )


def _owner_of(table: Any, parameter: str) -> Any:
    return (
        select(func.coalesce(customers.c.merged_into, customers.c.id))
        .join_from(
            table, customers, (customers.c.tenant_id == table.c.tenant_id) & (customers.c.id == table.c.customer_id)
        )
        .where(table.c.tenant_id == tenant_parameter(), table.c.id == bindparam(parameter))
        .scalar_subquery()
        .label("customer_id")
    )


def _customer_by(condition: ColumnElement[bool]) -> Any:
    """Return the oldest customer for whom a condition holds. An erased customer is not found."""
    return (
        select(func.coalesce(customers.c.merged_into, customers.c.id))
        .where(customers.c.tenant_id == tenant_parameter(), customers.c.erased_at.is_(None), condition)
        .order_by(customers.c.id)
        .limit(1)
        .scalar_subquery()
        .label("customer_id")
    )


_PREPARE_FOR_CUSTOMER = {
    "id": _prepare(_customer_by(customers.c.id == bindparam("value"))),
    "external_id": _prepare(_customer_by(customers.c.external_id == bindparam("value"))),
    **{what: _prepare(_customer_by(condition)) for what, condition in conditions_of(customers).items()},
}


_TAKE_PURCHASE = take_purchase(bindparam("purchase_kind", type_=Text()), bindparam("purchase_id", type_=Text()))


_PREPARE_TO_HOLD = {what: statement.add_columns(_TAKE_PURCHASE) for what, statement in _PREPARE_FOR_CUSTOMER.items()}


_PREPARE_FOR_NOBODY = _prepare(null().label("customer_id"))


_PREPARE_FOR_HOLD = _prepare(_owner_of(holds, "hold"))


_PREPARE_FOR_REDEMPTION = _prepare(_owner_of(redemptions, "redemption"))


def _prepare_purchase(*conditions: ColumnElement[bool]) -> Any:
    named = (purchases.c.tenant_id == tenant_parameter(), *conditions)
    return _prepare(
        select(purchases.c.customer_id).where(*named).scalar_subquery().label("customer_id"),
        select(purchases.c.id).where(*named).scalar_subquery().label("purchase_id"),
    )


_PREPARE_FOR_PURCHASE_ID = _prepare_purchase(purchases.c.id == bindparam("id"))


_PREPARE_FOR_PURCHASE_KEY = _prepare_purchase(
    purchases.c.kind == bindparam("kind"), purchases.c.external_id == bindparam("external_id")
)


async def prepare_for_customer(tx: Reads, call: KeyedCall, what: str, **values: Any) -> Prepared | None:
    """Read the facts for an operation about a customer; None without a program.

    The customer is named by ``id``, ``external_id`` or a shared name.
    """
    return _read_prepared(await tx.row(_PREPARE_FOR_CUSTOMER[what], **call.parameters, **values))


async def prepare_to_hold(
    tx: Transaction, call: KeyedCall, purchase: PurchaseKey, what: str, **values: Any
) -> Prepared | None:
    """Read the facts for a new hold, and wait until no other operation begins with its purchase.

    Returns None without a program.
    """
    named = {"purchase_kind": purchase.kind, "purchase_id": purchase.external_id}
    return _read_prepared(await tx.row(_PREPARE_TO_HOLD[what], **call.parameters, **named, **values))


async def prepare_for_nobody(tx: Reads, call: KeyedCall) -> Prepared | None:
    """Read the facts for an operation about no customer; None without a program."""
    return _read_prepared(await tx.row(_PREPARE_FOR_NOBODY, **call.parameters))


async def prepare_for_hold(tx: Transaction, call: KeyedCall, hold_id: HoldId) -> Prepared | None:
    """Read the facts for an operation about a hold."""
    return _read_prepared(await tx.row(_PREPARE_FOR_HOLD, **call.parameters, hold=hold_id))


async def prepare_for_redemption(tx: Transaction, call: KeyedCall, redemption_id: RedemptionId) -> Prepared | None:
    """Read the facts for an operation about a redemption."""
    return _read_prepared(await tx.row(_PREPARE_FOR_REDEMPTION, **call.parameters, redemption=redemption_id))


async def prepare_for_purchase(tx: Transaction, call: KeyedCall, **purchase: Any) -> Prepared | None:
    """Read the facts for an operation about a purchase, named by ``id``, or by ``kind`` and ``external_id``."""
    statement = _PREPARE_FOR_PURCHASE_ID if "id" in purchase else _PREPARE_FOR_PURCHASE_KEY
    row = await tx.row(statement, **call.parameters, **purchase)
    prepared = _read_prepared(row)
    return prepared._replace(purchase_id=row.purchase_id) if prepared and row else None


def _read_prepared(row: Any) -> Prepared | None:
    if row is None:
        return None
    kept = KeptKey(row.fingerprint, row.result_id) if row.fingerprint is not None else None
    return Prepared(row.config_version, kept, row.customer_id)
