"""Every version of an earning rule, with its author."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select, true

from loyalty.rules.earning import Award, Conditions
from loyalty.rules.expiry import ExpiryPolicy
from loyalty.rules.ids import RuleId
from loyalty.rules.nothing_earned import PausedRule
from loyalty.storage.documents import from_document, from_optional, read_award
from loyalty.storage.tables import earning_rule_versions, earning_rules
from tenancy.reading import Reads
from tenancy.table import among, tenant_parameter

MAX_RULE_VERSIONS = 100
"""The number of versions of one rule that are shown, the newest."""


class RuleVersionRow(NamedTuple):
    """One version of a rule. ``changed`` names the fields that differ from the version before."""

    rule_id: RuleId
    version: int
    name: str
    priority: int
    active: bool
    award: Award
    conditions: Conditions
    starts_at: datetime | None
    ends_at: datetime | None
    expiry: ExpiryPolicy | None
    created_at: datetime
    created_by: str
    actor_kind: str | None
    actor_name: str | None
    changed: tuple[str, ...] = ()


_STORED = tuple(name for name in RuleVersionRow._fields if name != "changed")
_COMPARED = ("name", "priority", "active", "award", "conditions", "starts_at", "ends_at", "expiry")
_version = (
    select(*(earning_rule_versions.c[name] for name in _STORED))
    .where(
        earning_rule_versions.c.tenant_id == tenant_parameter(),
        earning_rule_versions.c.rule_id == earning_rules.c.id,
    )
    .order_by(earning_rule_versions.c.version.desc())
    .limit(bindparam("limit"))
    .correlate(earning_rules)
    .lateral("newest_versions")
)
_HISTORY = (
    select(*_version.c)
    .select_from(earning_rules.join(_version, true()))
    .where(earning_rules.c.tenant_id == tenant_parameter(), among(earning_rules.c.id, "ids"))
    .order_by(_version.c.rule_id, _version.c.version.desc())
)
_spans = select(
    earning_rule_versions.c.rule_id,
    earning_rule_versions.c.name,
    earning_rule_versions.c.active,
    earning_rule_versions.c.created_at.label("since"),
    func.lead(earning_rule_versions.c.created_at)
    .over(partition_by=earning_rule_versions.c.rule_id, order_by=earning_rule_versions.c.version)
    .label("edited_at"),
).where(earning_rule_versions.c.tenant_id == tenant_parameter())
_span = _spans.subquery("spans")
_PAUSED = (
    select(_span.c.rule_id, _span.c.name, _span.c.since, func.coalesce(_span.c.edited_at, earning_rules.c.deleted_at))
    .join_from(_span, earning_rules, earning_rules.c.id == _span.c.rule_id)
    .where(earning_rules.c.tenant_id == tenant_parameter(), ~_span.c.active)
    .order_by(_span.c.rule_id, _span.c.since)
)


async def read_paused_rules(tx: Reads) -> list[PausedRule]:
    """Return when each rule was paused: from one edit to the next, or to its deletion; None if it is still paused."""
    return [PausedRule._make(row) for row in await tx.rows(_PAUSED)]


async def read_rule_versions(tx: Reads, ids: Sequence[RuleId]) -> dict[RuleId, list[RuleVersionRow]]:
    """Return the newest versions of each rule, newest first, each with its changed fields."""
    found: dict[RuleId, list[RuleVersionRow]] = {}
    # One more than is shown: the changes of the oldest shown version are found by comparing it with the one before.
    for row in await tx.rows(_HISTORY, ids=list(ids), limit=MAX_RULE_VERSIONS + 1):
        found.setdefault(row.rule_id, []).append(_row(row))
    return {rule_id: _compare(versions)[:MAX_RULE_VERSIONS] for rule_id, versions in found.items()}


def _compare(versions: list[RuleVersionRow]) -> list[RuleVersionRow]:
    compared = [
        newer._replace(changed=tuple(name for name in _COMPARED if getattr(newer, name) != getattr(older, name)))
        for newer, older in pairwise(versions)
    ]
    return [*compared, *versions[-1:]]


def _row(row: Any) -> RuleVersionRow:
    return RuleVersionRow(*row)._replace(
        award=read_award(row.award),
        conditions=from_document(Conditions, row.conditions),
        expiry=from_optional(ExpiryPolicy, row.expiry),
    )
