"""Book what a checkout does to a hold: its points are spent, freed early, or freed when it ends.

Everything happens under the lock of the account. A hold leaves ACTIVE once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book
from loyalty.ledger.rows import HeldLot, LedgerEntry, LotAllocation
from loyalty.rules import account as accounts
from loyalty.rules import lots as parcels
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import KINDS, cause_entry
from loyalty.rules.events import PointsHeld, PointsRedeemed, PointsReleased
from loyalty.rules.ids import CustomerId, EntryId, HoldId, LotId, RedemptionId
from loyalty.rules.location import choose_location
from loyalty.rules.lots import Lot, allocate, is_spendable
from loyalty.rules.points_paid import PointsPaid
from loyalty.rules.redemption import Application, CaptureOn, HoldState
from loyalty.services.checkout import Checkout
from loyalty.services.customer import CustomerKey
from loyalty.services.fingerprint import fingerprint, money_identity
from loyalty.storage.documents import to_document
from loyalty.storage.holds import HoldRow, PartOfLot, UnpaidDebit, read_held_lots, read_unpaid_debits
from loyalty.storage.redemptions import RedemptionRow
from tenancy.database import Transaction


class HoldRequest(NamedTuple):
    """A request to set points aside."""

    customer: CustomerKey
    points: int
    checkout: Checkout
    minutes: int | None
    replaces: HoldId | None
    idempotency_key: str
    capture_on: CaptureOn = CaptureOn.CALL
    location: str | None = None

    def fingerprint(self) -> str:
        """Return the fingerprint of this request."""
        checkout = self.checkout
        subtotal = money_identity(checkout.subtotal)
        paid_for = [subtotal, checkout.discounts_minor, checkout.purchase and tuple(checkout.purchase)]
        capture_on = None if self.capture_on is CaptureOn.CALL else self.capture_on
        identity = [self.customer.identity(), self.points, paid_for, self.minutes, self.replaces]
        return fingerprint(identity, capture_on=capture_on, location=self.location)


def new_hold(book: Book, customer_id: CustomerId, request: HoldRequest, application: Application) -> HoldRow:
    """Return the hold of a request, with the point value and the limits that the program has now."""
    policy = book.program.row.settings.redemption
    purchase = request.checkout.purchase
    minutes = policy.hold_minutes if request.minutes is None else request.minutes
    return HoldRow(
        id=HoldId(uuid7()),
        customer_id=customer_id,
        state=HoldState.ACTIVE,
        points=application.points,
        captured_points=0,
        discount_minor=application.discount_minor,
        currency=policy.point_value.money.currency,
        value_points=policy.point_value.points,
        value_minor=policy.point_value.money.amount_minor,
        purchase_kind=purchase.kind if purchase else None,
        purchase_external_id=purchase.external_id if purchase else None,
        lowered_points=0,
        lowered_at=None,
        terms=to_document(policy.terms),
        capture_on=request.capture_on,
        expires_at=book.now + timedelta(minutes=minutes),
        created_at=book.now,
        ended_at=None,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
        location=choose_location(book.actor.locations, request.location),
    )


def set_lots_aside(book: Book, hold: HoldRow, usable: Sequence[Lot]) -> None:
    """Book that the points of a new hold are set aside, in the customer's account and in the ``usable`` lots."""
    customer_id = hold.customer_id
    book.keep(accounts.set_aside(book.account(customer_id), hold.points))
    for part in allocate(usable, hold.points):
        book.lots.move(customer_id, parcels.set_aside(book.lots.find(customer_id, part.lot_id), part.points))
        book.posting.add(HeldLot(hold.id, part.lot_id, customer_id, part.points))
    book.tell(PointsHeld(customer_id, hold.id, hold.points, book.account(customer_id).available))


async def spend_hold(
    tx: Transaction, book: Book, hold: HoldRow, points: int, location: str | None
) -> tuple[RedemptionRow, HoldRow]:
    """Book that so many points of a hold are spent at a location, and that the rest is freed.

    Freed points first pay debt that arose meanwhile; those of expired lots expire at once. Returns the redemption and
    the ended hold. Both get the location of the capture (`location`), in place of the one where the hold was made.
    """
    hold = hold._replace(location=location)
    parts = await _bring_held_lots(tx, book, hold)
    redemption, rest = _spend(book, hold, parts, points)
    await _put_back(tx, book, hold, rest)
    return redemption, _end(book, hold, HoldState.CAPTURED, captured_points=points)


async def lower_hold(tx: Transaction, book: Book, hold: HoldRow, kept: PointsPaid) -> HoldRow:
    """Book that a part of a hold is freed because its purchase became smaller.

    Points that expire last are freed first.
    """
    parts = await _bring_held_lots(tx, book, hold)
    missing, back = hold.left_points - kept.points, {}
    for part in reversed(parts):
        here = min(part.points, missing)
        missing -= here
        if here:
            back[part.lot.id] = here
            lowered_points = part.lowered_points + here
            lowered = HeldLot(hold.id, part.lot.id, hold.customer_id, part.points + part.lowered_points, lowered_points)
            book.posting.move(lowered)
    await _put_back(tx, book, hold, dict(reversed(back.items())))
    after = hold._replace(
        lowered_points=hold.points - kept.points, lowered_at=book.now, discount_minor=kept.discount_minor
    )
    book.posting.move(after, seen=hold)
    return after


