"""Wrong look-ups of customers are limited: each use case that finds a customer by a name others may guess asks here.

They are counted in the database, for all processes together, in a transaction of its own: a refused one counts too. A
process remembers which windows are full, so a right look-up costs no statement. Of a window that other processes have
filled it hears with its next wrong look-up.
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
    """Run what finds a customer by a name; NotFound at the path counts as wrong. None, for an id, is not limited.

    Refusal: TooManyWrongCodes.
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
    """Count a name that no customer has whom the actor may see. Refusal: TooManyWrongCodes, for one too many."""
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
