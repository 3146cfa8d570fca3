"""Spend gift cards at a checkout: hold, capture, release, return. Held money counts as spent until the hold ends.

Everything happens under the lock of the card. A hold leaves ACTIVE once, and is read after that lock.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book
from loyalty.ledger.gift_cards import enter_card, keep_card, lapse_card, tell_of_card
from loyalty.ledger.once import Booked, Unchanged, post_book, run_once
from loyalty.rules.errors import NotFound, refuse_problems
from loyalty.rules.gift_card import GiftCardEntryKind, check_amount, free_held
from loyalty.rules.gift_card_events import GiftCardHeld, GiftCardReleased, GiftCardReturned, GiftCardSpent
from loyalty.rules.gift_card_hold import capture_money, hold_money, return_money
from loyalty.rules.hold_steps import must_release
from loyalty.rules.ids import GiftCardHoldId, GiftCardId
from loyalty.rules.location import (
    check_location,
    check_location_id,
    choose_capture_location,
    choose_location,
    is_in_scope,
    refuse_hold_elsewhere,
)
from loyalty.rules.money import Money
from loyalty.rules.redemption import HoldState, check_hold_minutes
from loyalty.rules.text import check_external_id, check_note
from loyalty.services.fingerprint import fingerprint, money_identity
from loyalty.services.gift_card import CardKey, find_card_of_code, may_use_card, open_card, read_moved_card
from loyalty.services.gift_card_payment import (
    change_cards_paid,
    find_purchase_to_capture_for,
    find_purchase_to_hold_for,
)
from loyalty.services.purchase_key import settle_keys
from loyalty.services.world import World
from loyalty.storage.cards_paid import PurchaseOfCard
from loyalty.storage.gift_card_holds import (
    GiftCardHoldRow,
    prepare_for_card_hold,
    read_card_hold_with_purchase,
    read_card_holds_by_id,
)
from loyalty.storage.gift_cards import (
    GiftCardEntryRow,
    GiftCardRow,
    PreparedCard,
    prepare_for_card,
    prepare_to_hold_card,
    read_cards_by_id,
)
from loyalty.storage.idempotency import KeyedCall, name_call
from loyalty.storage.known_checkouts import read_known_checkout
from loyalty.storage.points_paid import PurchaseKey
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require, require_any
from tenancy.database import Transaction

HOLD, CAPTURE = "giftCardHold", "giftCardCapture"
RELEASE, RETURN = "giftCardRelease", "giftCardReturn"

AskForCard = Callable[[Transaction, KeyedCall], Awaitable[PreparedCard | None]]


class CardHoldRequest(NamedTuple):
    """A request to set money of a card aside."""

    card: CardKey
    amount: Money
    purchase: PurchaseKey | None
    minutes: int | None
    idempotency_key: str
    location: str | None = None

    def fingerprint(self, card_id: GiftCardId) -> str:
        """Return the fingerprint of this request. It has the card's id and never its code, which is a secret."""
        purchase = self.purchase and tuple(self.purchase)
        return fingerprint([card_id, money_identity(self.amount), purchase, self.minutes], location=self.location)


class HeldCard(NamedTuple):
    """A hold after an operation, and its card."""

    hold: GiftCardHoldRow
    card: GiftCardRow
    replayed: bool


class ReturnedCard(NamedTuple):
    """Money that came back to a card: the entry, and the hold that had spent it."""

    entry: GiftCardEntryRow
    hold: GiftCardHoldRow
    card: GiftCardRow
    replayed: bool


async def hold_gift_card(world: World, actor: Actor, request: CardHoldRequest) -> HeldCard:
    """Set money of a card aside for a checkout. The holder of the card may do so, and anybody with its code.

    All payments of a recorded purchase count against its total. Refusals: InvalidInput, CurrencyMismatch,
    IdempotencyConflict, NotFound (card or code), TooManyWrongCodes, GiftCardEnded, GiftCardBalanceTooLow,
    PurchaseOfAnotherCustomer (for customers), PurchaseEnded, GiftCardAbovePurchase. A refusal writes nothing but a
    wrong code.
    """
    require_any(actor, Permission.GIFT_CARDS_SPEND, Permission.SELF_REDEEM)
    _refuse_hold(actor, request)
    card_id = await _find_card(world, actor, request.card)
    call = name_call(actor, request.idempotency_key, HOLD, request.fingerprint(card_id))
    if request.purchase is not None:
        request = request._replace(purchase=(await settle_keys(world, actor, [request.purchase]))[0])
    return await run_once(
        world.database,
        actor.tenant_id,
        call,
        ask=_choose_question(request, card_id),
        decide=partial(_decide_hold, world, actor, request),
        replay=_read_held,
    )


