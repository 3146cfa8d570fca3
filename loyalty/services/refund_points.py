"""What a refund does to the points that had paid for the purchase: whose part it was, and what goes back at once.

Everything happens in the transaction that books the refund, under the lock of the customer's account.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from loyalty.ledger.book import Book
from loyalty.rules.ids import HoldId, RedemptionId
from loyalty.rules.money import Money
from loyalty.rules.points_paid import ActiveHold, LiveRedemption, PointsPaid, lower_holds, sum_paid
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import HoldState, share
from loyalty.rules.refund_points import GivenBack, ReturnPoints, choose_returns, share_of_refund
from loyalty.services.hold import end_hold, lower_hold
from loyalty.services.redemption_return import give_back_for, give_redemption_back
from loyalty.storage.holds import HoldRow, read_holds_by_id, read_holds_moved_at
from loyalty.storage.points_paid import PaidWithPoints, PurchaseKey, read_paid_with_points
from loyalty.storage.purchases import PurchaseRow
from loyalty.storage.redemptions import (
    RedemptionRow,
    ReturnRow,
    read_redemptions_by_id,
    read_redemptions_for,
    read_returns_made_at,
)
from loyalty.storage.refunds import RefundRow
from tenancy.database import Transaction


class RefundedPoints(NamedTuple):
    """The part of a refund that points had paid, and what of it went back in the same transaction."""

    part: PointsPaid
    returns: Sequence[ReturnRow] = ()
    holds: Sequence[HoldRow] = ()
    freed: PointsPaid = PointsPaid()
    """What the holds gave back."""

    @property
    def returned(self) -> PointsPaid:
        """All that went back."""
        return sum_paid([self.freed, *(PointsPaid(one.points, one.discount_minor) for one in self.returns)])


class PayersOfRefund(NamedTuple):
    """What pays for a purchase just before a refund: the owner's holds and redemptions, oldest first."""

    holds: Sequence[ActiveHold]
    redemptions: Sequence[LiveRedemption]
    given_back: PointsPaid

    @property
    def spent(self) -> PointsPaid:
        """What redemptions paid, with what went back of them for earlier refunds."""
        return sum_paid([self.given_back, *(one.paid for one in self.redemptions)])

    @property
    def held(self) -> PointsPaid:
        """What is set aside."""
        return sum_paid(PointsPaid(one.points, one.discount_minor) for one in self.holds)


async def give_points_of_refund_back(
    tx: Transaction,
    book: Book,
    purchase: PurchaseRow,
    after: PurchaseRow,
    earlier: Sequence[RefundRow],
    mode: ReturnPoints,
) -> RefundedPoints:
    """Book what goes back of the points that had paid for a refund, which ``after`` has counted already.

    Where nothing is left of the purchase, its holds end, and its redemptions give all back if the program says so.
    """
    key = PurchaseKey(purchase.kind, purchase.external_id)
    payers = _payers(purchase, (await read_paid_with_points(tx, [key]))[0])
    is_over = after.status is PurchaseStatus.REFUNDED
    part = await _part_of_refund(tx, purchase, after, earlier, payers, with_holds=mode is ReturnPoints.AUTO)
    if is_over:
        returns, ended = await give_back_for(tx, book, key, purchase.customer_id)
        # Without AUTO only what was spent counts as paid: a hold is no payment yet.
        freed = payers.held if mode is ReturnPoints.AUTO else PointsPaid()
        done = RefundedPoints(part, returns, ended, freed)
        left = part.points - done.returned.points
        if mode is ReturnPoints.NONE or book.program.row.settings.redemption.return_on_cancel or left <= 0:
            return done
        given = choose_returns(left, (), payers.redemptions)
        return done._replace(returns=await _return_redemptions(tx, book, purchase, given))
    if mode is ReturnPoints.NONE or not (part.points or payers.holds):
        return RefundedPoints(part)
    given = choose_returns(part.points, payers.holds, payers.redemptions)
    returns = await _return_redemptions(tx, book, purchase, given)
    holds, freed = await _lower_holds(tx, book, after, payers, given)
    return RefundedPoints(part, returns, holds, freed)


async def read_points_of_refund(tx: Transaction, purchase: PurchaseRow, row: RefundRow) -> RefundedPoints:
    """The same for a refund that was recorded before, of the purchase as it was then."""
    key = PurchaseKey(purchase.kind, purchase.external_id)
    part = PointsPaid(row.point_share or 0, row.point_share_minor or 0)
    if row.point_share is None:
        return RefundedPoints(_former_part(purchase, await read_redemptions_for(tx, key), row.amount_minor))
    returns = await read_returns_made_at(tx, key, row.recorded_at)
    freed = PointsPaid(
        row.returned_points - sum(one.points for one in returns),
        row.returned_minor - sum(one.discount_minor for one in returns),
    )
    return RefundedPoints(part, returns, await read_holds_moved_at(tx, key, row.recorded_at), freed)


