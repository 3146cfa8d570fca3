"""The sweep of retention: customers whom nothing keeps are erased, and old rows of profile histories are deleted.

It looks at a tenant once a day, and then works batch by batch until nothing is due.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from loyalty.rules.erasure import ErasureCause
from loyalty.rules.ids import CustomerId, TenantId
from loyalty.rules.retention import is_kept, subtract_months
from loyalty.services.erasing import book_erasure, open_person, write_erasure
from loyalty.services.program import program_in_force
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.customers import read_customer
from loyalty.storage.retention import (
    MAX_LOOKED_AT,
    InactiveCustomer,
    InactivePlace,
    RetentionRow,
    delete_profile_history,
    lock_retention,
    read_inactive,
    read_keepers,
    save_progress,
)
from permissions.actor import system_actor
from tenancy.outage import is_away
from tenancy.retry import retry_transaction

BATCH = 10
"""The number of customers that one batch erases. Each is a transaction of many statements, and other sweeps wait."""
HISTORY_BATCH = 500
"""The number of rows of profile histories that one batch deletes."""
SUBJECT = "worker:retention"
LOOK_EVERY = timedelta(days=1)
"""The time between two looks at a tenant, after a look has found nothing more."""


class _Batch(NamedTuple):
    """The work of one batch: the customers who seem to be due, and how many rows of histories it has deleted.

    The next batch goes on after the place ``after``; None if no customer is left.
    """

    seen: RetentionRow
    due: list[CustomerId]
    after: InactivePlace | None
    deleted: int
    now: datetime

    @property
    def is_last(self) -> bool:
        """Whether nothing more is due."""
        return self.after is None and self.deleted < HISTORY_BATCH


async def remove_due(world: World, tenant_id: TenantId) -> Swept:
    """Erase up to ``BATCH`` customers, and delete up to ``HISTORY_BATCH`` rows of histories, also while it is off.

    A customer whose erasure fails is left for the look of the next day. The first such failure is raised at the end, so
    that the caller counts and logs it.
    """
    batch = await retry_transaction(partial(_begin_batch, world, tenant_id))
    if batch is None:
        return NOTHING_SWEPT
    erased, failures = 0, list[Exception]()
    for customer_id in batch.due:
        try:
            erased += await retry_transaction(partial(_erase_inactive, world, tenant_id, customer_id))
        except Exception as error:
            if is_away(error):
                raise
            failures.append(error)
    async with world.database.tenant_transaction(tenant_id) as tx:
        looks_at = batch.now + LOOK_EVERY if batch.is_last else batch.now
        await save_progress(tx, batch.seen, looks_at, batch.after)
    if failures:
        raise failures[0]
    return Swept(erased + batch.deleted, more=batch.after is not None)


async def _begin_batch(world: World, tenant_id: TenantId) -> _Batch | None:
    """Read which customers seem to be due, and delete old rows of histories; None if it is not time to look."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        now = world.now(await program_in_force(world, tx, even_when_off=True))
        # A call that ends retention waits for this transaction, so no history is deleted after its answer.
        seen = await lock_retention(tx)
        if seen.looks_at is None or seen.looks_at > now:
            return None
        months, history_months = seen.settings.inactive_months, seen.settings.profile_history_months
        looked = [] if months is None else await read_inactive(tx, subtract_months(now, months), seen.after, now)
        due, after = _choose_due(looked)
        deleted = 0
        if history_months is not None:
            deleted = await delete_profile_history(tx, subtract_months(now, history_months), HISTORY_BATCH)
        return _Batch(seen, due, after, deleted, now)


def _choose_due(looked: Sequence[InactiveCustomer]) -> tuple[list[CustomerId], InactivePlace | None]:
    """Return the first customers whom nothing keeps, and the place to go on after; None after the last customer."""
    due: list[CustomerId] = []
    for one in looked:
        if not one.kept:
            due.append(one.place.customer_id)
        if len(due) == BATCH:
            return due, one.place
    return due, looked[-1].place if len(looked) == MAX_LOOKED_AT else None


async def _erase_inactive(world: World, tenant_id: TenantId, customer_id: CustomerId) -> bool:
    """Erase a customer in one transaction, if the settings and the customer still say so under the locks."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        # A call that ends retention waits for this transaction, so nobody is erased after its answer.
        stored = await lock_retention(tx)
        known = await read_customer(tx, customer_id)
        if known is None or known.id != customer_id or known.erased_at is not None:
            return False
        opened = await open_person(world, tx, program, system_actor(tenant_id, SUBJECT), customer_id)
        book, months = opened.book, stored.settings.inactive_months
        if months is None or stored.begins_at is None or stored.begins_at > book.now:
            return False
        keepers = await read_keepers(tx, customer_id, book.now)
        if is_kept(book.account(customer_id), keepers, months, book.now):
            return False
        book_erasure(opened, ErasureCause.RETENTION)
        await write_erasure(tx, opened, ErasureCause.RETENTION)
    return True