async def capture_gift_card(
    world: World,
    actor: Actor,
    hold_id: GiftCardHoldId,
    amount: Money | None,
    idempotency_key: str,
    location: str | None = None,
) -> HeldCard:
    """Spend the money of a hold, or a part of it. The rest can be spent again.

    A hold without a location takes the location of the capture. Refusals: InvalidInput, CurrencyMismatch,
    IdempotencyConflict, NotFound, HoldEnded, GiftCardBalanceTooLow (more than is held), PurchaseEnded,
    GiftCardAbovePurchase (the purchase has become smaller, or has other payments).
    """
    require(actor, Permission.GIFT_CARDS_SPEND)
    _refuse_key_and_amount(idempotency_key, amount)
    refuse_problems([check_location_id(location)])
    mark = fingerprint([hold_id, amount and money_identity(amount)], location=location)
    return await run_once(
        world.database,
        actor.tenant_id,
        name_call(actor, idempotency_key, CAPTURE, mark),
        ask=partial(prepare_for_card_hold, hold_id=hold_id),
        decide=partial(_decide_capture, world, actor, hold_id, amount, location),
        replay=_read_held,
    )


async def release_gift_card(
    world: World, actor: Actor, hold_id: GiftCardHoldId, idempotency_key: str, reason: str | None = None
) -> HeldCard:
    """End a hold without spending it. A hold that was released or has expired already stays as it is, with its reason.

    Refusals: InvalidInput, IdempotencyConflict, NotFound, HoldEnded (captured).
    """
    require_any(actor, Permission.GIFT_CARDS_SPEND, Permission.SELF_REDEEM)
    _refuse_key_and_amount(idempotency_key, None)
    refuse_problems([check_note(reason, ("reason",))])
    return await run_once(
        world.database,
        actor.tenant_id,
        name_call(actor, idempotency_key, RELEASE, fingerprint([hold_id], reason=reason)),
        ask=partial(prepare_for_card_hold, hold_id=hold_id),
        decide=partial(_decide_release, world, actor, hold_id, reason),
        replay=_read_held,
    )


async def return_to_gift_card(
    world: World, actor: Actor, hold_id: GiftCardHoldId, amount: Money | None, reason: str | None, idempotency_key: str
) -> ReturnedCard:
    """Give spent money back to its card: all that can still come back of a capture, or a part.

    A card whose validity is over has to be extended first, because the money would be lost at once. Refusals:
    InvalidInput, CurrencyMismatch, IdempotencyConflict, NotFound, GiftCardEnded, ReturnExceedsSpending.
    """
    require(actor, Permission.GIFT_CARDS_SPEND)
    _refuse_key_and_amount(idempotency_key, amount)
    refuse_problems([check_note(reason, ("reason",))])
    mark = fingerprint([hold_id, amount and money_identity(amount), reason])
    return await run_once(
        world.database,
        actor.tenant_id,
        name_call(actor, idempotency_key, RETURN, mark),
        ask=partial(prepare_for_card_hold, hold_id=hold_id),
        decide=partial(_decide_return, world, actor, hold_id, amount, reason),
        replay=_read_returned,
    )


def end_card_hold(
    book: Book, card: GiftCardRow, hold: GiftCardHoldRow, state: HoldState, reason: str | None = None
) -> HeldCard:
    """Book the end of an active hold: its money can be spent again, or expires if the card's validity is over."""
    ended = _end(book, hold, state)._replace(ended_reason=reason)
    book.posting.move(ended)
    after = card.with_account(free_held(card.account, hold.amount_minor))
    tell_of_card(book, after, GiftCardReleased, gift_card_hold_id=hold.id, amount_minor=hold.amount_minor)
    after = lapse_card(book, after)
    keep_card(book, after)
    return HeldCard(ended, after, replayed=False)


def _end(book: Book, hold: GiftCardHoldRow, state: HoldState) -> GiftCardHoldRow:
    """Return the row of a hold that ends now in this state, by the actor of the book."""
    by = book.actor
    return hold._replace(state=state, ended_at=book.now, ended_actor_kind=by.kind, ended_actor=by.display)


