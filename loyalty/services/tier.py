"""Tiers: create, change, delete; every change puts every customer where they belong, in the background."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from uuid_utils.compat import uuid7

from loyalty.rules.errors import LimitReached, NotFound, refuse_problems
from loyalty.rules.ids import JobId, TierId
from loyalty.rules.money import Ratio
from loyalty.rules.tiers import normal_color, validate_tier
from loyalty.services.program import locked_program
from loyalty.services.world import World
from loyalty.storage.jobs import RETIER, JobRow, start_job
from loyalty.storage.programs import touch_config
from loyalty.storage.tiers import (
    TierRow,
    count_customers,
    delete_tier,
    insert_tier,
    read_tiers,
    read_tiers_by_id,
    refuse_duplicate_tier,
    update_tier,
)
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

MAX_TIERS = 50


class ChangedTier(NamedTuple):
    """A tier after an edit, and the job that re-tiers everybody."""

    tier: TierRow
    job: JobRow


TierChangeOf = Callable[[TierRow], TierRow]


async def list_tiers(world: World, actor: Actor) -> list[TierRow]:
    """All tiers in force, lowest minimum first."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await read_tiers(tx)


async def load_tiers(world: World, actor: Actor, ids: Sequence[TierId]) -> dict[TierId, TierRow]:
    """The tiers among ``ids``, deleted ones too."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await read_tiers_by_id(tx, list(ids))


async def load_tier_counts(world: World, actor: Actor, ids: Sequence[TierId]) -> dict[TierId, int]:
    """How many customers stand in each tier; nothing that customers may know."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        return await count_customers(tx, list(ids))


async def create_tier(
    world: World, actor: Actor, name: str, color: str, min_points: int, factor: Ratio | None = None
) -> ChangedTier:
    """Create a tier. Refusals: InvalidInput, DuplicateName, DuplicateMinimum, LimitReached."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    refuse_problems(validate_tier(name, color, min_points, factor))
    tier = TierRow(TierId(uuid7()), name, normal_color(color), min_points, factor)

    async def create() -> ChangedTier:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await locked_program(tx, even_when_off=True)
            if len(await read_tiers(tx)) >= MAX_TIERS:
                raise LimitReached("tiers", MAX_TIERS)
            await refuse_duplicate_tier(tx, tier)
            await insert_tier(tx, tier, world.clock())
            return ChangedTier(tier, await _re_tier_everybody(world, tx))

    return await retry_transaction(create)


async def change_tier(world: World, actor: Actor, tier_id: TierId, change: TierChangeOf) -> ChangedTier:
    """Change a tier. Refusals: NotFound, InvalidInput, DuplicateName, DuplicateMinimum."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)

    async def edit() -> ChangedTier:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await locked_program(tx, even_when_off=True)
            changed = change(await _tier_in_force(tx, tier_id))
            refuse_problems(validate_tier(changed.name, changed.color, changed.min_points, changed.factor))
            tier = changed._replace(color=normal_color(changed.color))
            await refuse_duplicate_tier(tx, tier)
            await update_tier(tx, tier, world.clock())
            return ChangedTier(tier, await _re_tier_everybody(world, tx))

    return await retry_transaction(edit)


async def remove_tier(world: World, actor: Actor, tier_id: TierId) -> ChangedTier:
    """Delete a tier; its customers move to the next lower one. Refusal: NotFound."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)

    async def remove() -> ChangedTier:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await locked_program(tx, even_when_off=True)
            tier = await _tier_in_force(tx, tier_id)
            await delete_tier(tx, tier_id, world.clock())
            return ChangedTier(tier, await _re_tier_everybody(world, tx))

    return await retry_transaction(remove)


async def _tier_in_force(tx: Transaction, tier_id: TierId) -> TierRow:
    tier = next((tier for tier in await read_tiers(tx) if tier.id == tier_id), None)
    if tier is None:
        raise NotFound("tier", ("id",))
    return tier


async def _re_tier_everybody(world: World, tx: Transaction) -> JobRow:
    await touch_config(tx)
    return await start_job(tx, JobId(uuid7()), RETIER, world.clock())
