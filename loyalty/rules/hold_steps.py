"""Decisions on points at a checkout: a hold is replaced, captured or released, and spent points come back.

Each function takes the numbers of a hold and its purchase, and returns a decision or refuses. The ledger books it.
`gift_card_hold.py` decides the same for money of a gift card; the shared rules are here.
"""

from datetime import datetime
from typing import NamedTuple

from loyalty.rules.errors import (
    AboveMaximum,
    HoldEnded,
    NotFound,
    PurchaseEnded,
    PurchaseOfAnotherCustomer,
    ReturnExceedsRedemption,
)
from loyalty.rules.ids import CustomerId
from loyalty.rules.money import Money
from loyalty.rules.points_paid import ActiveHold, LiveRedemption, PointsPaid, fit_hold
from loyalty.rules.purchase import ENDED, PurchaseStatus
from loyalty.rules.redemption import HoldState


class PointsHold(NamedTuple):
    """A hold of points. ``points`` were set aside at first; ``left`` are the points that were not freed early."""

    customer_id: CustomerId
    state: HoldState
    expires_at: datetime
    points: int
    left: ActiveHold


class PurchaseToPay(NamedTuple):
    """A purchase that points pay for. `status` and `left` are None before it is recorded.

    `owner_ids` has its customer; before it is recorded, the customers whose points pay for it. `left` is its total less
    refunds. `paid` are the points that pay for it, without the hold that is decided on.
    """

    owner_ids: frozenset[CustomerId]
    status: PurchaseStatus | None
    left: Money | None
    paid: PointsPaid


def refuse_payer(purchase: PurchaseToPay, customer_id: CustomerId, path: tuple[str, ...] = ("purchase",)) -> None:
    """Refuse a customer who may not pay for a purchase with points, and a purchase with nothing left to pay.

    A customer may pay if nobody else is an owner of the purchase.

    Refusals, in this order: PurchaseOfAnotherCustomer, PurchaseEnded.
    """
    if purchase.owner_ids - {customer_id}:
        raise PurchaseOfAnotherCustomer(path)
    if purchase.status is not None and purchase.status in ENDED:
        raise PurchaseEnded(purchase.status, path)


def refuse_to_replace(hold: PointsHold, customer_id: CustomerId) -> None:
    """Refuse to replace this hold by a new hold of a customer.

    Refusals: NotFound (the hold is another customer's), HoldEnded.
    """
    if hold.customer_id != customer_id:
        raise NotFound("hold", ("replaces",))
    if hold.state is not HoldState.ACTIVE:
        raise HoldEnded(hold.state, ("replaces",))


def refuse_ended_hold(state: HoldState, expires_at: datetime, at: datetime) -> None:
    """Refuse to capture a hold that has ended, or whose time is over. Refusal: HoldEnded."""
    if state is not HoldState.ACTIVE:
        raise HoldEnded(state)
    if expires_at <= at:
        raise HoldEnded(HoldState.EXPIRED)


def must_release(state: HoldState) -> bool:
    """Tell whether a hold in this state has to be released now; False if its points went back already.

    Raises HoldEnded for a captured hold.
    """
    if state is HoldState.CAPTURED:
        raise HoldEnded(state)
    return state is HoldState.ACTIVE


def capture_points(hold: PointsHold, wanted: int | None, purchase: PurchaseToPay, at: datetime) -> int:
    """Decide how many points of a hold are spent: ``wanted``, or all that were set aside if ``wanted`` is None.

    If points of the hold were freed early, the capture needs ``wanted``: the caller must know that fewer points pay.
    The terms of the hold are checked against the recorded purchase; a purchase in another currency sets no limit.
    Raises, in this order: HoldEnded, PurchaseOfAnotherCustomer, PurchaseEnded, AboveMaximum (more than the hold has
    left, or more than its terms allow for the purchase).
    """
    refuse_ended_hold(hold.state, hold.expires_at, at)
    refuse_payer(purchase, hold.customer_id, ("hold",))
    points = hold.points if wanted is None else wanted
    if points > hold.left.points:
        raise AboveMaximum(maximum=hold.left.points, requested=points)
    payable = purchase.left
    if payable is None or payable.currency != hold.left.value.money.currency:
        return points
    if fit_hold(hold.left.keep(points), payable.amount_minor, purchase.paid).points != points:
        most = fit_hold(hold.left, payable.amount_minor, purchase.paid)
        raise AboveMaximum(maximum=most.points, requested=points)
    return points


def return_points(redemption: LiveRedemption, wanted: int | None) -> int:
    """Decide how many points of a redemption come back: ``wanted``, or all that have not come back yet if it is None.

    Raises ReturnExceedsRedemption if fewer points than ``wanted`` are left to come back, or none.
    """
    returnable = redemption.returnable_points
    points = returnable if wanted is None else wanted
    if not 1 <= points <= returnable:
        raise ReturnExceedsRedemption(returnable=returnable, requested=points)
    return points
