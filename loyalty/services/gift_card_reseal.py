"""Seal the codes of gift cards again under the newest key, so that an older key can be removed.

A slice of a tenant's cards is one transaction. So the work can be stopped at any time and begun again: finished slices
stay, and codes under the newest key are left as they are.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import NamedTuple

from loyalty.rules.ids import GiftCardId, TenantId
from loyalty.services.world import World
from loyalty.storage.gift_card_codes import CodeKeyMissing, CodeUnreadable
from loyalty.storage.gift_card_seals import BEFORE_ALL_CARDS, SealedCode, keep_sealed_codes, lock_sealed_codes
from tenancy.retry import retry_transaction

SLICE = 200
"""The number of cards that are sealed again in one transaction. Other transactions of these cards wait until then."""


class ResealedSlice(NamedTuple):
    """The result of a slice of cards: how many were read and sealed again, and which are damaged."""

    cards: int
    resealed: int
    damaged: tuple[GiftCardId, ...]
    last_id: GiftCardId


async def reseal_codes(world: World, tenant_id: TenantId) -> AsyncIterator[ResealedSlice]:
    """Seal the codes of all cards of a tenant again, and yield the result of each slice.

    A code that was changed, or moved from another card, stays as it is and is returned as damaged. Raises
    CodeKeyMissing for a code whose key this process does not have; that slice is not changed.
    """
    after = BEFORE_ALL_CARDS
    while True:
        done = await retry_transaction(partial(_reseal_slice, world, tenant_id, after))
        if not done.cards:
            return
        yield done
        after = done.last_id


async def _reseal_slice(world: World, tenant_id: TenantId, after: GiftCardId) -> ResealedSlice:
    """Seal the codes of the next slice of cards again, in one transaction."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        seen = await lock_sealed_codes(tx, after, SLICE)
        sealed, damaged = [], []
        for one in seen:
            try:
                sealed += _seal_anew(world, tenant_id, one)
            except CodeKeyMissing:
                raise
            except CodeUnreadable:
                damaged.append(one.id)
        if sealed:
            await keep_sealed_codes(tx, sealed)
    return ResealedSlice(len(seen), len(sealed), tuple(damaged), seen[-1].id if seen else after)


def _seal_anew(world: World, tenant_id: TenantId, one: SealedCode) -> list[SealedCode]:
    """Return the code sealed under the newest key, as a list; empty if it is sealed so already."""
    code = world.codes.open(tenant_id, one.id, one.code_sealed)
    code_hash = world.codes.hash(tenant_id, code)
    if world.codes.is_current(one.code_sealed) and one.code_hash == code_hash:
        return []
    return [SealedCode(one.id, code_hash, world.codes.seal(tenant_id, one.id, code))]
