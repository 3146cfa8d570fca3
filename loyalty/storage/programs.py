"""The tenant's program, and all configuration for evaluating a purchase, read in one statement."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, cast, func, insert, select, union, update
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from loyalty.rules.earning import CatalogItem, CatalogKind, Conditions, EarningRule
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.ids import RuleId, TierId
from loyalty.rules.program import ProgramSettings
from loyalty.rules.tiers import Tier
from loyalty.storage.catalog import earning_of, rate_of
from loyalty.storage.documents import from_document, from_optional, read_award, to_document
from loyalty.storage.tables import (
    catalog_items,
    earning_rule_versions,
    earning_rules,
    program_versions,
    programs,
    tiers,
)
from loyalty.storage.tiers import factor_of
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import tenant_parameter
from tenancy.tables import tenants


class ProgramRow(NamedTuple):
    """A tenant's program as clients see it."""

    tenant_id: Any
    settings: ProgramSettings
    version: int
    config_version: int
    currency: str
    time_zone: str
    locale: str
    updated_at: datetime
    clock_advance: timedelta = timedelta(0)
    """How far the clock of a sandbox has been advanced; zero for every other tenant."""


class ProgramConfig(NamedTuple):
    """The configuration with which rules are evaluated, at one ``config_version``."""

    program: ProgramRow
    rules: tuple[EarningRule, ...]
    tiers: tuple[Tier, ...]
    former_tiers: tuple[Tier, ...]
    catalog: tuple[CatalogItem, ...]
    inactivity_days: tuple[int, ...]
    """The numbers of days of inactivity after which points expire, in this and in former versions."""


_PROGRAM = (
    select(
        programs.c.tenant_id,
        programs.c.enabled,
        programs.c.settings,
        programs.c.version,
        programs.c.config_version,
        programs.c.updated_at,
        tenants.c.currency,
        tenants.c.time_zone,
        tenants.c.locale,
        tenants.c.clock_advance_seconds,
    )
    .join_from(programs, tenants, programs.c.tenant_id == tenants.c.tenant_id)
    .where(programs.c.tenant_id == tenant_parameter())
)

_CONFIG_VERSION = select(programs.c.config_version).where(programs.c.tenant_id == tenant_parameter())
_LOCK_PROGRAM = _PROGRAM.with_for_update(of=programs)


def _aggregate(table: Any, condition: Any, order: Any) -> Any:
    row = func.to_jsonb(sql(table.name))
    gathered = select(func.jsonb_agg(aggregate_order_by(row, order), type_=JSONB)).select_from(table)
    return gathered.where(table.c.tenant_id == tenant_parameter(), condition).scalar_subquery()


def _inactivity_days(table: Any, policy: Any) -> Any:
    """Return the days of every policy by inactivity in a table."""
    return select(cast(policy["days"].astext, Integer).label("days")).where(
        table.c.tenant_id == tenant_parameter(), policy["kind"].astext == ExpiryKind.INACTIVITY
    )


_every_inactivity = union(
    _inactivity_days(program_versions, program_versions.c.settings["expiry"]),
    _inactivity_days(earning_rule_versions, earning_rule_versions.c.expiry),
).subquery("every_inactivity")


_CONFIG = _PROGRAM.add_columns(
    _aggregate(earning_rules, earning_rules.c.deleted_at.is_(None), earning_rules.c.priority).label("rules"),
    # Deleted tiers too: an account may still stand in one until the re-tiering has come to it.
    _aggregate(tiers, sql("true"), tiers.c.min_points).label("tiers"),
    _aggregate(catalog_items, sql("true"), catalog_items.c.external_id).label("catalog"),
    # Former versions count, too: points that were earned or promised under them keep their expiry policy.
    select(func.array_agg(_every_inactivity.c.days)).scalar_subquery().label("inactivity_days"),
)

_CREATE = insert(programs).values(
    tenant_id=tenant_parameter(),
    enabled=bindparam("enabled"),
    settings=bindparam("settings"),
    version=1,
    config_version=1,
    updated_at=bindparam("now"),
)
_CREATE_VERSION = insert(program_versions).values(
    tenant_id=tenant_parameter(),
    version=bindparam("version"),
    settings=bindparam("settings"),
    created_at=bindparam("now"),
    created_by=bindparam("created_by"),
)
_UPDATE = (
    update(programs)
    .where(programs.c.tenant_id == tenant_parameter())
    .values(
        enabled=bindparam("enabled"),
        settings=bindparam("settings"),
        version=bindparam("version"),
        config_version=programs.c.config_version + 1,
        updated_at=bindparam("now"),
    )
)
_TOUCH_CONFIG = (
    update(programs)
    .where(programs.c.tenant_id == tenant_parameter())
    .values(config_version=programs.c.config_version + 1)
)


