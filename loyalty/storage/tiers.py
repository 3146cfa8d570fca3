"""Tiers in force, and how many customers stand in each."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, update

from loyalty.rules.errors import DuplicateMinimum, DuplicateName
from loyalty.rules.ids import CustomerId, TierId
from loyalty.rules.tiers import TierChangeCause
from loyalty.storage.search import folded
from loyalty.storage.tables import accounts, tier_changes, tiers
from tenancy.database import Transaction
from tenancy.table import tenant_parameter


class TierRow(NamedTuple):
    """A tier as clients see it."""

    id: TierId
    name: str
    color: str
    min_points: int


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


_COLUMNS = [tiers.c.id, tiers.c.name, tiers.c.color, tiers.c.min_points]
_ALL = (
    select(*_COLUMNS)
    .where(tiers.c.tenant_id == tenant_parameter(), tiers.c.deleted_at.is_(None))
    .order_by(tiers.c.min_points)
)
_BY_IDS = select(*_COLUMNS).where(
    tiers.c.tenant_id == tenant_parameter(),
    tiers.c.id.in_(bindparam("ids", expanding=True)),
)
_SAME = select(tiers.c.min_points, tiers.c.name_key).where(
    tiers.c.tenant_id == tenant_parameter(),
    tiers.c.deleted_at.is_(None),
    tiers.c.id != bindparam("id"),
    (tiers.c.min_points == bindparam("min_points")) | (tiers.c.name_key == bindparam("name_key")),
)
_COUNTS = (
    select(accounts.c.tier_id, func.count().label("customers"))
    .where(accounts.c.tenant_id == tenant_parameter(), accounts.c.tier_id.in_(bindparam("ids", expanding=True)))
    .group_by(accounts.c.tier_id)
)
_CHANGES_BY_CAUSE = select(*(tier_changes.c[name] for name in TierChangeRow._fields)).where(
    tier_changes.c.tenant_id == tenant_parameter(),
    tier_changes.c.cause_id.in_(bindparam("ids", expanding=True)),
)
_INSERT = insert(tiers).values(
    tenant_id=tenant_parameter(),
    id=bindparam("id"),
    name=bindparam("name"),
    name_key=bindparam("name_key"),
    color=bindparam("color"),
    min_points=bindparam("min_points"),
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
        updated_at=bindparam("now"),
    )
)
_DELETE = (
    update(tiers)
    .where(tiers.c.tenant_id == tenant_parameter(), tiers.c.id == bindparam("tier"), tiers.c.deleted_at.is_(None))
    .values(deleted_at=bindparam("now"), updated_at=bindparam("now"))
)


async def read_tiers(tx: Transaction) -> list[TierRow]:
    """All tiers in force, lowest minimum first."""
    return [TierRow._make(row) for row in await tx.rows(_ALL)]


async def read_tiers_by_id(tx: Transaction, ids: list[TierId]) -> dict[TierId, TierRow]:
    """The tiers among ``ids``, deleted ones too: an old upgrade still has a name."""
    return {row.id: TierRow._make(row) for row in await tx.rows(_BY_IDS, ids=ids)}


async def count_customers(tx: Transaction, ids: list[TierId]) -> dict[TierId, int]:
    """How many customers stand in each of the tiers; a tier without any is absent."""
    return {row.tier_id: row.customers for row in await tx.rows(_COUNTS, ids=ids)}


async def read_tier_changes(tx: Transaction, cause_ids: list[UUID]) -> list[TierChangeRow]:
    """The tier changes that purchases or adjustments caused."""
    return [TierChangeRow._make(row) for row in await tx.rows(_CHANGES_BY_CAUSE, ids=cause_ids)]


async def refuse_duplicate_tier(tx: Transaction, tier: TierRow) -> None:
    """Refuse a second tier with the same minimum or name; the program row must be locked."""
    name_key = folded(tier.name)
    for row in await tx.rows(_SAME, id=tier.id, min_points=tier.min_points, name_key=name_key):
        if row.min_points == tier.min_points:
            raise DuplicateMinimum(tier.min_points, path=("min_points",))
        raise DuplicateName(tier.name, path=("name",))


async def insert_tier(tx: Transaction, tier: TierRow, now: datetime) -> None:
    """A new tier."""
    await tx.run(_INSERT, now=now, id=tier.id, **_values(tier))


async def update_tier(tx: Transaction, tier: TierRow, now: datetime) -> None:
    """Change a tier in place; who stood where is kept by the tier changes."""
    await tx.run(_UPDATE, tier=tier.id, now=now, **_values(tier))


async def delete_tier(tx: Transaction, tier_id: TierId, now: datetime) -> None:
    """Take a tier out of force."""
    await tx.run(_DELETE, tier=tier_id, now=now)


def _values(tier: TierRow) -> dict[str, Any]:
    return {"name": tier.name, "name_key": folded(tier.name), "color": tier.color, "min_points": tier.min_points}
