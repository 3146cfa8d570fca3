"""Names of purchases: an id or a key, with tidy ids."""

from collections.abc import Sequence
from functools import partial

from loyalty.services.purchase_change import PurchaseName
from loyalty.services.tidy_keys import tidy_keys
from loyalty.services.world import World
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchase_relations import read_purchases_by_keys
from permissions.actor import Actor


async def settle_keys(world: World, actor: Actor, keys: Sequence[PurchaseKey]) -> list[PurchaseKey]:
    """Return the keys of purchases in stored form; see ``tidy_keys``."""
    tx = world.database.reading(actor.tenant_id)
    return await tidy_keys(keys, partial(read_purchases_by_keys, tx))


async def settle_name(world: World, actor: Actor, name: PurchaseName) -> PurchaseName:
    """Return the name of a purchase with its key in stored form; see ``settle_keys``."""
    if name.key is None:
        return name
    return name._replace(key=(await settle_keys(world, actor, [name.key]))[0])