def _payers(purchase: PurchaseRow, paid: PaidWithPoints) -> PayersOfRefund:
    owner_id = purchase.customer_id
    return PayersOfRefund(
        [one.hold for one in paid.holds if one.owner_id == owner_id],
        [one.redemption for one in paid.redemptions if one.owner_id == owner_id],
        paid.given_back,
    )


async def _part_of_refund(
    tx: Transaction,
    purchase: PurchaseRow,
    after: PurchaseRow,
    earlier: Sequence[RefundRow],
    payers: PayersOfRefund,
    *,
    with_holds: bool,
) -> PointsPaid:
    """How much of a refund points had paid; after a refund from before this was kept, as it was counted then."""
    amount_minor = after.refunded_minor - purchase.refunded_minor
    if any(row.point_share is None for row in earlier):
        key = PurchaseKey(purchase.kind, purchase.external_id)
        return _former_part(purchase, await read_redemptions_for(tx, key), amount_minor)
    shared = sum_paid(PointsPaid(row.point_share or 0, row.point_share_minor or 0) for row in earlier)
    paid = sum_paid([payers.spent, payers.held]) if with_holds else payers.spent
    return share_of_refund(purchase.total.amount_minor, purchase.refunded_minor, amount_minor, paid, shared)


def _former_part(purchase: PurchaseRow, redemptions: Sequence[RedemptionRow], amount_minor: int) -> PointsPaid:
    before, total_minor = purchase.refunded_minor, purchase.total.amount_minor
    paid_minor = min(total_minor, sum(one.discount_minor for one in redemptions))
    points = sum(one.points for one in redemptions)
    if not total_minor:
        return PointsPaid()
    return PointsPaid(
        share(points, before + amount_minor, total_minor) - share(points, before, total_minor),
        share(paid_minor, before + amount_minor, total_minor) - share(paid_minor, before, total_minor),
    )


async def _return_redemptions(tx: Transaction, book: Book, purchase: PurchaseRow, given: GivenBack) -> list[ReturnRow]:
    if not given.redemptions:
        return []
    rows = await read_redemptions_by_id(tx, [*map(RedemptionId, given.redemptions)])
    returned = []
    for redemption_id, points in given.redemptions.items():
        row = rows[RedemptionId(redemption_id)]
        returned.append((await give_redemption_back(tx, book, row, purchase.customer_id, points, None))[0])
    return returned


async def _lower_holds(
    tx: Transaction, book: Book, after: PurchaseRow, payers: PayersOfRefund, given: GivenBack
) -> tuple[list[HoldRow], PointsPaid]:
    """Lower holds by their part of the refund, and to what their terms allow for what is left of the purchase."""
    left_minor = after.total.amount_minor - after.refunded_minor
    spent = sum_paid(one.after(given.redemptions.get(one.id, 0)).paid for one in payers.redemptions)
    parts = [one.keep(one.points - given.holds.get(one.id, 0)) for one in payers.holds]
    kept: dict[UUID, PointsPaid] = {one.id: PointsPaid(one.points, one.discount_minor) for one in parts}
    kept |= lower_holds(left_minor, spent, [one for one in parts if one.points])
    moved = [one for one in payers.holds if kept[one.id].points != one.points]
    rows = await read_holds_by_id(tx, [HoldId(one.id) for one in moved]) if moved else {}
    lowered = []
    for one in moved:
        row = rows[HoldId(one.id)]
        is_over = not kept[one.id].points
        lowered.append(
            await end_hold(tx, book, row, HoldState.RELEASED)
            if is_over
            else await lower_hold(tx, book, row, kept[one.id])
        )
    freed = PointsPaid(
        sum(one.points - kept[one.id].points for one in moved),
        sum(one.discount_minor - kept[one.id].discount_minor for one in moved),
    )
    return lowered, freed


def count_left_to_do(refunded: RefundedPoints, currency: str) -> tuple[int, Money]:
    """How many points of a refund are still to be given back, and what they had taken off; 0 when all went back."""
    points = max(0, refunded.part.points - refunded.returned.points)
    left_minor = refunded.part.discount_minor - refunded.returned.discount_minor
    return points, Money(max(0, left_minor) if points else 0, currency)
