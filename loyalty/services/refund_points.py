"""The effect of a refund on the points that had paid for the purchase: their part, and the points that go back at once.

Everything happens in the transaction that books the refund, under the lock of the customer's account.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from loyalty.ledger.book import Book
from loyalty.rules.ids import HoldId, RedemptionId
from loyalty.rules.money import Money
from loyalty.rules.points_paid import PointsPaid, sum_paid
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import HoldState
from loyalty.rules.refund_points import (
    PayersOfRefund,
    PointsToReturn,
    ReturnPoints,
    decide_returns,
    fit_holds_after_refund,
    share_as_formerly,
    share_of_refund,
)
from loyalty.services.hold import end_hold, lower_hold
from loyalty.services.redemption_return import give_back_for, give_redemption_back
from loyalty.storage.holds import HoldRow, read_holds_by_id, read_holds_moved_at
from loyalty.storage.points_paid import PaidWithPoints, PurchaseKey, read_paid_with_points
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.redemptions import (
    ReturnRow,
    read_redemptions_by_id,
    read_redemptions_for,
    read_returns_made_at,
)
from loyalty.storage.refunds import RefundRow
from tenancy.database import Transaction


class RefundedPoints(NamedTuple):
    """The part of a refund that points had paid, and the points that went back in the same transaction."""

    part: PointsPaid
    returns: Sequence[ReturnRow] = ()
    holds: Sequence[HoldRow] = ()
    freed: PointsPaid = PointsPaid()
    """The points that the holds freed."""

    @property
    def returned(self) -> PointsPaid:
        """The sum of all points that went back."""
        return sum_paid([self.freed, *(PointsPaid(one.points, one.discount_minor) for one in self.returns)])


async def give_points_of_refund_back(
    tx: Transaction,
    book: Book,
    purchase: PurchaseRow,
    after: PurchaseRow,
    earlier: Sequence[RefundRow],
    mode: ReturnPoints,
) -> RefundedPoints:
    """Book the points that go back for a refund. ``after`` is the purchase with the refund.

    If nothing is left of the purchase, its holds end, and its redemptions give all points back if the program says so.
    """
    key = PurchaseKey(purchase.kind, purchase.external_id)
    payers = _find_payers(purchase, (await read_paid_with_points(tx, [key]))[0])
    is_over, is_auto = after.status is PurchaseStatus.REFUNDED, mode is ReturnPoints.AUTO
    part = await _count_part_of_refund(tx, purchase, after, earlier, payers, with_holds=is_auto)
    returns_all = book.program.row.settings.redemption.return_on_cancel
    given = decide_returns(part, payers, mode, is_over=is_over, returns_all=returns_all)
    if is_over:
        returns, ended = await give_back_for(tx, book, key, purchase.customer_id)
        returns += await _return_redemptions(tx, book, purchase, given)
        # Without AUTO only spent points count as paid: a hold is no payment yet.
        return RefundedPoints(part, returns, ended, payers.held if is_auto else PointsPaid())
    if not is_auto:
        return RefundedPoints(part)
    returns = await _return_redemptions(tx, book, purchase, given)
    kept = fit_holds_after_refund(after.total.amount_minor - after.refunded_minor, payers, given)
    return RefundedPoints(part, returns, await _lower_holds(tx, book, kept), payers.sum_freed(kept))


async def read_points_of_refund(tx: Transaction, purchase: PurchaseRow, row: RefundRow) -> RefundedPoints:
    """Return the points that went back for a recorded refund, for the purchase as it was then."""
    key = PurchaseKey(purchase.kind, purchase.external_id)
    part = PointsPaid(row.point_share or 0, row.point_share_minor or 0)
    if row.point_share is None:
        return RefundedPoints(await _read_former_part(tx, purchase, row.amount_minor))
    returns = await read_returns_made_at(tx, key, row.recorded_at)
    freed = PointsPaid(
        row.returned_points - sum(one.points for one in returns),
        row.returned_minor - sum(one.discount_minor for one in returns),
    )
    return RefundedPoints(part, returns, await read_holds_moved_at(tx, key, row.recorded_at), freed)


def _find_payers(purchase: PurchaseRow, paid: PaidWithPoints) -> PayersOfRefund:
    """Return the holds and redemptions of the purchase's own customer that pay for it."""
    owner_id = purchase.customer_id
    return PayersOfRefund(
        [one.hold for one in paid.holds if one.owner_id == owner_id],
        [one.redemption for one in paid.redemptions if one.owner_id == owner_id],
        paid.given_back,
    )


async def _count_part_of_refund(
    tx: Transaction,
    purchase: PurchaseRow,
    after: PurchaseRow,
    earlier: Sequence[RefundRow],
    payers: PayersOfRefund,
    *,
    with_holds: bool,
) -> PointsPaid:
    """Return the points that had paid for the refunded part of a purchase. Held points count only ``with_holds``.

    An earlier release did not store this part. If a former refund comes from that release, the part is counted as then.
    """
    amount_minor = after.refunded_minor - purchase.refunded_minor
    if any(row.point_share is None for row in earlier):
        return await _read_former_part(tx, purchase, amount_minor)
    shared = sum_paid(PointsPaid(row.point_share or 0, row.point_share_minor or 0) for row in earlier)
    paid = sum_paid([payers.spent, payers.held]) if with_holds else payers.spent
    return share_of_refund(purchase.total.amount_minor, purchase.refunded_minor, amount_minor, paid, shared)


async def _read_former_part(tx: Transaction, purchase: PurchaseRow, amount_minor: int) -> PointsPaid:
    """Return the points that had paid for a refund, counted as in the release that did not store them."""
    redemptions = await read_redemptions_for(tx, PurchaseKey(purchase.kind, purchase.external_id))
    paid = sum_paid(PointsPaid(one.points, one.discount_minor) for one in redemptions)
    return share_as_formerly(purchase.total.amount_minor, purchase.refunded_minor, amount_minor, paid)


async def _return_redemptions(
    tx: Transaction, book: Book, purchase: PurchaseRow, given: PointsToReturn
) -> list[ReturnRow]:
    """Book that points of redemptions go back for a refund. Return the rows of these returns."""
    if not given.redemptions:
        return []
    rows = await read_redemptions_by_id(tx, [*map(RedemptionId, given.redemptions)])
    returned = []
    for redemption_id, points in given.redemptions.items():
        row = rows[RedemptionId(redemption_id)]
        returned.append((await give_redemption_back(tx, book, row, purchase.customer_id, points, None))[0])
    return returned


async def _lower_holds(tx: Transaction, book: Book, kept: dict[UUID, PointsPaid]) -> list[HoldRow]:
    """Book the points that holds keep after a refund. A hold without points ends."""
    rows = await read_holds_by_id(tx, [*map(HoldId, kept)]) if kept else {}
    lowered = []
    for hold_id, left in kept.items():
        row = rows[HoldId(hold_id)]
        if left.points:
            lowered.append(await lower_hold(tx, book, row, left))
        else:
            lowered.append(await end_hold(tx, book, row, HoldState.RELEASED))
    return lowered


def count_left_to_do(refunded: RefundedPoints, currency: str) -> tuple[int, Money]:
    """Return how many points of a refund are still to be given back, and their discount; 0 if all went back."""
    points = max(0, refunded.part.points - refunded.returned.points)
    left_minor = refunded.part.discount_minor - refunded.returned.discount_minor
    return points, Money(max(0, left_minor) if points else 0, currency)
