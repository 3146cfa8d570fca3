"""Earning rules: create, change, switch on and off, delete; every edit is a new version."""

from collections.abc import Callable, Mapping, Sequence

from uuid_utils.compat import uuid7

from loyalty.rules.earning import CatalogKind, EarningRule, validate_rule
from loyalty.rules.errors import LimitReached, NotFound, VersionConflict, refuse_problems
from loyalty.rules.ids import RuleId
from loyalty.services.program import locked_program, program_in_force
from loyalty.services.world import World
from loyalty.storage.earning_rules import (
    EarningRuleRow,
    RulePlace,
    count_rules,
    delete_rule,
    insert_rule,
    lock_rule,
    read_rules,
    read_rules_by_id,
    update_rule,
)
from loyalty.storage.programs import touch_config
from loyalty.storage.window import Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

MAX_RULES = 200

RuleChange = Callable[[EarningRule], EarningRule]
CatalogNames = Mapping[tuple[CatalogKind, str], str]


async def create_earning_rule(world: World, actor: Actor, draft: EarningRule) -> EarningRuleRow:
    """Create a rule as version 1; ``draft`` brings all but id and version. Refusals: InvalidInput, LimitReached."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    refuse_problems(validate_rule(draft))

    async def create() -> EarningRuleRow:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await locked_program(tx, even_when_off=True)
            return await add_rule(world, tx, actor, draft)

    return await retry_transaction(create)


async def add_rule(world: World, tx: Transaction, by: Actor, draft: EarningRule) -> EarningRuleRow:
    """Insert a rule under the lock of the program. Refusal: LimitReached."""
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
    await insert_rule(tx, row, by.subject)
    await touch_config(tx)
    return row


async def update_earning_rule(
    world: World, actor: Actor, rule_id: RuleId, change: RuleChange, expected_version: int | None
) -> EarningRuleRow:
    """Change a rule as its next version; an edit that changes nothing makes none.

    Refusals: NotFound, VersionConflict, InvalidInput.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)

    async def edit() -> EarningRuleRow:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await locked_program(tx, even_when_off=True)
            stored = await lock_rule(tx, rule_id)
            if stored is None:
                raise NotFound("earning rule", ("id",))
            if expected_version is not None and expected_version != stored.version:
                raise VersionConflict(expected=expected_version, actual=stored.version)
            before = _rule(stored)
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
            await update_rule(tx, row, actor.subject)
            await touch_config(tx)
        return row

    return await retry_transaction(edit)


async def delete_earning_rule(world: World, actor: Actor, rule_id: RuleId) -> RuleId:
    """Take a rule out of force for good; what it earned stays explained. Refusal: NotFound."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)

    async def delete() -> RuleId:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await locked_program(tx, even_when_off=True)
            if await lock_rule(tx, rule_id) is None:
                raise NotFound("earning rule", ("id",))
            await delete_rule(tx, rule_id, world.clock())
            await touch_config(tx)
        return rule_id

    return await retry_transaction(delete)


async def list_earning_rules(
    world: World, actor: Actor, *, active: bool | None, window: Window[RulePlace]
) -> list[EarningRuleRow]:
    """A page of rules in the order of their priority."""
    require(actor, Permission.LOYALTY_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await read_rules(tx, active=active, window=window)


async def load_earning_rules(world: World, actor: Actor, ids: Sequence[RuleId]) -> dict[RuleId, EarningRuleRow]:
    """The rules among ``ids`` that are in force or paused."""
    require(actor, Permission.LOYALTY_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await read_rules_by_id(tx, list(ids))


async def load_catalog_names(world: World, actor: Actor) -> CatalogNames:
    """The tenant's own names for external ids, for readable summaries."""
    require(actor, Permission.LOYALTY_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return (await program_in_force(world, tx, even_when_off=True)).names


def _rule(row: EarningRuleRow) -> EarningRule:
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
