"""Let the points that pay for a purchase follow its reports.

They must fit into the total, and holds that wait for the payment are captured. Everything happens in the transaction
that records the purchase, under the locks of all customers with holds for it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from loyalty.ledger.book import Book
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import PurchaseOfAnotherCustomer
from loyalty.rules.ids import CustomerId, HoldId, RedemptionId
from loyalty.rules.points_paid import Excess, PointsPaid, find_excess, sum_paid
from loyalty.rules.purchase import ENDED, PurchaseStatus
from loyalty.rules.redemption import CaptureOn, HoldState
from loyalty.services.hold import end_hold, lower_hold, spend_hold
from loyalty.services.redemption_return import give_back_for, give_redemption_back
from loyalty.storage.accounts import LockedCustomer
from loyalty.storage.holds import HoldRow, read_holds_by_id, read_holds_moved_at
from loyalty.storage.points_paid import PaidWithPoints, PayingHold, PurchaseKey, read_paid_with_points
from loyalty.storage.redemptions import (
    RedemptionRow,
    ReturnRow,
    read_redemptions_by_id,
    read_redemptions_of_holds,
    read_returns_made_at,
)
from tenancy.database import Transaction
from tenancy.retry import StaleRead

PAYMENTS = frozenset({PurchaseStatus.PAID, PurchaseStatus.COMPLETED})
"""The statuses whose recording captures holds that wait for the payment."""

Place = TypeVar("Place")


class SettledPoints(NamedTuple):
    """The effect of a report on the points that pay for its purchase.

    ``returns`` are points that went back to their lots. ``holds`` were lowered, ended or captured. ``redemptions`` came
    from the captured holds.
    """

    returns: Sequence[ReturnRow] = ()
    holds: Sequence[HoldRow] = ()
    redemptions: Sequence[RedemptionRow] = ()


NOTHING_SETTLED = SettledPoints()


class Payable(NamedTuple):
    """A purchase after a report: its customer, total, location and status."""

    key: PurchaseKey
    customer_id: CustomerId
    total_minor: int
    status: PurchaseStatus
    location: str | None
    is_new: bool


def list_payers(paid: Sequence[PaidWithPoints]) -> list[CustomerProfile]:
    """Return the customers whose held points pay for purchases.

    Their accounts are locked together with the accounts of the buyers, all in one order.
    """
    return [CustomerProfile(one.external_id) for each in paid for one in each.holds]


async def read_payments(
    tx: Transaction, keys: Mapping[Place, PurchaseKey], opened: Mapping[str, LockedCustomer]
) -> dict[Place, PaidWithPoints]:
    """Read the points that pay for each purchase, under the locks.

    Raises StaleRead if a customer who is not locked has points held for one of the purchases.
    """
    if not keys:
        return {}
    locked = {customer.profile.id for customer in opened.values()}
    found = dict(zip(keys, await read_paid_with_points(tx, list(keys.values())), strict=True))
    if any(one.owner_id not in locked for paid in found.values() for one in paid.holds):
        raise StaleRead
    return found


async def settle_points(
    tx: Transaction, book: Book, purchase: Payable, paid: PaidWithPoints
) -> tuple[SettledPoints, PointsPaid]:
    """Book the effect of a report on the points that pay for its purchase. Also return the points that pay after it.

    If the purchase has ended, its points go back. Otherwise, holds of other customers are released, because the report
    says whose points may pay. Points above the total go back: first points of the newest redemptions. Then holds are
    lowered to their terms, the newest first. A payment captures the holds that wait for it. Raises
    PurchaseOfAnotherCustomer for a new purchase that another customer's points have paid for.
    """
    own, strangers = _split_by_owner(paid, purchase.customer_id)
    if purchase.is_new and strangers.redemptions:
        raise PurchaseOfAnotherCustomer(("customer", "external_id"))
    rows = await read_holds_by_id(tx, [one.id for one in paid.holds]) if paid.holds else {}
    freed = [await end_hold(tx, book, rows[one.id], HoldState.RELEASED) for one in strangers.holds]
    if purchase.status in ENDED:
        returns, ended = await give_back_for(tx, book, purchase.key, purchase.customer_id)
        return SettledPoints(returns, [*freed, *ended]), strangers._replace(holds=()).sum
    theirs = strangers._replace(holds=()).sum
    excess = find_excess(
        purchase.total_minor - theirs.discount_minor,
        [one.redemption for one in own.redemptions],
        [one.hold for one in own.holds],
    )
    returns = await _return_excess(tx, book, purchase.customer_id, excess)
    moved, captured, kept = await _move_holds(tx, book, purchase, own.holds, rows, excess)
    spent = sum_paid(one.redemption.after(excess.returns.get(one.id, 0)).paid for one in own.redemptions)
    return SettledPoints(returns, [*freed, *moved], captured), sum_paid([theirs, spent, *kept])


async def read_settled(tx: Transaction, key: PurchaseKey, moment: datetime) -> SettledPoints:
    """Return the effect of a report on points, for a replay. The report was recorded at ``moment``."""
    holds = await read_holds_moved_at(tx, key, moment)
    captured = await read_redemptions_of_holds(tx, [hold.id for hold in holds]) if holds else {}
    return SettledPoints(await read_returns_made_at(tx, key, moment), holds, list(captured.values()))


def _split_by_owner(paid: PaidWithPoints, owner_id: CustomerId) -> tuple[PaidWithPoints, PaidWithPoints]:
    """Return the points of the owner, and the points of other customers."""
    own = PaidWithPoints(
        [one for one in paid.holds if one.owner_id == owner_id],
        [one for one in paid.redemptions if one.owner_id == owner_id],
    )
    others = PaidWithPoints(
        [one for one in paid.holds if one.owner_id != owner_id],
        [one for one in paid.redemptions if one.owner_id != owner_id],
    )
    return own, others


async def _return_excess(tx: Transaction, book: Book, customer_id: CustomerId, excess: Excess) -> list[ReturnRow]:
    """Book that the redeemed points above the total go back. Return the rows of these returns."""
    if not excess.returns:
        return []
    rows = await read_redemptions_by_id(tx, [*map(_redemption_id, excess.returns)])
    returned = []
    for redemption_id, points in excess.returns.items():
        row = rows[_redemption_id(redemption_id)]
        returned.append((await give_redemption_back(tx, book, row, customer_id, points, None))[0])
    return returned


async def _move_holds(
    tx: Transaction,
    book: Book,
    purchase: Payable,
    holds: Sequence[PayingHold],
    rows: Mapping[HoldId, HoldRow],
    excess: Excess,
) -> tuple[list[HoldRow], list[RedemptionRow], list[PointsPaid]]:
    """Lower, end or capture each hold. A capture takes only the points that fit; the rest is freed.

    Return the holds that changed, the redemptions of the captured ones, and the points that still pay or have paid.
    """
    moved: list[HoldRow] = []
    captured: list[RedemptionRow] = []
    kept: list[PointsPaid] = []
    for one in holds:
        row, fits = rows[one.id], excess.lowered.get(one.id)
        left = PointsPaid(one.hold.points, one.hold.discount_minor) if fits is None else fits
        waits = one.capture_on is CaptureOn.PAID and purchase.status in PAYMENTS
        if not left.points or (waits and row.expires_at <= book.now):
            moved.append(await end_hold(tx, book, row, HoldState.RELEASED if not left.points else HoldState.EXPIRED))
            continue
        if waits:
            there = row.location if row.location is not None else purchase.location
            redemption, row = await spend_hold(tx, book, row, left.points, there)
            captured.append(redemption)
            moved.append(row)
        elif fits is not None:
            moved.append(await lower_hold(tx, book, row, fits))
        kept.append(left)
    return moved, captured, kept


def _redemption_id(value: UUID) -> RedemptionId:
    return RedemptionId(value)
