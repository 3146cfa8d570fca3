"""Advance the clock of a sandbox, so that a client can try maturing, expiry and tier windows."""

from datetime import datetime, timedelta
from typing import NamedTuple

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.errors import InvalidInput, LimitReached, NotASandbox, refuse_problems
from loyalty.rules.ids import TenantId
from loyalty.rules.text import check_external_id
from loyalty.services.audit import note_changes
from loyalty.services.fingerprint import fingerprint
from loyalty.services.program import lock_program_in_force
from loyalty.services.tenant_sweeps import SWEEPS
from loyalty.services.world import World
from loyalty.storage.idempotency import keep_key, name_call, read_replayed_result
from loyalty.storage.programs import touch_config
from loyalty.storage.tenants import advance_clock, read_tenant
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.retry import retry_transaction

OPERATION = "sandboxClockAdvance"
MAX_ADVANCE_DAYS = 3_660
"""The most days in sum: ten years are enough for any tier and any expiry."""
MAX_BATCHES = 1_000


class AdvancedClock(NamedTuple):
    """The time of a sandbox's clock. A replay gets the time of the replay."""

    now: datetime
    replayed: bool


async def advance_sandbox_clock(world: World, actor: Actor, by: timedelta, idempotency_key: str) -> AdvancedClock:
    """Put a sandbox's clock forward. The answer comes after everything that became due has happened.

    Refusals: InvalidInput, IdempotencyConflict, NotASandbox, LimitReached.
    """
    require(actor, Permission.LOYALTY_MANAGE)
    refuse_problems([check_external_id(idempotency_key, ("idempotency_key",))])
    if by <= timedelta(0):
        raise InvalidInput.one("by", reason="must be at least a minute: time only goes forward")
    advanced = await retry_transaction(lambda: _advance(world, actor, by, idempotency_key))
    # Also for a replay: the client may have lost the first answer before everything had happened.
    await _sweep_until_idle(world, actor.tenant_id)
    return advanced


async def _advance(world: World, actor: Actor, by: timedelta, key: str) -> AdvancedClock:
    """Advance the clock in one transaction, or find the first call with the key."""
    call = name_call(actor, key, OPERATION, fingerprint([by.total_seconds()]))
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        # The lock comes first, so that the second of two calls with one key finds the key of the first.
        await lock_program_in_force(tx)
        known = await read_replayed_result(tx, call)
        tenant = await read_tenant(tx)
        if not tenant.sandbox:
            raise NotASandbox
        if known is not None:
            return AdvancedClock(world.clock() + tenant.clock_advance, replayed=True)
        ahead = tenant.clock_advance + by
        if ahead > timedelta(days=MAX_ADVANCE_DAYS):
            raise LimitReached("days ahead", MAX_ADVANCE_DAYS, ("by",))
        await advance_clock(tx, ahead)
        states = ({"minutes_ahead": one // timedelta(minutes=1)} for one in (tenant.clock_advance, ahead))
        await note_changes(
            tx, actor, world.clock(), [AuditedChange(AuditSubject.SANDBOX_CLOCK, "clock", "Clock", *states)]
        )
        await touch_config(tx)
        await keep_key(tx, call, actor.tenant_id, world.clock())
    return AdvancedClock(world.clock() + ahead, replayed=False)


async def _sweep_until_idle(world: World, tenant_id: TenantId) -> None:
    """Sweep until no sweep has work left. After MAX_BATCHES rounds the rest is left to the worker."""
    for _ in range(MAX_BATCHES):
        swept = [await sweep.work(world, tenant_id) for sweep in SWEEPS]
        if not any(one.done or one.more for one in swept):
            return
