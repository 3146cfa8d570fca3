"""Lists of purchases, adjustments, holds, redemptions and lots, for the team and for one customer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from loyalty.rules.ids import PurchaseId
from loyalty.services.customer import may_list, visible_lists, visible_rows
from loyalty.services.purchase_key import settle_keys
from loyalty.services.world import World
from loyalty.storage.adjustments import AdjustmentRow
from loyalty.storage.entries import EntryRow
from loyalty.storage.expiry import LotRow
from loyalty.storage.holds import HoldRow
from loyalty.storage.lists import (
    AdjustmentFilter,
    HoldFilter,
    LotFilter,
    PurchaseFilter,
    RedemptionFilter,
    narrow_adjustments,
    narrow_holds,
    narrow_lots,
    narrow_purchases,
    narrow_redemptions,
    read_adjustment_page,
    read_hold_page,
    read_lot_page,
    read_purchase_page,
    read_redemption_page,
)
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchase_relations import (
    PurchaseFactRow,
    read_entries_of,
    read_histories,
    read_holds_for,
    read_purchases_by_keys,
    read_redemptions_of,
)
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.redemptions import RedemptionRow
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require_any
from tenancy.reading import Reads

Filter = TypeVar("Filter", PurchaseFilter, AdjustmentFilter, HoldFilter, RedemptionFilter, LotFilter)
Row = TypeVar("Row")
Key = TypeVar("Key")


_LISTS = (Permission.LOYALTY_READ, Permission.LOYALTY_READ, Permission.SELF_READ)
"""The permission to list everybody's rows, then the permissions to list one customer's."""

MAX_EXTERNAL_IDS = 100
"""The most external ids in one look-up of purchases."""


async def list_purchases(
    world: World, actor: Actor, wanted: PurchaseFilter, window: Window[TimePlace]
) -> list[PurchaseRow]:
    """Return a page of purchases, newest first. Customers find only their own."""
    return await _list(world, actor, read_purchase_page, wanted, window)


async def list_adjustments(
    world: World, actor: Actor, wanted: AdjustmentFilter, window: Window[TimePlace]
) -> list[AdjustmentRow]:
    """Return a page of adjustments, newest first. Customers find only their own."""
    return await _list(world, actor, read_adjustment_page, wanted, window)


async def list_holds(world: World, actor: Actor, wanted: HoldFilter, window: Window[TimePlace]) -> list[HoldRow]:
    """Return a page of holds, newest first. Customers find only their own."""
    return await _list(world, actor, read_hold_page, wanted, window)


async def list_redemptions(
    world: World, actor: Actor, wanted: RedemptionFilter, window: Window[TimePlace]
) -> list[RedemptionRow]:
    """Return a page of redemptions, newest first. Customers find only their own."""
    return await _list(world, actor, read_redemption_page, wanted, window)


async def list_lots(world: World, actor: Actor, wanted: LotFilter, window: Window[TimePlace]) -> list[LotRow]:
    """Return a page of lots, newest first. Customers find only their own."""
    return await _list(world, actor, read_lot_page, wanted, window)


async def count_listed(world: World, actor: Actor, wanted: Filter) -> int:
    """Return the number of rows in one of these lists, up to the ceiling of counts. Customers count only their own."""
    if not may_list(actor, wanted, *_LISTS):
        return 0
    tx = world.database.reading(actor.tenant_id)
    return await _NARROW[type(wanted)](_narrow_to_scope(actor, wanted)).count(tx)


_NARROW: Mapping[type, Callable[[Any], Narrowed]] = {
    PurchaseFilter: narrow_purchases,
    AdjustmentFilter: narrow_adjustments,
    HoldFilter: narrow_holds,
    RedemptionFilter: narrow_redemptions,
    LotFilter: narrow_lots,
}


async def _list(
    world: World,
    actor: Actor,
    read: Callable[[Reads, Filter, Window[TimePlace]], Awaitable[list[Row]]],
    wanted: Filter,
    window: Window[TimePlace],
) -> list[Row]:
    """Read a page of a list: of one customer's rows, or of all rows for the team."""
    if not may_list(actor, wanted, *_LISTS):
        return []
    tx = world.database.reading(actor.tenant_id)
    return await read(tx, _narrow_to_scope(actor, wanted), window)


def _narrow_to_scope(actor: Actor, wanted: Filter) -> Filter:
    """Limit a filter to the actor's scope of locations. A filter for lots stays: a lot belongs to no location."""
    if actor.locations is None or isinstance(wanted, LotFilter):
        return wanted
    return wanted._replace(locations=sorted(actor.locations))


# ── what belongs to purchases ────────────────────────────────────────────────────────────────────────────────────


async def load_purchases_by_key(
    world: World, actor: Actor, keys: Sequence[PurchaseKey]
) -> dict[PurchaseKey, PurchaseRow]:
    """Return the recorded purchases among ``keys`` that the actor may see."""
    settled = await settle_keys(world, actor, keys)
    found = visible_rows(actor, await _load(world, actor, read_purchases_by_keys, settled))
    return {key: found[known] for key, known in zip(keys, settled, strict=True) if known in found}


async def load_holds_for(world: World, actor: Actor, keys: Sequence[PurchaseKey]) -> dict[PurchaseKey, list[HoldRow]]:
    """Return the newest holds for each purchase, without holds that the actor may not see."""
    return visible_lists(actor, await _load(world, actor, read_holds_for, keys))


async def load_redemptions_for(
    world: World, actor: Actor, keys: Sequence[PurchaseKey]
) -> dict[PurchaseKey, list[RedemptionRow]]:
    """Return the newest redemptions for each purchase, without redemptions that the actor may not see."""
    return visible_lists(actor, await _load(world, actor, read_redemptions_of, keys))


async def load_purchase_entries(
    world: World, actor: Actor, ids: Sequence[PurchaseId]
) -> dict[PurchaseId, list[EntryRow]]:
    """Return the newest entries that each purchase caused, without entries that the actor may not see."""
    return visible_lists(actor, await _load(world, actor, read_entries_of, ids))


async def load_purchase_histories(
    world: World, actor: Actor, ids: Sequence[PurchaseId]
) -> dict[PurchaseId, list[PurchaseFactRow]]:
    """Return the newest facts of each purchase. A reader of the purchase may see them all."""
    return await _load(world, actor, read_histories, ids)


async def _load(
    world: World,
    actor: Actor,
    read: Callable[[Reads, Sequence[Key]], Awaitable[dict[Key, Row]]],
    keys: Sequence[Key],
) -> dict[Key, Row]:
    """Return the rows that ``read`` finds by their keys. The caller leaves out rows that the actor may not see."""
    require_any(actor, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.SELF_READ)
    tx = world.database.reading(actor.tenant_id)
    return await read(tx, keys)
