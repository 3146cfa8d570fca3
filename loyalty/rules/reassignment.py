"""Reassignments: when a purchase that was recorded for the wrong customer can move to the right one."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from loyalty.rules.account import Account, CountedIn
from loyalty.rules.accrual import AccrualState
from loyalty.rules.accrual_steps import CREDITED
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import InvalidInput
from loyalty.rules.ids import CustomerId
from loyalty.rules.lots import Lot, Parcel
from loyalty.rules.points_paid import PointsPaid
from loyalty.rules.purchase_errors import PurchaseNotReassignable


class ReassignmentObstacle(DescribedEnum):
    """Why a purchase cannot move to another customer."""

    REFUNDED = "REFUNDED", "A part of it was refunded."
    POINTS_HELD = "POINTS_HELD", "Points are set aside for it at a checkout: release or capture the hold first."
    PAID_WITH_POINTS = "PAID_WITH_POINTS", "Points of its customer pay for it: give them back first."
    POINTS_USED = "POINTS_USED", "Points that it earned were spent, held, expired, taken, or paid a debt."


def refuse_reassignment(*, is_refunded: bool, held: PointsPaid, spent: PointsPaid) -> None:
    """Raise PurchaseNotReassignable for a purchase that was refunded, or that points pay for.

    ``held`` and ``spent`` are the points of its holds and of its redemptions.
    """
    if is_refunded:
        raise _build_refusal(ReassignmentObstacle.REFUNDED)
    if held.points:
        raise _build_refusal(ReassignmentObstacle.POINTS_HELD)
    if spent.points:
        raise _build_refusal(ReassignmentObstacle.PAID_WITH_POINTS)


class LifeAtTarget(NamedTuple):
    """A purchase after its reassignment.

    `generation` is the generation with the target. `state` is the state of the accrual there; None if there is none:
    the purchase was not evaluated yet, or had lost its points before.
    """

    generation: int
    state: AccrualState | None


def decide_life_at_target(generation: int, state: AccrualState | None) -> LifeAtTarget:
    """Decide the generation of a purchase after its reassignment, and the state of its accrual with the target.

    ``state`` is the state of its accrual with the source; None before the evaluation. That accrual stays with the
    source, also if it has no points. So a purchase that was evaluated begins a new generation with the target. Pending
    points are pending for the target too; all other points are credited at once.
    """
    if state is None:
        return LifeAtTarget(generation, None)
    if state is AccrualState.PENDING:
        return LifeAtTarget(generation + 1, AccrualState.PENDING)
    return LifeAtTarget(generation + 1, AccrualState.AVAILABLE if state in CREDITED else None)


def refuse_same_customer(source_id: CustomerId, target_id: CustomerId) -> None:
    """Refuse to move a purchase to its own customer. Raises InvalidInput."""
    if source_id == target_id:
        raise InvalidInput.one("target", reason="is the customer of this purchase already")


def refuse_used_points(outstanding: int, own_lots: Iterable[Lot]) -> None:
    """Raise PurchaseNotReassignable unless all points that a purchase earned are still in the lots that it opened."""
    if sum(lot.remaining for lot in own_lots) != outstanding:
        raise _build_refusal(ReassignmentObstacle.POINTS_USED)


def refuse_points_of_grace(parcels: Iterable[Parcel], now: datetime) -> None:
    """Raise PurchaseNotReassignable for points whose own expiry has passed.

    They are still there only because they were spent and came back: the program lets such points live some days more.
    """
    if any(parcel.expires_at is not None and parcel.expires_at <= now for parcel in parcels):
        raise _build_refusal(ReassignmentObstacle.POINTS_USED)


def count_in_window(account: Account, points: int, counted_in: CountedIn) -> Account:
    """Prepare an account for a credit of points that belong to an earlier tier window, and return it.

    The credit that follows counts all points in the open window. So this subtracts them from the open window first. It
    adds them to the previous window, if they belong there.
    """
    if counted_in is CountedIn.OPEN or account.window_started_at is None:
        return account
    in_previous = points if counted_in is CountedIn.PREVIOUS else 0
    return replace(
        account,
        window_points=account.window_points - points,
        previous_window_points=account.previous_window_points + in_previous,
    )


def _build_refusal(obstacle: ReassignmentObstacle) -> PurchaseNotReassignable:
    """Build the refusal for an obstacle."""
    return PurchaseNotReassignable(obstacle, f"The purchase cannot move to another customer. {obstacle.description}")
