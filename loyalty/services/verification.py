"""Prove the ledger: every invariant, for one tenant, as one moment saw it.

A large ledger is asked in slices by several connections at once. All of them see the moment of the first one, which
stays open until the end; it blocks nobody.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from loyalty.ledger.proof.asking import (
    WHOLE_PASSES,
    Difference,
    Pass,
    ask,
    find_differences,
    list_sliced_passes,
    merge_differences,
)
from loyalty.ledger.proof.slicing import (
    FEW_ENTRIES,
    SLICE_ENTRIES,
    be_patient,
    count_entries,
    prepare_for_many_rows,
    read_heads_digest,
    read_slices,
)
from loyalty.rules.errors import LimitReached
from loyalty.rules.ids import TenantId
from loyalty.services.world import World
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_whole_business
from tenancy.database import Transaction

MAX_ENTRIES_IN_A_REQUEST = 250_000
"""A larger ledger takes longer than a request should, and a connection that others wait for."""

Progress = Callable[[int, int], None]
"""Is told how many passes are done, and of how many."""


class Verification(NamedTuple):
    """What was looked at, and what does not hold; without differences the ledger adds up."""

    entries: int
    differences: list[Difference]


async def is_large(world: World, tenant_id: TenantId) -> bool:
    """Whether several workers can share the check of a tenant's ledger."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        return await count_entries(tx, at_most=SLICE_ENTRIES + 1) > SLICE_ENTRIES


async def verify_ledger(
    world: World, tenant_id: TenantId, *, workers: int = 1, progress: Progress = lambda _done, _total: None
) -> Verification:
    """Ask for every invariant. Reads only, and blocks nobody.

    A ledger of more than SLICE_ENTRIES is shared among so many ``workers``, each with a connection of its own.
    """
    async with world.database.tenant_transaction(tenant_id, snapshot=True) as tx:
        entries = await count_entries(tx, at_most=SLICE_ENTRIES + 1)
        if entries <= SLICE_ENTRIES:
            return await _verify_whole(tx, entries)
        await prepare_for_many_rows(tx)
        await be_patient(tx)
        work = _Work(progress)
        work.add(WHOLE_PASSES)
        snapshot = await tx.export_snapshot()

        async def help_out() -> None:
            async with world.database.tenant_transaction(tenant_id, snapshot=snapshot) as helping:
                await prepare_for_many_rows(helping)
                await be_patient(helping)
                await work.share(helping)

        async with asyncio.TaskGroup() as group:
            for _ in range(workers - 1):
                group.create_task(help_out())
            work.add(list_sliced_passes(await read_slices(tx)))
            entries = await count_entries(tx)
            await work.share(tx)
        return Verification(entries, merge_differences(work.found))


async def get_verification(world: World, actor: Actor) -> Verification:
    """The same for actors who may read reports. Refusals: LimitReached for a ledger that is too large for a request."""
    require_whole_business(actor, Permission.LOYALTY_REPORT)
    async with world.database.tenant_transaction(actor.tenant_id, snapshot=True) as tx:
        entries = await count_entries(tx, at_most=MAX_ENTRIES_IN_A_REQUEST + 1)
        if entries > MAX_ENTRIES_IN_A_REQUEST:
            raise LimitReached("entries that a request may verify (`treue verify` has none)", MAX_ENTRIES_IN_A_REQUEST)
        return await _verify_whole(tx, entries)


async def digest_heads(world: World, tenant_id: TenantId, moment: datetime) -> str:
    """One SHA-256 for all chains of a tenant as they stood at a moment that is over; it stays the same for ever.

    Who keeps it outside of the database can tell later whether anything before that moment was rewritten, even by
    somebody who computed every chain again.
    """
    async with world.database.tenant_transaction(tenant_id, snapshot=True) as tx:
        await be_patient(tx)
        return await read_heads_digest(tx, moment)


async def _verify_whole(tx: Transaction, entries: int) -> Verification:
    if entries > FEW_ENTRIES:
        await prepare_for_many_rows(tx, scattered=True)
    return Verification(entries, await find_differences(tx))


class _Work:
    """Passes that several workers take from one pile."""

    def __init__(self, progress: Progress) -> None:
        self._pile: deque[Pass] = deque()
        self._total = 0
        self._done = 0
        self._progress = progress
        self.found: list[Difference] = []

    def add(self, passes: Sequence[Pass]) -> None:
        """Put more on the pile; a worker that found it empty before does not come back."""
        self._pile.extend(passes)
        self._total += len(passes)

    async def share(self, tx: Transaction) -> None:
        """Take and ask until nothing is left."""
        while self._pile:
            asked = self._pile.popleft()
            self.found.extend(await ask(tx, asked))
            self._done += 1
            self._progress(self._done, self._total)
