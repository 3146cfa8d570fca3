"""Earning rules: those in force, and all their versions."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, insert, select, update

from loyalty.rules.earning import Award, Conditions
from loyalty.rules.expiry import ExpiryPolicy
from loyalty.rules.ids import RuleId
from loyalty.storage.documents import from_document, from_optional, read_award, to_document
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import earning_rule_versions, earning_rules
from loyalty.storage.window import Keyset, Window
from permissions.actor import Actor
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter


class EarningRuleRow(NamedTuple):
    """An earning rule at its newest version."""

    id: RuleId
    name: str
    priority: int
    active: bool
    version: int
    award: Award
    conditions: Conditions
    starts_at: datetime | None
    ends_at: datetime | None
    expiry: ExpiryPolicy | None
    created_at: datetime
    updated_at: datetime


_DEFINITION = ("name", "priority", "active", "version", "award", "conditions", "starts_at", "ends_at", "expiry")
_COLUMNS = [earning_rules.c[name] for name in EarningRuleRow._fields]
_LISTED = select(*_COLUMNS).where(
    earning_rules.c.tenant_id == tenant_parameter(),
    earning_rules.c.deleted_at.is_(None),
)
_BY_PRIORITY = Keyset((earning_rules.c.priority, earning_rules.c.id), descending=False)
_BY_IDS = _LISTED.where(among(earning_rules.c.id, "ids"))
_EVER = select(*_COLUMNS).where(earning_rules.c.tenant_id == tenant_parameter(), earning_rules.c.id == bindparam("id"))
_LOCK = _LISTED.where(earning_rules.c.id == bindparam("id")).with_for_update()
_COUNT = select(func.count()).where(
    earning_rules.c.tenant_id == tenant_parameter(),
    earning_rules.c.deleted_at.is_(None),
)
_INSERT = insert(earning_rules).values(
    tenant_id=tenant_parameter(),
    id=bindparam("id"),
    created_at=bindparam("now"),
    updated_at=bindparam("now"),
    **{name: bindparam(name) for name in _DEFINITION},
)
_INSERT_VERSION = insert(earning_rule_versions).values(
    tenant_id=tenant_parameter(),
    rule_id=bindparam("id"),
    created_at=bindparam("now"),
    created_by=bindparam("created_by"),
    actor_kind=bindparam("actor_kind"),
    actor_name=bindparam("actor_name"),
    **{name: bindparam(name) for name in _DEFINITION},
)
_UPDATE = (
    update(earning_rules)
    .where(earning_rules.c.tenant_id == tenant_parameter(), earning_rules.c.id == bindparam("rule"))
    .values(updated_at=bindparam("now"), **{name: bindparam(name) for name in _DEFINITION})
)
_DELETE = (
    update(earning_rules)
    .where(earning_rules.c.tenant_id == tenant_parameter(), earning_rules.c.id == bindparam("rule"))
    .values(deleted_at=bindparam("now"), updated_at=bindparam("now"))
)


class RulePlace(NamedTuple):
    """The place of a rule in the list: by priority, then by age."""

    priority: int
    id: RuleId


async def read_rules(tx: Reads, *, active: bool | None, window: Window[RulePlace]) -> list[EarningRuleRow]:
    """Return a page of rules in the order of their priority; the other way round if the window is backwards."""
    return [_row(row) for row in await _narrow_rules(active=active).read(tx, window)]


async def count_rules_listed(tx: Reads, *, active: bool | None) -> int:
    """Count the rules of a list, up to its ceiling."""
    return await _narrow_rules(active=active).count(tx)


def _narrow_rules(*, active: bool | None) -> Narrowed:
    rows = Narrowed(_LISTED, _BY_PRIORITY)
    rows.keep_if("active", lambda: earning_rules.c.active.is_(True), active)
    return rows


async def read_rules_by_id(tx: Reads, ids: list[RuleId]) -> dict[RuleId, EarningRuleRow]:
    """Return the rules among ``ids`` that exist and are not deleted."""
    return {row.id: _row(row) for row in await tx.rows(_BY_IDS, ids=ids)}


async def read_rule_ever(tx: Transaction, rule_id: RuleId) -> EarningRuleRow:
    """Return a rule, even if it is deleted."""
    (row,) = await tx.rows(_EVER, id=rule_id)
    return _row(row)


async def lock_rule(tx: Transaction, rule_id: RuleId) -> EarningRuleRow | None:
    """Return a rule, and lock it for an edit."""
    row = await tx.row(_LOCK, id=rule_id)
    return _row(row) if row else None


async def count_rules(tx: Transaction) -> int:
    """Count the tenant's rules that are not deleted."""
    row = await tx.row(_COUNT)
    return int(row[0]) if row else 0


async def insert_rule(tx: Transaction, rule: EarningRuleRow, by: Actor) -> None:
    """Insert a new rule with its first version."""
    definition = rule_definition(rule)
    await tx.run(_INSERT, id=rule.id, now=rule.updated_at, **definition)
    await tx.run(_INSERT_VERSION, id=rule.id, now=rule.updated_at, **_author(by), **definition)


async def update_rule(tx: Transaction, rule: EarningRuleRow, by: Actor) -> None:
    """Write the next version of a rule; earlier versions stay."""
    definition = rule_definition(rule)
    await tx.run(_UPDATE, rule=rule.id, now=rule.updated_at, **definition)
    await tx.run(_INSERT_VERSION, id=rule.id, now=rule.updated_at, **_author(by), **definition)


async def delete_rule(tx: Transaction, rule_id: RuleId, now: datetime) -> None:
    """Take a rule out of force for good. Its row and its versions stay and explain what it has earned."""
    await tx.run(_DELETE, rule=rule_id, now=now)


def _author(by: Actor) -> dict[str, Any]:
    return {"created_by": by.subject, "actor_kind": by.kind, "actor_name": by.display}


def rule_definition(rule: EarningRuleRow) -> dict[str, Any]:
    """Return a rule's definition by column."""
    return {
        "name": rule.name,
        "priority": rule.priority,
        "active": rule.active,
        "version": rule.version,
        "award": to_document(rule.award),
        "conditions": to_document(rule.conditions),
        "starts_at": rule.starts_at,
        "ends_at": rule.ends_at,
        "expiry": to_document(rule.expiry),
    }


def _row(row: Any) -> EarningRuleRow:
    return EarningRuleRow._make(row)._replace(
        award=read_award(row.award),
        conditions=from_document(Conditions, row.conditions),
        expiry=from_optional(ExpiryPolicy, row.expiry),
    )
