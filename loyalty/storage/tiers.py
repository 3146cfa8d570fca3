"""Tiers in force, and the number of customers in each."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, true, update

from loyalty.rules.errors import DuplicateMinimum, DuplicateName
from loyalty.rules.ids import CustomerId, TierId
from loyalty.rules.money import Ratio
from loyalty.rules.search import fold_text
from loyalty.rules.tiers import Tier, TierChangeCause
from loyalty.storage.tables import accounts, tier_changes, tiers
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter

KEPT_TIERS = 1_000
"""The number of tiers that one process keeps, as values and as rows: a page of customers shows few different ones."""


class TierRow(NamedTuple):
    """A tier as clients see it."""

    id: TierId
    name: str
    color: str
    min_points: int
    factor: Ratio | None = None


class TierChangeRow(NamedTuple):
    """A customer's move from one tier to another."""

    customer_id: CustomerId
    from_tier_id: TierId | None
    to_tier_id: TierId | None
    upgraded: bool
    cause: TierChangeCause
    cause_id: UUID | None
    qualifying: int
    actor: str
    note: str | None
    changed_at: datetime
    actor_kind: str | None = None
    actor_name: str | None = None


_COLUMNS = [tiers.c[name] for name in ("id", "name", "color", "min_points", "factor_numerator", "factor_denominator")]
_ALL = (
    select(*_COLUMNS)
    .where(tiers.c.tenant_id == tenant_parameter(), tiers.c.deleted_at.is_(None))
    .order_by(tiers.c.min_points)
)
_BY_IDS = select(*_COLUMNS).where(
    tiers.c.tenant_id == tenant_parameter(),
    among(tiers.c.id, "ids"),
)
_SAME = select(tiers.c.min_points, tiers.c.name_key).where(
    tiers.c.tenant_id == tenant_parameter(),
    tiers.c.deleted_at.is_(None),
    tiers.c.id != bindparam("id"),
    (tiers.c.min_points == bindparam("min_points")) | (tiers.c.name_key == bindparam("name_key")),
)
_COUNTS = (
    select(accounts.c.tier_id, func.count().label("customers"))
    .where(accounts.c.tenant_id == tenant_parameter(), among(accounts.c.tier_id, "ids"))
    .group_by(accounts.c.tier_id)
)
_CHANGES_BY_CAUSE = select(*(tier_changes.c[name] for name in TierChangeRow._fields)).where(
    tier_changes.c.tenant_id == tenant_parameter(),
    among(tier_changes.c.cause_id, "ids"),
)
_last = (
    select(*(tier_changes.c[name] for name in ("id", *TierChangeRow._fields)))
    .where(tier_changes.c.tenant_id == tenant_parameter(), tier_changes.c.customer_id == accounts.c.customer_id)
    .order_by(tier_changes.c.id.desc())
    .limit(bindparam("limit"))
    .correlate(accounts)
    .lateral("last")
)
_HISTORY = (
    select(*(_last.c[name] for name in TierChangeRow._fields))
    .select_from(accounts.join(_last, true()))
    .where(accounts.c.tenant_id == tenant_parameter(), among(accounts.c.customer_id, "ids"))
    .order_by(_last.c.customer_id, _last.c.id.desc())
)
_INSERT = insert(tiers).values(
    tenant_id=tenant_parameter(),
    id=bindparam("id"),
    name=bindparam("name"),
    name_key=bindparam("name_key"),
    color=bindparam("color"),
    min_points=bindparam("min_points"),
    factor_numerator=bindparam("factor_numerator"),
    factor_denominator=bindparam("factor_denominator"),
    created_at=bindparam("now"),
    updated_at=bindparam("now"),
)
_UPDATE = (
    update(tiers)
    .where(tiers.c.tenant_id == tenant_parameter(), tiers.c.id == bindparam("tier"), tiers.c.deleted_at.is_(None))
    .values(
        name=bindparam("name"),
        name_key=bindparam("name_key"),
        color=bindparam("color"),
        min_points=bindparam("min_points"),
        factor_numerator=bindparam("factor_numerator"),
        factor_denominator=bindparam("factor_denominator"),
        updated_at=bindparam("now"),
    )
)
_DELETE = (
    update(tiers)
    .where(tiers.c.tenant_id == tenant_parameter(), tiers.c.id == bindparam("tier"), tiers.c.deleted_at.is_(None))
    .values(deleted_at=bindparam("now"), updated_at=bindparam("now"))
)


