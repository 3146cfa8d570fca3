"""Expire gift cards, end their abandoned holds, and extend cards."""

from datetime import date
from functools import partial
from typing import NamedTuple

from loyalty.ledger.gift_cards import (
    enter_card,
    keep_card,
    lapse_card,
    next_card_notice,
    open_card_book,
    tell_of_card,
)
from loyalty.ledger.once import Booked, run_once
from loyalty.ledger.posting import post_and_commit
from loyalty.rules.errors import InvalidInput, refuse_problems
from loyalty.rules.gift_card import GiftCardEntryKind, extend_card
from loyalty.rules.gift_card_events import GiftCardExtended
from loyalty.rules.gift_card_steps import choose_later_expiry
from loyalty.rules.ids import GiftCardId, TenantId
from loyalty.rules.redemption import HoldState
from loyalty.rules.text import check_external_id, check_note
from loyalty.services.fingerprint import fingerprint
from loyalty.services.gift_card import MovedCard, open_card, read_moved_card
from loyalty.services.gift_card_hold import end_card_hold
from loyalty.services.gift_card_payment import change_cards_paid
from loyalty.services.program import program_in_force
from loyalty.services.revaluation import post_cards_paid
from loyalty.services.sweep import NOTHING_SWEPT, Swept
from loyalty.services.world import World
from loyalty.storage.gift_card_holds import read_abandoned_card_holds, read_card_holds_by_id
from loyalty.storage.gift_cards import PreparedCard, prepare_for_card, read_due_cards, read_lost_minor
from loyalty.storage.idempotency import name_call
from permissions.actor import Actor, system_actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction
from tenancy.retry import retry_transaction

EXTEND = "giftCardExtend"
BATCH = 500
SUBJECT = "worker:gift_cards"


class ExtendRequest(NamedTuple):
    """A card with its new last day, and the reason."""

    card_id: GiftCardId
    expires_on: date
    reason: str
    idempotency_key: str


async def extend_gift_card(world: World, actor: Actor, request: ExtendRequest) -> MovedCard:
    """Give a card a later expiry. Money that had expired comes back.

    Refusals: InvalidInput (also for a day that is not later, and for a card that never expires), IdempotencyConflict,
    NotFound, GiftCardEnded (voided).
    """
    require(actor, Permission.GIFT_CARDS_MANAGE)
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_note(request.reason, ("reason",)),
        ]
    )
    if not request.reason.strip():
        raise InvalidInput.one("reason", reason="must not be blank")
    mark = fingerprint([request.card_id, request.expires_on, request.reason])
    return await run_once(
        world.database,
        actor.tenant_id,
        name_call(actor, request.idempotency_key, EXTEND, mark),
        ask=partial(prepare_for_card, card_id=request.card_id),
        decide=partial(_decide_extend, world, actor, request),
        replay=read_moved_card,
    )


async def expire_due_cards(world: World, tenant_id: TenantId) -> Swept:
    """Let up to ``BATCH`` cards expire after their validity, also while the program is off."""
    return await retry_transaction(lambda: _expire_batch(world, tenant_id))


async def free_abandoned_card_holds(world: World, tenant_id: TenantId) -> Swept:
    """End up to ``BATCH`` holds of cards after their time is over, also while the program is off."""
    return await retry_transaction(lambda: _free_batch(world, tenant_id))


async def _decide_extend(
    world: World, actor: Actor, request: ExtendRequest, tx: Transaction, prepared: PreparedCard | None
) -> Booked[MovedCard]:
    """Decide an extension: book the later expiry, and the money that comes back with it."""
    (book, _), card = await open_card(world, tx, actor, prepared)
    expires_at = choose_later_expiry(card.account, request.expires_on, book.now, book.program.zone)
    after, entry = enter_card(
        book,
        card,
        GiftCardEntryKind.EXTENDED,
        extend_card(card.account, expires_at, await read_lost_minor(tx, card.id)),
        reason=request.reason,
        expires_at=expires_at,
    )
    after = after._replace(notice_at=next_card_notice(book, expires_at))
    keep_card(book, after)
    told = {"amount_minor": entry.amount_minor, "expires_at": expires_at.isoformat()}
    tell_of_card(book, after, GiftCardExtended, **told)
    return Booked(book, entry.id, lambda: MovedCard(after, entry, replayed=False))


async def _expire_batch(world: World, tenant_id: TenantId) -> Swept:
    """Expire the cards of one batch in one transaction."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_due_cards(tx, world.now(program), BATCH)
        if not seen:
            return NOTHING_SWEPT
        by, owners = system_actor(tenant_id, SUBJECT), [card.owner_id for card in seen]
        book, cards = await open_card_book(world, tx, program, by, owners, [card.id for card in seen])
        for card in cards.values():
            after = lapse_card(book, card)
            if after != card:
                keep_card(book, after)
        await post_and_commit(tx, book.finish())
    return Swept(len(seen))


async def _free_batch(world: World, tenant_id: TenantId) -> Swept:
    """End the holds of one batch in one transaction, and write the change of what cards pay for their purchases."""
    async with world.database.tenant_transaction(tenant_id) as tx:
        program = await program_in_force(world, tx, even_when_off=True)
        seen = await read_abandoned_card_holds(tx, world.now(program), BATCH)
        if not seen:
            return NOTHING_SWEPT
        by, owners = system_actor(tenant_id, SUBJECT), [one.owner_id for one in seen]
        customers = [*owners, *(one.purchase.customer_id for one in seen)]
        book, cards = await open_card_book(world, tx, program, by, customers, [one.gift_card_id for one in seen])
        # Read the holds under the locks: some may have been captured or released meanwhile.
        holds = await read_card_holds_by_id(tx, [one.id for one in seen])
        paid = {}
        for one in seen:
            hold = holds[one.id]
            if hold.state is HoldState.ACTIVE:
                ended = end_card_hold(book, cards[one.gift_card_id], hold, HoldState.EXPIRED)
                cards[one.gift_card_id] = ended.card
                if hold.purchase is not None:
                    paid[hold.purchase] = one.purchase
        for key, purchase in paid.items():
            change_cards_paid(book, key, purchase)
        await post_cards_paid(tx, book, [key for key, purchase in paid.items() if purchase.customer_id is not None])
    return Swept(len(seen))
