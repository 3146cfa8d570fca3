"""Tiers: create, change, delete. Every change starts a job that puts every customer into the right tier."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from uuid_utils.compat import uuid7

from loyalty.jobs.waiting import add_re_tiering_job
from loyalty.rules.audit import AuditSubject
from loyalty.rules.errors import LimitReached, NotFound, refuse_problems
from loyalty.rules.ids import JobId, TierId
from loyalty.rules.money import Ratio
from loyalty.rules.tiers import normal_color, validate_tier
from loyalty.services.audit import describe_change, note_changes
from loyalty.services.creation import Once, call_once
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import lock_program_in_force
from loyalty.services.world import World
from loyalty.storage.jobs import JobRow, read_jobs_by_id
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
from tenancy.multiplexer import Lane
from tenancy.retry import retry_transaction

MAX_TIERS = 50


class ChangedTier(NamedTuple):
    """A tier after an edit, and its re-tiering job."""

    tier: TierRow
    job: JobRow
    replayed: bool = False
    """Whether this answers a retry: the first call has made the tier and the job."""


TierEdit = Callable[[TierRow], TierRow]


async def list_tiers(world: World, actor: Actor) -> list[TierRow]:
    """Return all tiers that are not deleted, lowest minimum first."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read_tiers(tx)


async def load_tiers(world: World, actor: Actor, ids: Sequence[TierId]) -> dict[TierId, TierRow]:
    """Return the tiers among ``ids``, also deleted ones."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read_tiers_by_id(tx, list(ids))


async def load_tier_counts(world: World, actor: Actor, ids: Sequence[TierId]) -> dict[TierId, int]:
    """Return how many customers are in each tier. Customers may not read it."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT)
    tx = world.database.reading(actor.tenant_id, Lane.SLOW)
    return await count_customers(tx, list(ids))


async def create_tier(
    world: World,
    actor: Actor,
    name: str,
    color: str,
    min_points: int,
    factor: Ratio | None = None,
    *,
    key: str | None = None,
) -> ChangedTier:
    """Create a tier. Refusals: InvalidInput, DuplicateName, DuplicateMinimum, LimitReached, IdempotencyConflict."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    refuse_problems(validate_tier(name, color, min_points, factor))
    tier = TierRow(TierId(uuid7()), name, normal_color(color), min_points, factor)
    identity = [name, tier.color, min_points, factor and [factor.numerator, factor.denominator]]
    once = call_once(actor, key, "tierCreate", fingerprint(identity))

    async def create(tx: Transaction) -> TierRow:
        if len(await read_tiers(tx)) >= MAX_TIERS:
            raise LimitReached("tiers", MAX_TIERS)
        await refuse_duplicate_tier(tx, tier)
        now = world.clock()
        await insert_tier(tx, tier, now)
        await note_changes(tx, actor, now, [_describe_change(None, tier)])
        return tier

    return await _edit_tiers(world, actor, once, create)


async def change_tier(
    world: World,
    actor: Actor,
    tier_id: TierId,
    change: TierEdit,
    *,
    key: str | None = None,
    identity: Sequence[Any] = (),
) -> ChangedTier:
    """Change a tier. ``identity`` are the values of the request, which a retry with the same key must repeat.

    Refusals: NotFound, InvalidInput, DuplicateName, DuplicateMinimum, IdempotencyConflict.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    once = call_once(actor, key, "tierUpdate", fingerprint([tier_id, *identity]))

    async def update(tx: Transaction) -> TierRow:
        stored, now = await _find_tier(tx, tier_id), world.clock()
        changed = change(stored)
        refuse_problems(validate_tier(changed.name, changed.color, changed.min_points, changed.factor))
        tier = changed._replace(color=normal_color(changed.color))
        await refuse_duplicate_tier(tx, tier)
        await update_tier(tx, tier, now)
        await note_changes(tx, actor, now, [_describe_change(stored, tier)])
        return tier

    return await _edit_tiers(world, actor, once, update, tier_id)


async def remove_tier(world: World, actor: Actor, tier_id: TierId, *, key: str | None = None) -> ChangedTier:
    """Take a tier out of force for good; its row stays. Its customers move to the next lower one.

    Refusals: NotFound, IdempotencyConflict.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    once = call_once(actor, key, "tierDelete", fingerprint([tier_id]))

    async def remove(tx: Transaction) -> TierRow:
        tier, now = await _find_tier(tx, tier_id), world.clock()
        await delete_tier(tx, tier_id, now)
        await note_changes(tx, actor, now, [_describe_change(tier, None)])
        return tier

    return await _edit_tiers(world, actor, once, remove, tier_id)


async def _edit_tiers(
    world: World,
    actor: Actor,
    once: Once,
    edit: Callable[[Transaction], Awaitable[TierRow]],
    tier_id: TierId | None = None,
) -> ChangedTier:
    """Edit tiers under the lock of the program, and start the re-tiering job.

    A retry finds the tier and the job of the first call by the id of the job. A new tier has no ``tier_id`` yet, so its
    job has the id of the tier.
    """

    async def run() -> ChangedTier:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            await lock_program_in_force(tx, even_when_off=True)
            made = await once.find_made(tx)
            if made is not None:
                return await _load_first_result(tx, tier_id or TierId(made), JobId(made))
            tier = await edit(tx)
            job = await _re_tier_everybody(world, tx, actor, JobId(tier.id if tier_id is None else uuid7()))
            await once.keep(tx, job.id, world.clock())
            return ChangedTier(tier, job)

    return await retry_transaction(run)


def _show_tier(tier: TierRow) -> dict[str, Any]:
    """Return the state of a tier that the audit log keeps."""
    factor = None if tier.factor is None else [tier.factor.numerator, tier.factor.denominator]
    return {"name": tier.name, "color": tier.color, "min_points": tier.min_points, "factor": factor}


_describe_change = partial(describe_change, AuditSubject.TIER, _show_tier)


async def _find_tier(tx: Transaction, tier_id: TierId) -> TierRow:
    """Return a tier that is not deleted. Refusal: NotFound."""
    tier = next((tier for tier in await read_tiers(tx) if tier.id == tier_id), None)
    if tier is None:
        raise NotFound("tier", ("id",))
    return tier


async def _load_first_result(tx: Transaction, tier_id: TierId, job_id: JobId) -> ChangedTier:
    """Return the tier and the job of a first call, as they are now."""
    tier = (await read_tiers_by_id(tx, [tier_id]))[tier_id]
    return ChangedTier(tier, (await read_jobs_by_id(tx, [job_id]))[job_id], replayed=True)


async def _re_tier_everybody(world: World, tx: Transaction, by: Actor, job_id: JobId) -> JobRow:
    """Count the edit as a new config version, and add the job that puts every customer into the right tier."""
    await touch_config(tx)
    return await add_re_tiering_job(tx, by, job_id=job_id, now=world.clock())