# ── one transaction ──────────────────────────────────────────────────────────────────────────────────────────────


async def _decide_hold(
    world: World, actor: Actor, request: CardHoldRequest, tx: Transaction, prepared: PreparedCard | None
) -> Booked[HeldCard]:
    """Decide a hold: check the card and the recorded purchase, and book the held money."""
    if prepared is None or not (request.card.code or may_use_card(actor, prepared)):
        raise NotFound("gift card", ("gift_card",))
    (book, _), card = await open_card(world, tx, actor, prepared)
    payable = None
    if request.purchase is not None and prepared.purchase.customer_id is not None:
        payable = find_purchase_to_hold_for(actor, await read_known_checkout(tx, request.purchase))
    held = card.with_account(hold_money(card.account, request.amount, payable, book.now))
    hold = _new_hold(book, card, request)
    book.posting.add(hold)
    keep_card(book, held)
    tell_of_card(book, held, GiftCardHeld, gift_card_hold_id=hold.id, amount_minor=hold.amount_minor)
    write = change_cards_paid(book, hold.purchase, prepared.purchase)
    return Booked(book, hold.id, lambda: HeldCard(hold, held, replayed=False), write)


def _new_hold(book: Book, card: GiftCardRow, request: CardHoldRequest) -> GiftCardHoldRow:
    minutes = request.minutes or book.program.row.settings.redemption.hold_minutes
    return GiftCardHoldRow(
        id=GiftCardHoldId(uuid7()),
        gift_card_id=card.id,
        state=HoldState.ACTIVE,
        amount_minor=request.amount.amount_minor,
        currency=card.currency,
        captured_minor=0,
        returned_minor=0,
        purchase_kind=request.purchase.kind if request.purchase else None,
        purchase_external_id=request.purchase.external_id if request.purchase else None,
        expires_at=book.now + timedelta(minutes=minutes),
        created_at=book.now,
        ended_at=None,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
        location=choose_location(book.actor.locations, request.location),
    )


async def _decide_capture(
    world: World,
    actor: Actor,
    hold_id: GiftCardHoldId,
    wanted: Money | None,
    location: str | None,
    tx: Transaction,
    prepared: PreparedCard | None,
) -> Booked[HeldCard]:
    """Decide a capture: check the hold and its purchase, and book the spent money."""
    book, card, purchase = await _open_card_of_hold(world, tx, actor, prepared)
    hold, known = await read_card_hold_with_purchase(tx, hold_id)
    refuse_hold_elsewhere(actor.locations, hold.location)
    there = choose_capture_location(actor.locations, hold.location, location)
    payable = find_purchase_to_capture_for(known)
    spent = capture_money(card.account, hold.numbers, wanted, payable, book.now)
    captured = _end(book, hold, HoldState.CAPTURED)._replace(captured_minor=spent.amount_minor, location=there)
    book.posting.move(captured)
    after, entry = enter_card(book, card, GiftCardEntryKind.SPENT, spent.account, hold_id=hold.id)
    tell_of_card(book, after, GiftCardSpent, gift_card_hold_id=hold.id, amount_minor=entry.amount_minor)
    after = lapse_card(book, after)
    keep_card(book, after)
    # Held money counts as paid, so a capture of all of it changes nothing for the purchase.
    write = post_book if spent.amount_minor == hold.amount_minor else change_cards_paid(book, hold.purchase, purchase)
    return Booked(book, hold.id, lambda: HeldCard(captured, after, replayed=False), write)


async def _decide_release(
    world: World,
    actor: Actor,
    hold_id: GiftCardHoldId,
    reason: str | None,
    tx: Transaction,
    prepared: PreparedCard | None,
) -> Booked[HeldCard] | Unchanged[HeldCard]:
    """Decide a release: free the held money, unless the hold has ended before."""
    book, card, hold, purchase = await _open_hold(world, tx, actor, hold_id, prepared)
    if not must_release(hold.state):
        return Unchanged(HeldCard(hold, card, replayed=True))
    ended = end_card_hold(book, card, hold, HoldState.RELEASED, reason or None)
    return Booked(book, hold.id, lambda: ended, change_cards_paid(book, hold.purchase, purchase))