async def end_hold(
    tx: Transaction,
    book: Book,
    hold: HoldRow,
    state: HoldState,
    parts: Sequence[PartOfLot] | None = None,
    reason: str | None = None,
) -> HoldRow:
    """Book that all points of a hold are freed, and that the hold ends in this ``state``.

    ``parts`` are the held lots, if the caller has read them already. ``reason`` is the caller's reason, if there is
    one.
    """
    parts = await _bring_held_lots(tx, book, hold, parts)
    await _put_back(tx, book, hold, {part.lot.id: part.points for part in parts})
    return _end(book, hold, state, captured_points=0, reason=reason)


def _spend(
    book: Book, hold: HoldRow, parts: Sequence[PartOfLot], points: int
) -> tuple[RedemptionRow, dict[LotId, int]]:
    """Book that held points are spent. Return the redemption, and the rest of the hold for each lot."""
    customer_id = hold.customer_id
    redemption = RedemptionRow(
        id=RedemptionId(uuid7()),
        hold_id=hold.id,
        customer_id=customer_id,
        points=points,
        returned_points=0,
        discount_minor=hold.active.keep(points).discount_minor,
        currency=hold.currency,
        purchase_kind=hold.purchase_kind,
        purchase_external_id=hold.purchase_external_id,
        redeemed_at=book.now,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
        location=hold.location,
    )
    book.posting.add(redemption)
    cause = cause_entry(EntryKind.REDEEMED, redemption.id, redemption.id)
    entry = book.enter(customer_id, -points, accounts.spend_held(book.account(customer_id), points), cause)
    book.lots.note_activity(customer_id)
    rest = {part.lot.id: part.points for part in parts}
    for taken in allocate([replace(part.lot, remaining=part.points) for part in parts], points):
        book.lots.allocate(customer_id, entry.id, taken.lot_id, taken.points)
        book.lots.move(customer_id, parcels.take_held(book.lots.find(customer_id, taken.lot_id), taken.points))
        rest[taken.lot_id] -= taken.points
    book.tell(PointsRedeemed(customer_id, entry.id, redemption.id, -points, book.account(customer_id).available))
    return redemption, {lot_id: left for lot_id, left in rest.items() if left}


async def _put_back(tx: Transaction, book: Book, hold: HoldRow, held: Mapping[LotId, int]) -> None:
    """Free held points: first they pay debt that arose meanwhile, and points of expired lots expire.

    ``held`` has the number of points to free for each lot.
    """
    points = sum(held.values())
    if not points:
        return
    customer_id = hold.customer_id
    back = accounts.put_back(book.account(customer_id), points)
    book.keep(back.account)
    unpaid = _find_unpaid(book, customer_id, await read_unpaid_debits(tx, customer_id)) if back.paid_debt else []
    debt_left = back.paid_debt
    for lot_id, part in held.items():
        paid = min(debt_left, part)
        debt_left -= paid
        for debit in _pay(unpaid, paid):
            book.lots.allocate(customer_id, debit.entry_id, lot_id, debit.points, settled_by=hold.id)
        lot = parcels.put_back(parcels.take_held(book.lots.find(customer_id, lot_id), paid), part - paid)
        book.lots.move(customer_id, lot)
    book.tell(PointsReleased(customer_id, hold.id, points, back.account.available))
    for lot_id in held:
        lot = book.lots.find(customer_id, lot_id)
        if lot.remaining and not is_spendable(lot, book.now):
            book.expire(customer_id, lot)


def _find_unpaid(book: Book, customer_id: CustomerId, stored: Sequence[UnpaidDebit]) -> list[UnpaidDebit]:
    """Return the customer's debits that no lot has paid yet, with the points that are still unpaid, oldest first.

    ``stored`` are the debits of the database. Debits of this book are added, and what this book has paid is subtracted.
    """
    booked = [
        UnpaidDebit(entry.id, -entry.points)
        for entry in book.posting.added(LedgerEntry)
        if entry.customer_id == customer_id and entry.points < 0 and KINDS[EntryKind(entry.kind)].leaves_debt
    ]
    taken: Counter[EntryId] = Counter()
    for allocation in book.posting.added(LotAllocation):
        taken[allocation.entry_id] += allocation.points
    left = (debit._replace(points=debit.points - taken[debit.entry_id]) for debit in (*stored, *booked))
    return [debit for debit in left if debit.points > 0]


def _pay(unpaid: list[UnpaidDebit], points: int) -> Iterator[UnpaidDebit]:
    """Take the oldest unpaid debits for so many points out of the list, and yield them.

    The last debit may be paid in part: the rest of it stays in the list.
    """
    while points:
        debit = unpaid.pop(0)
        part = min(points, debit.points)
        points -= part
        if part < debit.points:
            unpaid.insert(0, debit._replace(points=debit.points - part))
        yield debit._replace(points=part)


def _end(book: Book, hold: HoldRow, state: HoldState, *, captured_points: int, reason: str | None = None) -> HoldRow:
    """Book that a hold ends in this state, by the actor of the book. Return the ended hold."""
    ended = hold._replace(
        state=state,
        captured_points=captured_points,
        ended_at=book.now,
        ended_actor_kind=book.actor.kind,
        ended_actor=book.actor.display,
        ended_reason=reason,
    )
    book.posting.move(ended, seen=hold)
    return ended


async def _bring_held_lots(
    tx: Transaction, book: Book, hold: HoldRow, parts: Sequence[PartOfLot] | None = None
) -> Sequence[PartOfLot]:
    """Make the lots of a hold known to the book, and return them with the points that are held of each.

    They are read, unless the caller has read them already (``parts``).
    """
    parts = (await read_held_lots(tx, [hold.id]))[hold.id] if parts is None else parts
    book.bring_lots(hold.customer_id, [part.lot for part in parts])
    return parts
