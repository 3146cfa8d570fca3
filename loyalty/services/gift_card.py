"""Gift cards for callers: who may see a card and its code, and the first steps of every operation on a card."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from loyalty.ledger.gift_cards import CardBook, open_card_book
from loyalty.rules.errors import NotFound
from loyalty.rules.gift_card_code import GiftCardCode
from loyalty.rules.ids import GiftCardEntryId, GiftCardId
from loyalty.services.customer import may_see_customer
from loyalty.services.gift_card_guess import limit_guesses
from loyalty.services.program import program_at
from loyalty.services.world import World
from loyalty.storage.gift_cards import (
    GiftCardEntryRow,
    GiftCardRow,
    PreparedCard,
    read_card_by_code,
    read_card_entries_by_id,
    read_cards_by_id,
)
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import allows_any, require_any
from permissions.visibility import is_the_customer
from tenancy.database import Transaction

CARD_READERS = (
    Permission.GIFT_CARDS_READ,
    Permission.GIFT_CARDS_ISSUE,
    Permission.GIFT_CARDS_SPEND,
    Permission.GIFT_CARDS_MANAGE,
    Permission.SELF_READ,
)
"""Each of these permissions is enough to read cards. Customers read only cards that they hold or bought."""


class CardKey(NamedTuple):
    """The caller's name for a card: its id, or its code."""

    id: GiftCardId | None = None
    code: GiftCardCode | None = None


class MovedCard(NamedTuple):
    """A card after an operation that booked an entry of it."""

    card: GiftCardRow
    entry: GiftCardEntryRow
    replayed: bool


async def look_up_gift_card(world: World, actor: Actor, code: GiftCardCode) -> GiftCardRow:
    """Return the card with this code. Who knows the code needs no other right to that card.

    Refusals: NotFound, TooManyWrongCodes.
    """
    require_any(actor, Permission.GIFT_CARDS_SPEND, Permission.SELF_READ)
    return await find_card_of_code(world, actor, code)


async def find_card_of_code(
    world: World, by: Actor, code: GiftCardCode, path: tuple[str, ...] = ("code",)
) -> GiftCardRow:
    """Return the card of a code. A wrong code counts against the caller. Refusals: NotFound, TooManyWrongCodes."""
    hashes = world.codes.hashes(by.tenant_id, code)
    found = await read_card_by_code(world.database.reading(by.tenant_id), hashes)
    await limit_guesses(world, by, code, known=found is not None, path=path)
    if found is None:
        raise NotFound("gift card", path)
    return found


async def load_gift_cards(world: World, actor: Actor, ids: Sequence[GiftCardId]) -> dict[GiftCardId, GiftCardRow]:
    """Return the cards among ``ids`` that the actor may see. Customers see cards that they hold or bought.

    A reader of the ledger without a permission to read cards sees that points bought a card, but not the card.
    """
    require_any(actor, *CARD_READERS, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT)
    if not allows_any(actor, *CARD_READERS):
        return {}
    found = await read_cards_by_id(world.database.reading(actor.tenant_id), ids)
    return {card_id: card for card_id, card in found.items() if may_see_card(actor, card)}


def may_see_card(actor: Actor, card: GiftCardRow) -> bool:
    """Tell whether an actor may see a card."""
    return may_see_customer(actor, card.holder_id) or may_see_customer(actor, card.buyer_id)


def may_use_card(actor: Actor, card: PreparedCard | GiftCardRow) -> bool:
    """Tell whether an actor may spend or give a card without its code. A customer may only as its holder."""
    return may_see_customer(actor, card.holder_id)


def reveal_code(world: World, actor: Actor, card: GiftCardRow) -> GiftCardCode | None:
    """Return the code of a card for its holder; None for all others, who see only its last symbols."""
    return open_code(world, actor, card) if is_the_customer(actor, card.holder_id) else None


def open_code(world: World, actor: Actor, card: GiftCardRow) -> GiftCardCode:
    """Return the code of a card, for the answer to the call that created it."""
    return world.codes.open(actor.tenant_id, card.id, card.code_sealed)


# ── what every operation begins with ─────────────────────────────────────────────────────────────────────────────


async def open_card(
    world: World,
    tx: Transaction,
    by: Actor,
    prepared: PreparedCard | None,
    path: tuple[str, ...] = ("gift_card",),
) -> tuple[CardBook, GiftCardRow]:
    """Lock the accounts of a card's buyer and holder and of the customer of its purchase, then the card.

    ``path`` is the field that names the card. Refusal: NotFound, also for an unknown code.
    """
    program = await program_at(world, tx, prepared and prepared.config_version)
    if prepared is None or prepared.card_id is None:
        raise NotFound("gift card", path)
    opened = await open_card_book(world, tx, program, by, prepared.customer_ids, [prepared.card_id])
    return opened, opened.cards[prepared.card_id]


async def read_moved_card(tx: Transaction, result_id: UUID) -> MovedCard:
    """Return the replayed answer to an operation that booked an entry: the card as it is now."""
    entry_id = GiftCardEntryId(result_id)
    entry = (await read_card_entries_by_id(tx, [entry_id]))[entry_id]
    card = (await read_cards_by_id(tx, [entry.gift_card_id]))[entry.gift_card_id]
    return MovedCard(card, entry, replayed=True)
