"""Prove the ledger: check every invariant of one tenant, in one snapshot.

A large ledger is checked in slices by several connections at once. All of them see the snapshot of the first one, which
stays open until the end. It blocks nobody.
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
    find_differences,
    list_sliced_passes,
    merge_differences,
    run_pass,
)
from loyalty.ledger.proof.slicing import (
    FEW_ENTRIES,
    SLICE_ENTRIES,
    count_entries,
    prepare_for_many_rows,
    raise_timeouts,
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
"""The most entries that a request may check. A larger ledger would take too long, and block a connection."""

Progress = Callable[[int, int], None]
"""A function that gets the number of passes done, and the number of all passes."""


class Verification(NamedTuple):
    """The number of checked entries, and the invariants that do not hold. Without differences the ledger is right."""

    entries: int
    differences: list[Difference]


async def is_large(world: World, tenant_id: TenantId) -> bool:
    """Tell whether a tenant's ledger is large enough to be shared among several workers."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        return await count_entries(tx, at_most=SLICE_ENTRIES + 1) > SLICE_ENTRIES


async def verify_ledger(
    world: World, tenant_id: TenantId, *, workers: int = 1, progress: Progress = lambda _done, _total: None
) -> Verification:
    """Check every invariant. It only reads, and blocks nobody.

    ``workers`` is the number of connections that share a ledger of more than SLICE_ENTRIES entries.
    """
    async with world.database.tenant_transaction(tenant_id, snapshot=True) as tx:
        entries = await count_entries(tx, at_most=SLICE_ENTRIES + 1)
        if entries <= SLICE_ENTRIES:
            return await _verify_whole(tx, entries)
        await prepare_for_many_rows(tx)
        await raise_timeouts(tx)
        work = _Work(progress)
        work.add(WHOLE_PASSES)
        snapshot = await tx.export_snapshot()

        async def help_out() -> None:
            async with world.database.tenant_transaction(tenant_id, snapshot=snapshot) as helping:
                await prepare_for_many_rows(helping)
                await raise_timeouts(helping)
                await work.share(helping)

        async with asyncio.TaskGroup() as group:
            for _ in range(workers - 1):
                group.create_task(help_out())
            work.add(list_sliced_passes(await read_slices(tx)))
            entries = await count_entries(tx)
            await work.share(tx)
        return Verification(entries, merge_differences(work.found))


async def get_verification(world: World, actor: Actor) -> Verification:
    """Check every invariant for an actor who may read reports.

    Raises LimitReached for a ledger too large for a request.
    """
    require_whole_business(actor, Permission.LOYALTY_REPORT)
    async with world.database.tenant_transaction(actor.tenant_id, snapshot=True) as tx:
        entries = await count_entries(tx, at_most=MAX_ENTRIES_IN_A_REQUEST + 1)
        if entries > MAX_ENTRIES_IN_A_REQUEST:
            raise LimitReached("entries that a request may verify (`treue verify` has none)", MAX_ENTRIES_IN_A_REQUEST)
        return await _verify_whole(tx, entries)


async def digest_heads(world: World, tenant_id: TenantId, moment: datetime) -> str:
    """Return one SHA-256 for all chains of a tenant at a past moment. It stays the same for ever.

    If it is kept outside of the database, it shows later whether an entry before that moment was rewritten, even if
    every chain was computed again.
    """
    async with world.database.tenant_transaction(tenant_id, snapshot=True) as tx:
        await raise_timeouts(tx)
        return await read_heads_digest(tx, moment)


async def _verify_whole(tx: Transaction, entries: int) -> Verification:
    """Check every invariant in one transaction, without other workers."""
    if entries > FEW_ENTRIES:
        await prepare_for_many_rows(tx, scattered=True)
    return Verification(entries, await find_differences(tx))


class _Work:
    """The passes of a proof that several workers share. Each pass is one check of a part of the ledger."""

    def __init__(self, progress: Progress) -> None:
        self._pile: deque[Pass] = deque()
        self._total = 0
        self._done = 0
        self._progress = progress
        self.found: list[Difference] = []

    def add(self, passes: Sequence[Pass]) -> None:
        """Add passes to run.

        A worker that finds no pass left is done: it does not see passes that are added later.
        """
        self._pile.extend(passes)
        self._total += len(passes)

    async def share(self, tx: Transaction) -> None:
        """Run passes, one after another, until none is left. Other workers do the same at the same time."""
        while self._pile:
            asked = self._pile.popleft()
            self.found.extend(await run_pass(tx, asked))
            self._done += 1
            self._progress(self._done, self._total)
