"""Limit wrong look-ups of customers: each use case that finds a customer by a guessable name calls this module.

Wrong look-ups are counted in the database, over all processes. The count is a transaction of its own, so a refused
look-up counts too. A process remembers which windows are full, so a right look-up needs no statement. It learns of a
window that other processes have filled with its next wrong look-up.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from loyalty.rules.customer_lookup import LOOKUP_WINDOW, MAX_WRONG_LOOKUPS, MAX_WRONG_LOOKUPS_OF_READER
from loyalty.rules.errors import NotFound
from loyalty.rules.gift_card_errors import TooManyWrongCodes
from loyalty.services.world import World
from loyalty.storage.gift_card_guesses import count_guess
from loyalty.storage.shared_names import SharedName
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import allows
from tenancy.retry import retry_transaction


@asynccontextmanager
async def limit_lookups(world: World, actor: Actor, name: SharedName | None, *path: str) -> AsyncGenerator[None, None]:
    """Limit the look-up of a customer in the block: a NotFound for this customer and path counts as a wrong look-up.

    A ``name`` of None is a look-up by id, which is not limited. Raises TooManyWrongCodes if the caller's window is
    full.
    """
    if name is None:
        yield
        return
    ends_at = world.full_lookups.find_end(actor.tenant_id, actor.client, world.clock())
    if ends_at is not None:
        raise TooManyWrongCodes(ends_at, path)
    try:
        yield
    except NotFound as missing:
        if (missing.what, missing.path) == ("customer", path):
            await count_wrong_lookup(world, actor, name, *path)
        raise


async def count_wrong_lookup(world: World, actor: Actor, name: SharedName | None, *path: str) -> None:
    """Count a look-up that found no customer the actor may see. Raises TooManyWrongCodes above the limit."""
    if name is None:
        return
    now = world.clock()

    async def count() -> None:
        async with world.database.tenant_transaction(actor.tenant_id) as tx:
            (counted,) = await count_guess(
                tx, [f"look-ups of {actor.client}"], wrong=True, now=now, ends_at=now + LOOKUP_WINDOW
            )
        limit = MAX_WRONG_LOOKUPS_OF_READER if allows(actor, Permission.LOYALTY_READ) else MAX_WRONG_LOOKUPS
        if counted.wrong >= limit:
            world.full_lookups.remember(actor.tenant_id, actor.client, counted.ends_at)
        if counted.wrong > limit:
            raise TooManyWrongCodes(counted.ends_at, path)

    await retry_transaction(count)