async def _decide_return(
    world: World,
    actor: Actor,
    hold_id: GiftCardHoldId,
    wanted: Money | None,
    reason: str | None,
    tx: Transaction,
    prepared: PreparedCard | None,
) -> Booked[ReturnedCard]:
    """Decide a return: book the money that comes back to the card."""
    book, card, hold, purchase = await _open_hold(world, tx, actor, hold_id, prepared)
    if not is_in_scope(actor.locations, hold.location):
        raise NotFound("hold", ("hold",))
    back = return_money(card.account, hold.numbers, wanted, book.now)
    returned = hold._replace(returned_minor=hold.returned_minor + back.amount_minor)
    book.posting.move(returned)
    after, entry = enter_card(
        book, card, GiftCardEntryKind.RETURNED, back.account, hold_id=hold.id, reason=reason or None
    )
    keep_card(book, after)
    tell_of_card(book, after, GiftCardReturned, gift_card_hold_id=hold.id, amount_minor=back.amount_minor)
    write = change_cards_paid(book, hold.purchase, purchase)
    return Booked(book, entry.id, lambda: ReturnedCard(entry, returned, after, replayed=False), write)


async def _find_card(world: World, actor: Actor, key: CardKey) -> GiftCardId:
    """Return the id of the card that a caller names. Refusals: NotFound, TooManyWrongCodes."""
    if key.code is not None:
        return (await find_card_of_code(world, actor, key.code, ("gift_card", "code"))).id
    if key.id is None:
        raise NotFound("gift card", ("gift_card",))
    return key.id


async def _open_hold(
    world: World, tx: Transaction, actor: Actor, hold_id: GiftCardHoldId, prepared: PreparedCard | None
) -> tuple[Book, GiftCardRow, GiftCardHoldRow, PurchaseOfCard]:
    """Lock the card of a hold, then read the hold. Also return what is known of its purchase. Refusal: NotFound."""
    book, card, purchase = await _open_card_of_hold(world, tx, actor, prepared)
    hold = (await read_card_holds_by_id(tx, [hold_id]))[hold_id]
    refuse_hold_elsewhere(actor.locations, hold.location)
    return book, card, hold, purchase


async def _open_card_of_hold(
    world: World, tx: Transaction, actor: Actor, prepared: PreparedCard | None
) -> tuple[Book, GiftCardRow, PurchaseOfCard]:
    """Lock the card of a hold. Refusal: NotFound."""
    if prepared is None or prepared.card_id is None or not may_use_card(actor, prepared):
        raise NotFound("hold", ("hold",))
    (book, _), card = await open_card(world, tx, actor, prepared, ("hold",))
    return book, card, prepared.purchase


def _choose_question(request: CardHoldRequest, card_id: GiftCardId) -> AskForCard:
    """Return the function that reads what a hold needs, with the purchase if the hold has one."""
    if request.purchase is None:
        return partial(prepare_for_card, card_id=card_id)
    return partial(prepare_to_hold_card, card_id=card_id, purchase=request.purchase)


# ── answers that were given before ───────────────────────────────────────────────────────────────────────────────


async def _read_held(tx: Transaction, result_id: UUID) -> HeldCard:
    """Return the answer to a replay of a hold, capture or release: hold and card as they are now."""
    hold_id = GiftCardHoldId(result_id)
    hold = (await read_card_holds_by_id(tx, [hold_id]))[hold_id]
    card = (await read_cards_by_id(tx, [hold.gift_card_id]))[hold.gift_card_id]
    return HeldCard(hold, card, replayed=True)


async def _read_returned(tx: Transaction, result_id: UUID) -> ReturnedCard:
    """Return the answer to a replay of a return: hold and card as they are now."""
    moved = await read_moved_card(tx, result_id)
    hold_id = GiftCardHoldId(moved.entry.hold_id)  # type: ignore[arg-type]
    return ReturnedCard(moved.entry, (await read_card_holds_by_id(tx, [hold_id]))[hold_id], moved.card, replayed=True)


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _refuse_hold(actor: Actor, request: CardHoldRequest) -> None:
    """Raise InvalidInput with all wrong fields of a request for a hold."""
    purchase = request.purchase
    _refuse_key_and_amount(request.idempotency_key, request.amount)
    refuse_problems(
        [
            None if purchase is None else check_external_id(purchase.external_id, ("purchase", "external_id")),
            check_hold_minutes(request.minutes),
            check_location(actor.locations, request.location),
        ]
    )


def _refuse_key_and_amount(key: str, amount: Money | None) -> None:
    refuse_problems([check_external_id(key, ("idempotency_key",)), None if amount is None else check_amount(amount)])
