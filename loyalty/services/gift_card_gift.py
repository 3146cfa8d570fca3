"""Give gift cards to somebody, and claim them. A given card has no holder until it is claimed.

The giver keeps the gift as a reference, and gets the code in the answer to hand it over.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.archiving import bring_back
from loyalty.ledger.gift_cards import keep_card, open_card_book, tell_of_card
from loyalty.ledger.once import Booked, run_once
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.errors import InvalidInput, NotFound, refuse_problems
from loyalty.rules.gift_card_code import GiftCardCode
from loyalty.rules.gift_card_events import GiftCardClaimed, GiftCardGiven
from loyalty.rules.gift_card_gift import Gift, check_delivery, validate_gift
from loyalty.rules.gift_card_steps import refuse_claim, refuse_gift
from loyalty.rules.ids import CustomerId, GiftCardGiftId, GiftCardId
from loyalty.rules.text import check_external_id
from loyalty.services.customer import CustomerKey, get_customer, may_see_customer
from loyalty.services.fingerprint import fingerprint
from loyalty.services.gift_card import CARD_READERS, find_card_of_code, may_use_card, open_card, open_code
from loyalty.services.program import program_at
from loyalty.services.world import World
from loyalty.storage.gift_card_gifts import (
    GiftRow,
    read_gifts_by_id,
    read_gifts_of_cards,
    read_gifts_of_givers,
)
from loyalty.storage.gift_cards import GiftCardRow, PreparedCard, prepare_for_card, read_cards_by_id
from loyalty.storage.idempotency import name_call
from permissions.actor import Actor, ActorKind
from permissions.catalog import Permission
from permissions.policy import allows_any, require_any
from permissions.visibility import is_the_customer
from tenancy.database import Transaction

GIVE, CLAIM = "giftCardGive", "giftCardClaim"
GIFT_READERS = (Permission.GIFT_CARDS_READ, Permission.GIFT_CARDS_MANAGE, Permission.SELF_READ)
"""Each of these permissions is enough to read gifts. Customers read only gifts that they gave or claimed."""


class GiveRequest(NamedTuple):
    """A card to hand to somebody."""

    card_id: GiftCardId
    gift: Gift
    idempotency_key: str

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        gift = self.gift
        return fingerprint([self.card_id, gift.recipient_name, gift.recipient_email, gift.message, gift.deliver_on])


class GivenCard(NamedTuple):
    """A card that was given. The code is for the giver, the former holder; it is None for the team."""

    gift: GiftRow
    card: GiftCardRow
    code: GiftCardCode | None
    replayed: bool


class ClaimedCard(NamedTuple):
    """A card that a customer claimed."""

    card: GiftCardRow
    replayed: bool


async def give_gift_card(world: World, actor: Actor, request: GiveRequest) -> GivenCard:
    """Give a card to somebody: it has no holder then, and anybody with its code may claim it. The code stays the same.

    Refusals: InvalidInput, IdempotencyConflict, NotFound (card, also one that the customer does not hold),
    GiftCardEnded (it cannot be spent any more). A refusal writes nothing.
    """
    require_any(actor, Permission.GIFT_CARDS_ISSUE, Permission.SELF_REDEEM)
    refuse_problems([check_external_id(request.idempotency_key, ("idempotency_key",)), *validate_gift(request.gift)])
    return await run_once(
        world.database,
        actor.tenant_id,
        name_call(actor, request.idempotency_key, GIVE, request.fingerprint()),
        ask=partial(prepare_for_card, card_id=request.card_id),
        decide=partial(_decide_give, world, actor, request),
        replay=partial(_read_given, world, actor),
    )


async def claim_gift_card(
    world: World, actor: Actor, code: GiftCardCode, customer: CustomerKey | None, idempotency_key: str
) -> ClaimedCard:
    """Take a card without a holder into a customer's account. Customers take it into their own.

    Refusals: InvalidInput, IdempotencyConflict, NotFound (code, customer), TooManyWrongCodes, GiftCardEnded,
    GiftCardHasOwner. A refusal writes nothing.
    """
    require_any(actor, Permission.GIFT_CARDS_SPEND, Permission.SELF_REDEEM)
    refuse_problems([check_external_id(idempotency_key, ("idempotency_key",))])
    claimer_id = await _find_claimer(world, actor, customer)
    card = await find_card_of_code(world, actor, code)
    return await run_once(
        world.database,
        actor.tenant_id,
        name_call(actor, idempotency_key, CLAIM, fingerprint([card.id, claimer_id])),
        ask=partial(prepare_for_card, card_id=card.id),
        decide=partial(_decide_claim, world, actor, claimer_id),
        replay=_read_claimed,
    )


async def load_gifts(world: World, actor: Actor, ids: Sequence[GiftCardGiftId]) -> dict[GiftCardGiftId, GiftRow]:
    """Return the gifts among ``ids`` that the actor may see."""
    if not _may_read_gifts(actor):
        return {}
    found = await read_gifts_by_id(world.database.reading(actor.tenant_id), ids)
    return {gift_id: gift for gift_id, gift in found.items() if may_see_gift(actor, gift)}


async def load_gifts_of_cards(world: World, actor: Actor, ids: Sequence[GiftCardId]) -> dict[GiftCardId, list[GiftRow]]:
    """Return the newest gifts of each card that the actor may see."""
    if not _may_read_gifts(actor):
        return {}
    found = await read_gifts_of_cards(world.database.reading(actor.tenant_id), ids)
    return {card_id: [gift for gift in gifts if may_see_gift(actor, gift)] for card_id, gifts in found.items()}


async def load_gifts_of_givers(
    world: World, actor: Actor, ids: Sequence[CustomerId]
) -> dict[CustomerId, list[GiftRow]]:
    """Return the newest gifts of each giver that the actor may see."""
    if not _may_read_gifts(actor):
        return {}
    found = await read_gifts_of_givers(world.database.reading(actor.tenant_id), ids)
    return {giver_id: [gift for gift in gifts if may_see_gift(actor, gift)] for giver_id, gifts in found.items()}


def _may_read_gifts(actor: Actor) -> bool:
    """Tell whether an actor may read gifts. Another actor who may read cards or the ledger finds no gifts.

    Raises PermissionDenied for an actor who may read none of these.
    """
    require_any(actor, *CARD_READERS, Permission.LOYALTY_READ, Permission.LOYALTY_REPORT)
    return allows_any(actor, *GIFT_READERS)


def may_see_gift(actor: Actor, gift: GiftRow) -> bool:
    """Tell whether an actor may see a gift: the team may, its giver and its claimer."""
    return may_see_customer(actor, gift.giver_id) or may_see_customer(actor, gift.claimer_id)


async def _decide_give(
    world: World, actor: Actor, request: GiveRequest, tx: Transaction, prepared: PreparedCard | None
) -> Booked[GivenCard]:
    """Decide a gift: take the card from its holder, and keep the gift as a reference."""
    if prepared is None or not may_use_card(actor, prepared):
        raise NotFound("gift card", ("gift_card",))
    (book, _), card = await open_card(world, tx, actor, prepared)
    refuse_problems([check_delivery(request.gift.deliver_on, book.today)])
    refuse_gift(card.account, book.now)
    gift = _new_gift(card, request.gift, actor, book.now)
    after = card._replace(holder_id=None)
    book.posting.add(gift)
    keep_card(book, after)
    # The event names the former holder: the giver, even if another customer bought the card.
    tell_of_card(book, card, GiftCardGiven, gift_id=gift.id)
    code = open_code(world, actor, card) if actor.kind is ActorKind.CUSTOMER else None
    return Booked(book, gift.id, lambda: GivenCard(gift, after, code, replayed=False))


def _new_gift(card: GiftCardRow, gift: Gift, by: Actor, now: datetime) -> GiftRow:
    return GiftRow(
        id=GiftCardGiftId(uuid7()),
        gift_card_id=card.id,
        giver_id=card.holder_id,
        claimer_id=None,
        recipient_name=gift.recipient_name,
        recipient_email=gift.recipient_email,
        message=gift.message or None,
        deliver_on=gift.deliver_on,
        given_at=now,
        claimed_at=None,
        actor_kind=by.kind,
        actor=by.display,
    )


async def _decide_claim(
    world: World, actor: Actor, claimer_id: CustomerId, tx: Transaction, prepared: PreparedCard | None
) -> Booked[ClaimedCard]:
    """Decide a claim: give the card to the claimer, and note the claim in its newest gift."""
    program = await program_at(world, tx, prepared and prepared.config_version)
    if prepared is None or prepared.card_id is None:
        raise NotFound("gift card", ("code",))
    owners = (prepared.buyer_id, prepared.holder_id, claimer_id)
    book, cards = await open_card_book(world, tx, program, actor, owners, [prepared.card_id])
    card = cards[prepared.card_id]
    refuse_claim(card.account, card.holder_id, book.now)
    after = card._replace(holder_id=claimer_id)
    keep_card(book, after)
    bring_back(book, claimer_id, ArchiveCause.GIFT_CARD, card.id)
    gifts = (await read_gifts_of_cards(tx, [card.id]))[card.id]
    if gifts and gifts[0].claimer_id is None:
        book.posting.move(gifts[0]._replace(claimer_id=claimer_id, claimed_at=book.now))
    tell_of_card(book, after, GiftCardClaimed)
    return Booked(book, card.id, lambda: ClaimedCard(after, replayed=False))


async def _find_claimer(world: World, actor: Actor, customer: CustomerKey | None) -> CustomerId:
    """Return the customer into whose account a card goes. Refusals: NotFound, InvalidInput."""
    if actor.customer_id is not None and customer is None:
        return actor.customer_id
    if customer is None:
        raise InvalidInput.one("customer", reason="must say whose card it becomes")
    return (await get_customer(world, actor, customer, "customer")).id


async def _read_given(world: World, actor: Actor, tx: Transaction, result_id: UUID) -> GivenCard:
    """Return the replayed answer to a gift: the card as it is now. The giver gets the code again."""
    gift_id = GiftCardGiftId(result_id)
    gift = (await read_gifts_by_id(tx, [gift_id]))[gift_id]
    card = (await read_cards_by_id(tx, [gift.gift_card_id]))[gift.gift_card_id]
    code = open_code(world, actor, card) if is_the_customer(actor, gift.giver_id) and gift.claimer_id is None else None
    return GivenCard(gift, card, code, replayed=True)


async def _read_claimed(tx: Transaction, result_id: UUID) -> ClaimedCard:
    """Return the answer to a replay: the claimed card as it is now."""
    card_id = GiftCardId(result_id)
    return ClaimedCard((await read_cards_by_id(tx, [card_id]))[card_id], replayed=True)
