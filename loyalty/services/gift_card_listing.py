"""Lists of gift cards, and the entries and holds of each, for cards that the caller may see."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from loyalty.rules.ids import GiftCardEntryId, GiftCardHoldId, GiftCardId
from loyalty.rules.location import is_hold_in_scope, is_in_scope
from loyalty.services.customer import may_see_customer
from loyalty.services.gift_card import CARD_READERS, load_gift_cards
from loyalty.services.world import World
from loyalty.storage.gift_card_holds import GiftCardHoldRow, read_card_holds_by_id
from loyalty.storage.gift_card_lists import (
    GiftCardFilter,
    narrow_cards,
    read_active_holds_of_cards,
    read_card_page,
    read_entries_of_cards,
)
from loyalty.storage.gift_cards import GiftCardEntryRow, GiftCardRow, read_card_entries_by_id
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.policy import require_any
from tenancy.reading import Reads

Key = TypeVar("Key")
Row = TypeVar("Row", GiftCardEntryRow, GiftCardHoldRow)


async def list_gift_cards(
    world: World, actor: Actor, wanted: GiftCardFilter, window: Window[TimePlace]
) -> list[GiftCardRow]:
    """Return a page of cards, newest first. Customers find only cards that they hold or bought."""
    if not _may_list(actor, wanted):
        return []
    return await read_card_page(world.database.reading(actor.tenant_id), wanted, window)


async def count_gift_cards(world: World, actor: Actor, wanted: GiftCardFilter) -> int:
    """Return the number of cards in a list, up to the ceiling of counts."""
    if not _may_list(actor, wanted):
        return 0
    return await narrow_cards(wanted).count(world.database.reading(actor.tenant_id))


async def load_card_entries_of(
    world: World, actor: Actor, ids: Sequence[GiftCardId]
) -> dict[GiftCardId, list[GiftCardEntryRow]]:
    """Return the newest entries of each card that the actor may see."""
    return await _load_of_cards(world, actor, read_entries_of_cards, ids)


async def load_active_holds_of(
    world: World, actor: Actor, ids: Sequence[GiftCardId]
) -> dict[GiftCardId, list[GiftCardHoldRow]]:
    """Return the active holds of each card, if the actor may see the card and the hold."""
    found = await _load_of_cards(world, actor, read_active_holds_of_cards, ids)
    return {
        card_id: [row for row in rows if is_in_scope(actor.locations, row.location)] for card_id, rows in found.items()
    }


async def load_card_entries(
    world: World, actor: Actor, ids: Sequence[GiftCardEntryId]
) -> dict[GiftCardEntryId, GiftCardEntryRow]:
    """Return the entries among ``ids`` of cards that the actor may see."""
    return await _load_by_id(world, actor, read_card_entries_by_id, ids)


async def load_card_holds(
    world: World, actor: Actor, ids: Sequence[GiftCardHoldId]
) -> dict[GiftCardHoldId, GiftCardHoldRow]:
    """Return the holds among ``ids`` that the actor may see together with their cards.

    A hold without a location is in every scope.
    """
    found = await _load_by_id(world, actor, read_card_holds_by_id, ids)
    return {hold_id: row for hold_id, row in found.items() if is_hold_in_scope(actor.locations, row.location)}


async def _load_of_cards(
    world: World,
    actor: Actor,
    read: Callable[[Reads, Sequence[GiftCardId]], Awaitable[dict[GiftCardId, list[Row]]]],
    ids: Sequence[GiftCardId],
) -> dict[GiftCardId, list[Row]]:
    """Return the rows that ``read`` finds for each card that the actor may see."""
    visible = await _visible_cards(world, actor, ids)
    return await read(world.database.reading(actor.tenant_id), visible) if visible else {}


async def _load_by_id(
    world: World,
    actor: Actor,
    read: Callable[[Reads, Sequence[Any]], Awaitable[dict[Key, Row]]],
    ids: Sequence[Any],
) -> dict[Key, Row]:
    """Return the rows that ``read`` finds by id, of cards that the actor may see."""
    require_any(actor, *CARD_READERS)
    found = await read(world.database.reading(actor.tenant_id), ids)
    visible = set(await _visible_cards(world, actor, list({row.gift_card_id for row in found.values()})))
    return {key: row for key, row in found.items() if row.gift_card_id in visible}


async def _visible_cards(world: World, actor: Actor, ids: Sequence[GiftCardId]) -> list[GiftCardId]:
    """Return the cards that the actor may see. The team may see all, so no query is needed for it."""
    require_any(actor, *CARD_READERS)
    if actor.kind is not ActorKind.CUSTOMER:
        return list(ids)
    return list(await load_gift_cards(world, actor, ids)) if ids else []


def _may_list(actor: Actor, wanted: GiftCardFilter) -> bool:
    """Tell whether the actor may see a list of cards: of all cards, or of the cards that a customer holds or bought.

    Raises PermissionDenied without the permission for that list.
    """
    require_any(actor, Permission.GIFT_CARDS_READ, Permission.GIFT_CARDS_MANAGE, Permission.SELF_READ)
    named = [customer_id for customer_id in (wanted.holder_id, wanted.buyer_id) if customer_id is not None]
    if not named:
        require_any(actor, Permission.GIFT_CARDS_READ, Permission.GIFT_CARDS_MANAGE)
        return True
    return any(may_see_customer(actor, customer_id) for customer_id in named)
