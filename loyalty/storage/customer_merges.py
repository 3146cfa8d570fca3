"""Merges of customers: the source and the target, and the rows that move besides the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Table, Update, bindparam, case, or_, select, update

from loyalty.rules.ids import CustomerId, CustomerMergeId
from loyalty.storage.person import customer_columns_of
from loyalty.storage.tables import accruals, customer_merges, customers, gift_card_gifts, gift_cards, purchases
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.retry import StaleRead
from tenancy.table import among, tenant_parameter


class MergeRow(NamedTuple):
    """A merge as clients see it."""

    id: CustomerMergeId
    source_id: CustomerId
    source_external_id: str
    target_id: CustomerId
    points: int
    pending: int
    lifetime_earned: int
    qualifying: int
    window_points: int
    previous_window_points: int
    reason: str | None
    merged_at: datetime
    actor_kind: str
    actor: str


_source = customers.c.external_id.label("source_external_id")
_BY_IDS = (
    select(*(_source if name == _source.name else customer_merges.c[name] for name in MergeRow._fields))
    .join_from(
        customer_merges,
        customers,
        (customers.c.tenant_id == customer_merges.c.tenant_id) & (customers.c.id == customer_merges.c.source_id),
    )
    .where(customer_merges.c.tenant_id == tenant_parameter(), among(customer_merges.c.id, "ids"))
)
# Locked in the same order as recordings lock customers, with all rows that a merge moves: so there is no deadlock.
_PROFILES = (
    select(customers.c.id, customers.c.erased_at)
    .where(
        customers.c.tenant_id == tenant_parameter(),
        or_(
            customers.c.id.in_([bindparam("source"), bindparam("target")]),
            customers.c.merged_into == bindparam("source"),
        ),
    )
    .order_by(customers.c.external_id)
)
_LOCK = _PROFILES.with_for_update(key_share=True)
# Customers that were merged into the source before lead to the target now, so that every id leads there in one step.
_LEAD = (
    update(customers)
    .where(
        customers.c.tenant_id == tenant_parameter(),
        or_(customers.c.id == bindparam("source"), customers.c.merged_into == bindparam("source")),
    )
    .values(merged_into=bindparam("target"))
)
_ACCRUALS = (
    update(accruals)
    .where(
        accruals.c.tenant_id == tenant_parameter(),
        accruals.c.purchase_id.in_(
            select(purchases.c.id).where(
                purchases.c.tenant_id == tenant_parameter(), purchases.c.customer_id == bindparam("source")
            )
        ),
    )
    .values(customer_id=bindparam("target"))
)
_source_id = bindparam("source", type_=customers.c.id.type)
_target_id = bindparam("target", type_=customers.c.id.type)


def _replace_source(table: Table) -> Update:
    """Return the statement that writes the target into the columns of a table that name the source."""
    columns = [table.c[name] for name in customer_columns_of(table)]
    return (
        update(table)
        .where(table.c.tenant_id == tenant_parameter(), or_(*(column == _source_id for column in columns)))
        .values({column.name: case((column == _source_id, _target_id), else_=column) for column in columns})
    )


_PURCHASES = (
    update(purchases)
    .where(purchases.c.tenant_id == tenant_parameter(), purchases.c.customer_id == bindparam("source"))
    .values(customer_id=bindparam("target"))
    # Gift cards and gifts travel along: one round trip for all.
    .add_cte(
        _replace_source(gift_cards).cte("moved_cards"),
        _replace_source(gift_card_gifts).cte("moved_gifts"),
    )
)


_LABELS = (
    update(customers)
    .where(customers.c.tenant_id == tenant_parameter(), customers.c.id == bindparam("customer"))
    .values(
        {name: bindparam(f"new_{name}", type_=customers.c[name].type) for name in ("identifiers", "tags", "facts_at")}
    )
)


async def read_merges_by_id(tx: Reads, ids: Sequence[CustomerMergeId]) -> dict[CustomerMergeId, MergeRow]:
    """Return the merges among ``ids``."""
    return {row.id: MergeRow._make(row) for row in await tx.rows(_BY_IDS, ids=list(ids))}


async def lock_profiles(tx: Transaction, source_id: CustomerId, target_id: CustomerId) -> set[CustomerId]:
    """Lock the profiles of a merge before its accounts, in the same order as recordings. Return whoever is erased.

    Raises StaleRead if another customer was merged into the source meanwhile: that profile is not locked yet.
    """
    locked = {CustomerId(row.id): row.erased_at for row in await tx.rows(_LOCK, source=source_id, target=target_id)}
    if {row.id for row in await tx.rows(_PROFILES, source=source_id, target=target_id)} != locked.keys():
        raise StaleRead
    return {customer_id for customer_id, erased_at in locked.items() if erased_at is not None}


async def write_labels(tx: Transaction, customer_id: CustomerId, labels: Mapping[str, Any]) -> None:
    """Write the identifiers and tags of a customer, with the times since when they are so."""
    await tx.run(_LABELS, customer=customer_id, **{f"new_{name}": value for name, value in labels.items()})


async def move_customer(tx: Transaction, source_id: CustomerId, target_id: CustomerId) -> None:
    """Let the source's id, and every id that led to the source, lead to the target.

    The source's purchases with their accruals, its gift cards and its gifts move to the target.
    """
    for statement in (_LEAD, _ACCRUALS, _PURCHASES):
        await tx.run(statement, source=source_id, target=target_id)
