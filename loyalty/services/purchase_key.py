"""How purchases are named: by tidy ids; what an earlier release kept as it was sent stays findable."""

from collections.abc import Sequence

from loyalty.rules.text import tidy_id
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.world import World
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchase_relations import read_purchases_by_keys
from permissions.actor import Actor


async def settle_keys(world: World, actor: Actor, keys: Sequence[PurchaseKey]) -> list[PurchaseKey]:
    """Return the keys with tidy ids; one that is not tidy stays as it is where such a purchase is recorded.

    Tidy keys, and that are nearly all, take no statement.
    """
    tidied = [PurchaseKey(key.kind, tidy_id(key.external_id)) for key in keys]
    changed = [key for key, tidy in zip(keys, tidied, strict=True) if key != tidy]
    if not changed:
        return tidied
    recorded = await read_purchases_by_keys(world.database.reading(actor.tenant_id), list(dict.fromkeys(changed)))
    return [key if key in recorded else tidy for key, tidy in zip(keys, tidied, strict=True)]


async def settle_name(world: World, actor: Actor, name: PurchaseName) -> PurchaseName:
    """Return the name of a purchase with a settled key; see ``settle_keys``."""
    if name.key is None:
        return name
    return name._replace(key=(await settle_keys(world, actor, [name.key]))[0])