async def read_program(tx: Reads) -> ProgramRow | None:
    """Return the tenant's program; None while the tenant has none."""
    row = await tx.row(_PROGRAM)
    return _program_row(row) if row else None


async def read_config_version(tx: Reads) -> int | None:
    """Return the config version in force; None while the tenant has no program."""
    row = await tx.row(_CONFIG_VERSION)
    return int(row.config_version) if row else None


async def lock_program(tx: Transaction) -> ProgramRow | None:
    """Return the tenant's program, and lock it.

    Edits of settings, rules, tiers and catalogue wait for each other at this lock.
    """
    row = await tx.row(_LOCK_PROGRAM)
    return _program_row(row) if row else None


async def read_config(tx: Reads) -> ProgramConfig | None:
    """Return settings, rules, tiers and catalogue, all of one moment."""
    row = await tx.row(_CONFIG)
    if row is None:
        return None
    return ProgramConfig(
        program=_program_row(row),
        rules=tuple(rule_from_document(item) for item in row.rules or ()),
        tiers=tuple(_tier(item) for item in row.tiers or () if item["deleted_at"] is None),
        former_tiers=tuple(_tier(item) for item in row.tiers or () if item["deleted_at"] is not None),
        catalog=tuple(catalog_item_from_document(item) for item in row.catalog or ()),
        inactivity_days=tuple(sorted(row.inactivity_days or ())),
    )


async def create_program(tx: Transaction, settings: ProgramSettings, now: datetime, created_by: str) -> None:
    """Insert the first version of a tenant's settings."""
    stored = to_document(settings)
    await tx.run(_CREATE, enabled=settings.enabled, settings=stored, now=now)
    await tx.run(_CREATE_VERSION, version=1, settings=stored, now=now, created_by=created_by)


async def save_program(
    tx: Transaction, settings: ProgramSettings, version: int, now: datetime, created_by: str
) -> None:
    """Write a new version of a tenant's settings; earlier versions stay."""
    stored = to_document(settings)
    await tx.run(_UPDATE, enabled=settings.enabled, settings=stored, version=version, now=now)
    await tx.run(_CREATE_VERSION, version=version, settings=stored, now=now, created_by=created_by)


async def touch_config(tx: Transaction) -> None:
    """Raise the config version. At this commit every process learns that its compiled configuration is old."""
    await tx.run(_TOUCH_CONFIG)


def _program_row(row: Any) -> ProgramRow:
    return ProgramRow(
        tenant_id=row.tenant_id,
        settings=from_document(ProgramSettings, row.settings),
        version=row.version,
        config_version=row.config_version,
        currency=row.currency,
        time_zone=row.time_zone,
        locale=row.locale,
        updated_at=row.updated_at,
        clock_advance=timedelta(seconds=row.clock_advance_seconds),
    )


def rule_from_document(stored: dict[str, Any]) -> EarningRule:
    """Return a rule from its row, read as JSON.

    The row of a version will do, too, if the caller sets ``id`` to its ``rule_id``: a version has an id of its own.
    """
    return EarningRule(
        id=RuleId(UUID(stored["id"])),
        name=stored["name"],
        version=stored["version"],
        priority=stored["priority"],
        active=stored["active"],
        award=read_award(stored["award"]),
        conditions=from_document(Conditions, stored["conditions"]),
        expiry=from_optional(ExpiryPolicy, stored["expiry"]),
        starts_at=_instant(stored["starts_at"]),
        ends_at=_instant(stored["ends_at"]),
    )


def _tier(stored: dict[str, Any]) -> Tier:
    return Tier(
        id=TierId(UUID(stored["id"])),
        name=stored["name"],
        color=stored["color"],
        min_points=stored["min_points"],
        factor=factor_of(stored["factor_numerator"], stored["factor_denominator"]),
    )


def catalog_item_from_document(stored: dict[str, Any]) -> CatalogItem:
    """Return an item from the row of the catalogue or of its history, read as JSON."""
    return CatalogItem(
        kind=CatalogKind(stored["kind"]),
        external_id=stored["external_id"],
        name=stored["name"],
        category=stored["category"],
        time_zone=stored["time_zone"],
        enrolled=stored["enrolled"],
        points_per_unit=stored["points_per_unit"],
        earning=earning_of(stored["earning"]),
        rate=rate_of(stored["rate_points"], stored["rate_per_minor"]),
    )


def _instant(stored: str | None) -> datetime | None:
    return datetime.fromisoformat(stored) if stored else None
