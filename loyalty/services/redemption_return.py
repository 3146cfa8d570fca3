"""Return points of a redemption to the lots that they were taken from."""

from collections.abc import Sequence
from dataclasses import replace

from uuid_utils.compat import uuid7

from loyalty.ledger.book import Book
from loyalty.rules import account as accounts
from loyalty.rules import lots as parcels
from loyalty.rules.entry import EntryKind
from loyalty.rules.entry_kinds import cause_entry
from loyalty.rules.events import PointsReturned
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.ids import CustomerId, EntryId, RedemptionReturnId
from loyalty.rules.lots import Lot, is_spendable, parcel_of
from loyalty.rules.points_paid import PointsPaid
from loyalty.rules.redemption import HoldState, RestorePolicy, give_back
from loyalty.rules.refund_points import find_owed_part
from loyalty.services.hold import end_hold
from loyalty.storage.entries import EntryRow
from loyalty.storage.holds import HoldRow, PartOfLot, read_active_holds_for
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.redemptions import RedemptionRow, ReturnRow, read_redemptions_by, read_taken_lots
from tenancy.database import Transaction


async def give_redemption_back(
    tx: Transaction,
    book: Book,
    redemption: RedemptionRow,
    customer_id: CustomerId,
    points: int,
    reason: str | None,
    *,
    owed_points: int = 0,
) -> tuple[ReturnRow, RedemptionRow]:
    """Book that points of a redemption come back to the lots they were taken from. They pay debt first.

    ``owed_points`` are the points that refunds of the purchase still have to give back. Points of a merged customer
    come to the target as lots with the same dates. Points of a lot that has expired meanwhile live on for the program's
    days of grace, or expire at once.
    """
    returned = _build_return(book, redemption, customer_id, points, reason, owed_points)
    taken = await read_taken_lots(tx, redemption.id)
    credited = accounts.credit(book.account(customer_id), points, earned=False, qualifying=False)
    cause = cause_entry(EntryKind.REDEMPTION_RETURNED, redemption.id, returned.id)
    entry = book.enter(customer_id, points, credited.account, cause)
    book.tell(PointsReturned(customer_id, entry.id, redemption.id, points, credited.account.available))
    outstanding = redemption.live.returnable_points
    given = give_back([part.points for part in taken], points, outstanding=outstanding, debt=credited.paid_debt)
    give_lots_back(book, entry, taken, given)
    book.posting.add(returned)
    given_back = redemption._replace(returned_points=redemption.returned_points + points)
    book.posting.move(given_back, seen=redemption)
    return returned, given_back


def _build_return(
    book: Book, redemption: RedemptionRow, customer_id: CustomerId, points: int, reason: str | None, owed_points: int
) -> ReturnRow:
    """Return the row of a return, with the part that an earlier refund still owed."""
    live = redemption.live
    discount_minor = live.paid.discount_minor - live.after(points).paid.discount_minor
    refunded = find_owed_part(PointsPaid(points, discount_minor), owed_points)
    return ReturnRow(
        id=RedemptionReturnId(uuid7()),
        redemption_id=redemption.id,
        customer_id=customer_id,
        points=points,
        discount_minor=discount_minor,
        reason=reason,
        returned_at=book.now,
        actor_kind=book.actor.kind,
        actor=book.actor.display,
        refunded_points=refunded.points,
        refunded_minor=refunded.discount_minor,
    )


async def give_back_for(
    tx: Transaction, book: Book, purchase: PurchaseKey, customer_id: CustomerId
) -> tuple[list[ReturnRow], list[HoldRow]]:
    """Book that a purchase which was called off gives back the points that pay for it (F-41).

    Held points are freed in any case. Spent points come back if the program says so. Return the returns and the ended
    holds.
    """
    held = [hold for hold in await read_active_holds_for(tx, purchase) if hold.customer_id == customer_id]
    ended = [await end_hold(tx, book, hold, HoldState.RELEASED) for hold in held]
    returns: list[ReturnRow] = []
    if not book.program.row.settings.redemption.return_on_cancel:
        return returns, ended
    for redemption in await read_redemptions_by(tx, customer_id, purchase):
        returnable = redemption.live.returnable_points
        if returnable:
            returned, _ = await give_redemption_back(tx, book, redemption, customer_id, returnable, None)
            returns.append(returned)
    return returns, ended


def give_lots_back(book: Book, entry: EntryRow, taken: Sequence[PartOfLot], given: Sequence[int]) -> None:
    """Put points of an entry back into the lots that they were taken from; `given` has the number for each lot.

    Points of a merged customer's lot come to the target as a lot with the same dates.
    """
    for part, back in zip(taken, given, strict=True):
        if back and part.customer_id == entry.customer_id:
            _give_lot_back(book, entry.id, entry.customer_id, part.lot, back)
        elif back:
            _open_lot_again(book, entry, part.lot, back)


def _give_lot_back(book: Book, entry_id: EntryId, customer_id: CustomerId, lot: Lot, points: int) -> None:
    """Put points back into a lot of the same customer.

    If the lot has expired, they get days of grace or expire at once.
    """
    policy = book.program.row.settings.redemption
    book.bring_lots(customer_id, [lot])
    given = parcels.give_back(book.lots.find(customer_id, lot.id), points)
    book.lots.allocate(customer_id, entry_id, lot.id, -points)
    # An exhausted lot did not move its expiry. So the customer's next activity must move the expiry again.
    book.lots.forget_activity(customer_id)
    if is_spendable(given, book.now):
        book.lots.move(customer_id, given)
    elif policy.restore is RestorePolicy.GRACE:
        grace = ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=policy.restore_grace_days)
        book.lots.put_off(customer_id, given, grace)
    else:
        book.expire(customer_id, given)


def _open_lot_again(book: Book, entry: EntryRow, lot: Lot, points: int) -> None:
    """Open a lot with the same dates for the target of a merge, for points of the merged customer's lot."""
    policy = book.program.row.settings.redemption
    parcel = replace(parcel_of(lot, points), notice_at=book.lots.next_notice_at(lot.expires_at))
    if is_spendable(lot, book.now):
        book.lots.open(entry, parcel, 0, entry.id)
    elif policy.restore is RestorePolicy.GRACE:
        grace = book.lots.parcel(points, ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=policy.restore_grace_days))
        book.lots.open(entry, replace(parcel, expires_at=grace.expires_at, notice_at=grace.notice_at), 0, entry.id)
    else:
        book.expire(entry.customer_id, book.lots.open(entry, parcel, 0, entry.id))
