"""Cancel gift cards. An unused card that points bought gives the points back."""

from functools import partial
from typing import NamedTuple

from loyalty.ledger.book import Book
from loyalty.ledger.gift_cards import enter_card, keep_card, tell_of_card
from loyalty.ledger.once import Booked, run_once
from loyalty.ledger.rows import ProductSale
from loyalty.rules import account as accounts
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import cause_entry
from loyalty.rules.errors import refuse_problems
from loyalty.rules.gift_card import GiftCardEntryKind
from loyalty.rules.gift_card_events import GiftCardRefunded, GiftCardVoided
from loyalty.rules.gift_card_steps import cancel_card
from loyalty.rules.ids import CustomerId, GiftCardId
from loyalty.rules.redemption import give_back
from loyalty.rules.text import check_external_id, check_note
from loyalty.services.fingerprint import fingerprint
from loyalty.services.gift_card import MovedCard, open_card, read_moved_card
from loyalty.services.redemption_return import give_lots_back
from loyalty.services.world import World
from loyalty.storage.gift_cards import GiftCardRow, PreparedCard, prepare_for_card
from loyalty.storage.idempotency import name_call
from loyalty.storage.redemptions import read_taken_lots
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require
from tenancy.database import Transaction

CANCEL = "giftCardCancel"


class CancelRequest(NamedTuple):
    """A card to cancel. ``return_points`` is for cards that points bought; None gives their points back."""

    card_id: GiftCardId
    return_points: bool | None
    reason: str | None
    idempotency_key: str


async def cancel_gift_card(world: World, actor: Actor, request: CancelRequest) -> MovedCard:
    """Void a card for good. The points of an unused card go back to the lots that they came from.

    Refusals: InvalidInput, IdempotencyConflict, NotFound, GiftCardEnded (voided, or expired if points would come back),
    GiftCardInUse (money is held, or was spent if points would come back). A refusal writes nothing.
    """
    require(actor, Permission.GIFT_CARDS_MANAGE)
    refuse_problems(
        [
            check_external_id(request.idempotency_key, ("idempotency_key",)),
            check_note(request.reason, ("reason",)),
        ]
    )
    mark = fingerprint([request.card_id, request.return_points, request.reason])
    return await run_once(
        world.database,
        actor.tenant_id,
        name_call(actor, request.idempotency_key, CANCEL, mark),
        ask=partial(prepare_for_card, card_id=request.card_id),
        decide=partial(_decide, world, actor, request),
        replay=read_moved_card,
    )


async def _decide(
    world: World, actor: Actor, request: CancelRequest, tx: Transaction, prepared: PreparedCard | None
) -> Booked[MovedCard]:
    """Decide to void a card, and book the points that come back."""
    (book, _), card = await open_card(world, tx, actor, prepared)
    cancelled = cancel_card(card.account, card.origin, card.face_minor, book.now, return_points=request.return_points)
    if cancelled.returns_points:
        await _return_points(tx, book, card)
    after, entry = enter_card(book, card, GiftCardEntryKind.VOIDED, cancelled.account, reason=request.reason or None)
    keep_card(book, after)
    if card.product_id is not None:
        book.posting.add(ProductSale(card.product_id, -1))
    tell_of_card(book, after, GiftCardVoided, amount_minor=entry.amount_minor)
    return Booked(book, entry.id, lambda: MovedCard(after, entry, replayed=False))


async def _return_points(tx: Transaction, book: Book, card: GiftCardRow) -> None:
    """Book that the points of a card come back to its buyer, into the lots they came from. They pay debt first."""
    customer_id, points = _find_buyer(card)
    taken = await read_taken_lots(tx, card.id)
    credited = accounts.credit(book.account(customer_id), points, earned=False, qualifying=False)
    entry = book.enter(
        customer_id, points, credited.account, cause_entry(EntryKind.GIFT_CARD_RETURNED, card.id, card.id)
    )
    book.tell(GiftCardRefunded(customer_id, entry.id, card.id, points, credited.account.available))
    given = give_back([part.points for part in taken], points, outstanding=points, debt=credited.paid_debt)
    give_lots_back(book, entry, taken, given)


def _find_buyer(card: GiftCardRow) -> tuple[CustomerId, int]:
    """Return the buyer of a card and its price in points. Raises ValueError for a card that points did not buy."""
    if card.buyer_id is None or card.points_cost is None:
        message = "a card that points bought has a buyer and a cost"
        raise ValueError(message)
    return card.buyer_id, card.points_cost