async def read_tiers(tx: Reads) -> list[TierRow]:
    """Return all tiers in force, the lowest minimum first."""
    return [_tier(row) for row in await tx.rows(_ALL)]


async def read_tiers_by_id(tx: Reads, ids: list[TierId]) -> dict[TierId, TierRow]:
    """Return the tiers among ``ids``, also deleted ones: an old upgrade still shows their names."""
    return {row.id: _tier(row) for row in await tx.rows(_BY_IDS, ids=ids)}


async def count_customers(tx: Reads, ids: list[TierId]) -> dict[TierId, int]:
    """Count the customers in each of the tiers. A tier without any is left out."""
    return {row.tier_id: row.customers for row in await tx.rows(_COUNTS, ids=ids)}


async def read_tier_changes(tx: Transaction, cause_ids: list[UUID]) -> list[TierChangeRow]:
    """Return the tier changes that purchases or adjustments caused."""
    return [TierChangeRow._make(row) for row in await tx.rows(_CHANGES_BY_CAUSE, ids=cause_ids)]


async def read_tier_history(
    tx: Reads, customer_ids: Sequence[CustomerId], limit: int
) -> dict[CustomerId, list[TierChangeRow]]:
    """Return the last tier changes of each customer, newest first."""
    found: dict[CustomerId, list[TierChangeRow]] = {}
    for row in await tx.rows(_HISTORY, ids=list(customer_ids), limit=limit):
        found.setdefault(row.customer_id, []).append(TierChangeRow._make(row))
    return found


async def refuse_duplicate_tier(tx: Transaction, tier: TierRow) -> None:
    """Refuse a second tier with the same minimum or name; the program row must be locked."""
    name_key = fold_text(tier.name)
    for row in await tx.rows(_SAME, id=tier.id, min_points=tier.min_points, name_key=name_key):
        if row.min_points == tier.min_points:
            raise DuplicateMinimum(tier.min_points, path=("min_points",))
        raise DuplicateName(tier.name, path=("name",))


async def insert_tier(tx: Transaction, tier: TierRow, now: datetime) -> None:
    """Insert a new tier."""
    await tx.run(_INSERT, now=now, id=tier.id, **_values(tier))


async def update_tier(tx: Transaction, tier: TierRow, now: datetime) -> None:
    """Change a tier in place. The tier changes still tell which customer was in which tier."""
    await tx.run(_UPDATE, tier=tier.id, now=now, **_values(tier))


async def delete_tier(tx: Transaction, tier_id: TierId, now: datetime) -> None:
    """Take a tier out of force for good; its row stays."""
    await tx.run(_DELETE, tier=tier_id, now=now)


@lru_cache(KEPT_TIERS)
def tier_row(tier: Tier | None) -> TierRow | None:
    """Return a tier of the rules as clients see it."""
    return None if tier is None else TierRow(tier.id, tier.name, tier.color, tier.min_points, tier.factor)


def factor_of(numerator: int | None, denominator: int | None) -> Ratio | None:
    """Return a stored earning factor; None is one time."""
    return None if numerator is None or denominator is None else Ratio(numerator, denominator)


def _tier(row: Any) -> TierRow:
    factor = factor_of(row.factor_numerator, row.factor_denominator)
    return TierRow(row.id, row.name, row.color, row.min_points, factor)


def _values(tier: TierRow) -> dict[str, Any]:
    return {
        "name": tier.name,
        "name_key": fold_text(tier.name),
        "color": tier.color,
        "min_points": tier.min_points,
        "factor_numerator": tier.factor.numerator if tier.factor else None,
        "factor_denominator": tier.factor.denominator if tier.factor else None,
    }
