"""Gift cards as callers see them: who may see a card, who its code, and what every operation on one begins with."""

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
"""Any of these reads cards; customers read those that they have, or bought."""


class CardKey(NamedTuple):
    """How a caller names a card: by its id, or by its code."""

    id: GiftCardId | None = None
    code: GiftCardCode | None = None


class MovedCard(NamedTuple):
    """A card after an operation that booked an entry of it."""

    card: GiftCardRow
    entry: GiftCardEntryRow
    replayed: bool


async def look_up_gift_card(world: World, actor: Actor, code: GiftCardCode) -> GiftCardRow:
    """The card of a code; the code is enough. Refusals: NotFound, which says nothing more, TooManyWrongCodes."""
    require_any(actor, Permission.GIFT_CARDS_SPEND, Permission.SELF_READ)
    return await find_card_of_code(world, actor, code)


async def find_card_of_code(
    world: World, by: Actor, code: GiftCardCode, path: tuple[str, ...] = ("code",)
) -> GiftCardRow:
    """The card of a code; each wrong one counts against the caller. Refusals: NotFound, TooManyWrongCodes."""
    hashes = world.codes.hashes(by.tenant_id, code)
    found = await read_card_by_code(world.database.reading(by.tenant_id), hashes)
    await limit_guesses(world, by, code, known=found is not None, path=path)
    if found is None:
        raise NotFound("gift card", path)
    return found


async def load_gift_cards(world: World, actor: Actor, ids: Sequence[GiftCardId]) -> dict[GiftCardId, GiftCardRow]:
    """The cards among ``ids`` that the actor may see: customers see those that they have, or bought.

    Who reads the ledger without the right to read cards sees that points bought one, and no card.
    """
    require_any(actor, *CARD_READERS, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT)
    if not allows_any(actor, *CARD_READERS):
        return {}
    found = await read_cards_by_id(world.database.reading(actor.tenant_id), ids)
    return {card_id: card for card_id, card in found.items() if may_see_card(actor, card)}


def may_see_card(actor: Actor, card: GiftCardRow) -> bool:
    """Whether an actor may see a card at all."""
    return may_see_customer(actor, card.holder_id) or may_see_customer(actor, card.buyer_id)


def may_use_card(actor: Actor, card: PreparedCard | GiftCardRow) -> bool:
    """Whether an actor may spend or give a card without its code: a customer only one that they have."""
    return may_see_customer(actor, card.holder_id)


def reveal_code(world: World, actor: Actor, card: GiftCardRow) -> GiftCardCode | None:
    """The code of a card for its holder; None for everybody else, who sees how it ends."""
    return open_code(world, actor, card) if is_the_customer(actor, card.holder_id) else None


def open_code(world: World, actor: Actor, card: GiftCardRow) -> GiftCardCode:
    """The code of a card, for the payload of the call that made it."""
    return world.codes.open(actor.tenant_id, card.id, card.code_sealed)


# ── what every operation begins with ─────────────────────────────────────────────────────────────────────────────


async def open_card(
    world: World,
    tx: Transaction,
    by: Actor,
    prepared: PreparedCard | None,
    path: tuple[str, ...] = ("gift_card",),
) -> tuple[CardBook, GiftCardRow]:
    """Lock a card, and before it the accounts of who bought it, who has it, and whose purchase it pays for.

    Refusal: NotFound, also for an unknown code.
    """
    program = await program_at(world, tx, prepared and prepared.config_version)
    if prepared is None or prepared.card_id is None:
        raise NotFound("gift card", path)
    opened = await open_card_book(world, tx, program, by, prepared.customer_ids, [prepared.card_id])
    return opened, opened.cards[prepared.card_id]


async def read_moved_card(tx: Transaction, result_id: UUID) -> MovedCard:
    """The answer to an operation that booked an entry before: the card as it is now."""
    entry_id = GiftCardEntryId(result_id)
    entry = (await read_card_entries_by_id(tx, [entry_id]))[entry_id]
    card = (await read_cards_by_id(tx, [entry.gift_card_id]))[entry.gift_card_id]
    return MovedCard(card, entry, replayed=True)
