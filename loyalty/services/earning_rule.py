"""Earning rules: create, change, switch on and off, delete. Every edit is a new version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from uuid_utils.compat import uuid7

from loyalty.rules.audit import AuditSubject
from loyalty.rules.earning import CatalogKind, EarningRule, validate_rule
from loyalty.rules.errors import LimitReached, NotFound, VersionConflict, refuse_problems
from loyalty.rules.ids import RuleId
from loyalty.services.audit import describe_change, note_changes
from loyalty.services.creation import call_once
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import lock_program_in_force, program_in_force
from loyalty.services.world import World
from loyalty.storage.earning_rule_versions import RuleVersionRow, read_rule_versions
from loyalty.storage.earning_rules import (
    EarningRuleRow,
    RulePlace,
    count_rules,
    count_rules_listed,
    delete_rule,
    insert_rule,
    lock_rule,
    read_rule_ever,
    read_rules,
    read_rules_by_id,
    rule_definition,
    update_rule,
)
from loyalty.storage.programs import touch_config
from loyalty.storage.window import Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MAX_RULES = 200

RuleChange = Callable[[EarningRule], EarningRule]
CatalogNames = Mapping[tuple[CatalogKind, str], str]


class CreatedRule(NamedTuple):
    """A new rule. For a retry it is the rule of the first call, as it is now."""

    rule: EarningRuleRow
    replayed: bool


async def create_earning_rule(world: World, actor: Actor, draft: EarningRule) -> EarningRuleRow:
    """Create a rule as version 1. The id and version of ``draft`` are ignored. Refusals: InvalidInput, LimitReached."""
    return (await create_earning_rule_once(world, actor, draft, None)).rule


async def create_earning_rule_once(world: World, actor: Actor, draft: EarningRule, key: str | None) -> CreatedRule:
    """Create a rule with an idempotency key. Refusals: InvalidInput, LimitReached, IdempotencyConflict."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    refuse_problems(validate_rule(draft))
    once = call_once(actor, key, "earningRuleCreate", fingerprint(_identity(draft)))

    async def create() -> CreatedRule:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await lock_program_in_force(tx, even_when_off=True)
            made = await once.find_made(tx)
            if made is not None:
                return CreatedRule(await read_rule_ever(tx, RuleId(made)), replayed=True)
            rule = await add_rule(world, tx, actor, draft)
            await once.keep(tx, rule.id, world.clock())
            return CreatedRule(rule, replayed=False)

    return await retry_transaction(create)


async def add_rule(world: World, tx: Transaction, by: Actor, draft: EarningRule) -> EarningRuleRow:
    """Insert a rule in a transaction that holds the lock of the program. Refusal: LimitReached."""
    if await count_rules(tx) >= MAX_RULES:
        raise LimitReached("earning rules", MAX_RULES)
    now = world.clock()
    row = EarningRuleRow(
        id=RuleId(uuid7()),
        name=draft.name,
        priority=draft.priority,
        active=draft.active,
        version=1,
        award=draft.award,
        conditions=draft.conditions,
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
        expiry=draft.expiry,
        created_at=now,
        updated_at=now,
    )
    await insert_rule(tx, row, by)
    await note_changes(tx, by, now, [_describe_change(None, row)])
    await touch_config(tx)
    return row


async def update_earning_rule(
    world: World, actor: Actor, rule_id: RuleId, change: RuleChange, expected_version: int | None
) -> EarningRuleRow:
    """Change a rule as its next version. An edit that changes nothing makes no version.

    Refusals: NotFound, VersionConflict, InvalidInput.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)

    async def edit() -> EarningRuleRow:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await lock_program_in_force(tx, even_when_off=True)
            stored = await lock_rule(tx, rule_id)
            if stored is None:
                raise NotFound("earning rule", ("id",))
            if expected_version is not None and expected_version != stored.version:
                raise VersionConflict(expected=expected_version, actual=stored.version)
            before = _build_rule(stored)
            after = change(before)
            refuse_problems(validate_rule(after))
            if after == before:
                return stored
            row = stored._replace(
                name=after.name,
                priority=after.priority,
                active=after.active,
                version=stored.version + 1,
                award=after.award,
                conditions=after.conditions,
                starts_at=after.starts_at,
                ends_at=after.ends_at,
                expiry=after.expiry,
                updated_at=world.clock(),
            )
            await update_rule(tx, row, actor)
            await note_changes(tx, actor, row.updated_at, [_describe_change(stored, row)])
            await touch_config(tx)
        return row

    return await retry_transaction(edit)


async def delete_earning_rule(world: World, actor: Actor, rule_id: RuleId) -> RuleId:
    """Take a rule out of force for good: it earns no more points and cannot come back.

    Its row and its versions stay, so that old accruals can be explained. Refusal: NotFound.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)

    async def delete() -> RuleId:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await lock_program_in_force(tx, even_when_off=True)
            stored, now = await lock_rule(tx, rule_id), world.clock()
            if stored is None:
                raise NotFound("earning rule", ("id",))
            await delete_rule(tx, rule_id, now)
            await note_changes(tx, actor, now, [_describe_change(stored, None)])
            await touch_config(tx)
        return rule_id

    return await retry_transaction(delete)


async def list_earning_rules(
    world: World, actor: Actor, *, active: bool | None, window: Window[RulePlace]
) -> list[EarningRuleRow]:
    """Return a page of rules in the order of their priority."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read_rules(tx, active=active, window=window)


async def count_earning_rules(world: World, actor: Actor, *, active: bool | None) -> int:
    """Return the number of rules in a list."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await count_rules_listed(tx, active=active)


async def load_earning_rules(world: World, actor: Actor, ids: Sequence[RuleId]) -> dict[RuleId, EarningRuleRow]:
    """Return the rules among ``ids`` that are not deleted."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read_rules_by_id(tx, list(ids))


async def load_rule_versions(world: World, actor: Actor, ids: Sequence[RuleId]) -> dict[RuleId, list[RuleVersionRow]]:
    """Return the newest ``MAX_RULE_VERSIONS`` versions of each rule, newest first."""
    require(actor, Permission.LOYALTY_READ)
    return await read_rule_versions(world.database.reading(actor.tenant_id), ids)


async def load_catalog_names(world: World, actor: Actor) -> CatalogNames:
    """Return the tenant's own names for external ids, for readable summaries."""
    require(actor, Permission.LOYALTY_READ)
    tx = world.database.reading(actor.tenant_id)
    return (await program_in_force(world, tx, even_when_off=True)).names


_describe_change = partial(describe_change, AuditSubject.EARNING_RULE, rule_definition)


def _identity(draft: EarningRule) -> list[Any]:
    """Return the values of a requested rule for the fingerprint, without conditions that are not set."""
    conditions = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in sorted(asdict(draft.conditions).items())
        if value not in (frozenset(), None)
    }
    award = [type(draft.award).__name__, _list_set_fields(draft.award)]
    expiry = draft.expiry and _list_set_fields(draft.expiry)
    return [draft.name, draft.priority, draft.active, award, conditions, draft.starts_at, draft.ends_at, expiry]


def _list_set_fields(value: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a value that are not None, by name.

    So a field that came with a later release changes no older fingerprint.
    """
    return {name: one for name, one in sorted(asdict(value).items()) if one is not None}


def _build_rule(row: EarningRuleRow) -> EarningRule:
    return EarningRule(
        id=row.id,
        name=row.name,
        version=row.version,
        priority=row.priority,
        active=row.active,
        award=row.award,
        conditions=row.conditions,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        expiry=row.expiry,
    )
