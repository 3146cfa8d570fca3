"""How long a tenant keeps personal data: read it, see what would be removed, and set it."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

from loyalty.rules.absent import ABSENT, Given, choose_given_or_known
from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.errors import refuse_problems
from loyalty.rules.retention import (
    RetentionSettings,
    check_retention,
    describe_settings,
    find_begin,
    find_due_time,
    subtract_months,
)
from loyalty.services.audit import note_changes
from loyalty.services.program import lock_program_in_force, program_in_force
from loyalty.services.world import World
from loyalty.storage.retention import (
    RetentionRow,
    lock_retention,
    read_outlook,
    read_retention,
    save_retention,
)
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.retry import retry_transaction


class RetentionChange(NamedTuple):
    """A change of the retention. A field that is ABSENT keeps its stored value; None keeps data without end."""

    inactive_months: Given[int | None] = ABSENT
    profile_history_months: Given[int | None] = ABSENT


class RetentionOutlook(NamedTuple):
    """What a retention of customers removes: how many are due when it begins, or now; and when the first one is due."""

    inactive_months: int
    begins_at: datetime
    due_count: int
    next_due_at: datetime | None


class TenantRetention(NamedTuple):
    """The retention of a tenant."""

    inactive_months: int | None
    profile_history_months: int | None
    begins_at: datetime | None


async def get_retention(world: World, actor: Actor) -> TenantRetention:
    """Return the retention of the tenant, also while the program is off."""
    require_any(actor, Permission.CUSTOMERS_EXPORT, Permission.CUSTOMERS_ERASE, even_when_off=True)
    return _show(await read_retention(world.database.reading(actor.tenant_id)))


async def get_outlook(world: World, actor: Actor, inactive_months: int | None) -> RetentionOutlook | None:
    """Return what the retention removes, or what it would remove after so many months; None if it removes nobody.

    A number of months that is not in force is looked at as if it were set now. Refusal: InvalidInput.
    """
    require_any(actor, Permission.CUSTOMERS_EXPORT, Permission.CUSTOMERS_ERASE, even_when_off=True)
    tx = world.database.reading(actor.tenant_id)
    now = world.now(await program_in_force(world, tx, even_when_off=True))
    stored = await read_retention(tx)
    months = stored.settings.inactive_months if inactive_months is None else inactive_months
    wanted = replace(stored.settings, inactive_months=months)
    refuse_problems(check_retention(wanted))
    begins_at = find_begin(stored.settings, wanted, stored.begins_at, now)
    if months is None or begins_at is None:
        return None
    found = await read_outlook(tx, subtract_months(max(now, begins_at), months), now)
    due_at = None if found.first_at is None else find_due_time(found.first_at, months, begins_at)
    return RetentionOutlook(months, begins_at, found.due_count, due_at)


async def set_retention(world: World, actor: Actor, change: RetentionChange) -> TenantRetention:
    """Set how long personal data is kept. A stricter setting begins after NOTICE_DAYS. Refusal: InvalidInput."""
    require(actor, Permission.CUSTOMERS_ERASE, even_when_off=True)
    return await retry_transaction(partial(_set_retention, world, actor, change))


async def _set_retention(world: World, actor: Actor, change: RetentionChange) -> TenantRetention:
    """Set how long personal data is kept, in one transaction."""
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        program = await lock_program_in_force(tx, even_when_off=True)
        former = await lock_retention(tx, alone=True)
        wanted = RetentionSettings(
            inactive_months=choose_given_or_known(change.inactive_months, former.settings.inactive_months),
            profile_history_months=choose_given_or_known(
                change.profile_history_months, former.settings.profile_history_months
            ),
        )
        refuse_problems(check_retention(wanted))
        if wanted == former.settings:
            return _show(former)
        now = world.clock() + program.clock_advance
        begins_at = find_begin(former.settings, wanted, former.begins_at, now)
        await save_retention(tx, wanted, begins_at)
        states = (describe_settings(former.settings, former.begins_at), describe_settings(wanted, begins_at))
        change_of_it = AuditedChange(AuditSubject.RETENTION, "retention", "Retention", *states)
        await note_changes(tx, actor, world.clock(), [change_of_it])
    return _show(former._replace(settings=wanted, begins_at=begins_at))


def _show(row: RetentionRow) -> TenantRetention:
    """Return the retention as clients see it."""
    return TenantRetention(row.settings.inactive_months, row.settings.profile_history_months, row.begins_at)
