"""The steps of an accrual: how it begins, how it follows the reports about its purchase, and how it loses points.

Each function takes the numbers of an accrual and returns a decision. The ledger books the decision.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from loyalty.rules.accrual import AccrualPolicy, AccrualState, MatureOn, forfeits, matures_at_after
from loyalty.rules.evaluation import EvaluationLine
from loyalty.rules.expiry import ExpiryPolicy
from loyalty.rules.purchase import PurchaseFacts, PurchaseStatus

CREDITED = frozenset({AccrualState.AVAILABLE, AccrualState.PARTIALLY_REVERSED})
"""The states in which points of an accrual are, or were, in the customer's account."""


LOST = frozenset({AccrualState.VOIDED, AccrualState.REVERSED})
"""The states in which an accrual has no points left. A purchase that comes back to life then earns again."""


class AccrualStep(StrEnum):
    """The step that an accrual takes after a report about its purchase."""

    NOTHING = "NOTHING"
    """The accrual stays as it is."""
    FORFEIT = "FORFEIT"
    """The accrual loses all the points that it has left."""
    MATURE = "MATURE"
    """The pending points become spendable now."""
    WAIT = "WAIT"
    """The pending points stay pending, but mature at another time than before."""


class NextStep(NamedTuple):
    """The step of an accrual after a report, and the time at which its points mature."""

    step: AccrualStep
    matures_at: datetime | None


def follow_report(
    policy: AccrualPolicy,
    state: AccrualState,
    known: datetime | None,
    told: tuple[PurchaseFacts, PurchaseStatus],
    moment: datetime,
    now: datetime,
    *,
    end_changed: bool,
) -> NextStep:
    """Decide which step an accrual takes after a report about its purchase.

    `known` is the time at which its points were to mature before the report. `told` are the facts and the status of the
    purchase after the report. `moment` is the time at which the report came about. `end_changed` says that the report
    moves the end of the service.
    """
    if forfeits(policy, told[1]):
        return NextStep(AccrualStep.FORFEIT, known)
    if state is not AccrualState.PENDING:
        return NextStep(AccrualStep.NOTHING, known)
    if known is not None and known <= now:
        # The points are due already, only the sweep has not passed yet. The report cannot move their time any more.
        return NextStep(AccrualStep.MATURE, known)
    if policy.mature_on is MatureOn.EVALUATION:
        return NextStep(AccrualStep.NOTHING, known)
    due_at = matures_at_after(policy, told, known, moment, end_changed=end_changed)
    if due_at is not None and due_at <= now:
        return NextStep(AccrualStep.MATURE, due_at)
    return NextStep(AccrualStep.NOTHING if due_at == known else AccrualStep.WAIT, due_at)


def choose_first_state(points: int, kept: int, due_at: datetime | None, now: datetime) -> AccrualState:
    """Return the first state of an accrual.

    The accrual gives `points`. Refunds before the evaluation have left `kept` of them. The points mature at `due_at`;
    None means that this time is not known yet. An accrual without points is AVAILABLE at once.
    """
    if points and not kept:
        return AccrualState.VOIDED
    is_due = due_at is not None and due_at <= now
    return AccrualState.AVAILABLE if is_due or not kept else AccrualState.PENDING


def state_of_pending(points: int, voided: int) -> AccrualState:
    """Return the state of an accrual of `points` that was never credited and has lost `voided` points."""
    return AccrualState.VOIDED if voided == points else AccrualState.PENDING


def state_of_credited(points: int, voided: int, reversed_: int) -> AccrualState:
    """Return the state of a credited accrual.

    It lost `voided` of its `points` before the credit, and `reversed_` points after it.
    """
    return state_of_reversed(points, voided, reversed_) if reversed_ else AccrualState.AVAILABLE


def state_of_reversed(points: int, voided: int, reversed_: int) -> AccrualState:
    """Return the state of a credited accrual after its purchase was called off or refunded.

    It is REVERSED or PARTIALLY_REVERSED, never AVAILABLE, even if the accrual lost 0 points.
    """
    return AccrualState.REVERSED if reversed_ == points - voided else AccrualState.PARTIALLY_REVERSED


def takes_credited_points(policy: AccrualPolicy, state: AccrualState, status: PurchaseStatus) -> bool:
    """Tell whether a status takes credited points back. If so, the decision needs the customer's open lots."""
    return state in CREDITED and forfeits(policy, status)


class Correction(NamedTuple):
    """How a new valuation changes a credited accrual.

    `voided` and `reversed` are the points that refunds take of the new valuation. `added` is credited to the account,
    `taken` is taken from it.
    """

    voided: int
    reversed: int
    added: int
    taken: int


def correct_credited(points: int, gone: int, voided_before: int, outstanding: int, forgotten: int) -> Correction:
    """Decide how a new valuation changes a credited accrual.

    The new valuation gives `points`, and refunds take `gone` of them. The accrual lost `voided_before` points before it
    was credited, and has `outstanding` points left. Of the points it lost, `forgotten` were never taken from the
    account (debt policy CLAMP), so that many are not added again.
    """
    voided = min(voided_before, gone)
    more = points - gone - outstanding
    return Correction(voided, gone - voided, added=max(0, more - forgotten) if more > 0 else 0, taken=max(0, -more))


def split_by_expiry(lines: Iterable[EvaluationLine]) -> dict[ExpiryPolicy | None, int]:
    """Return the sum of the points for each expiry policy, in the order of the lines."""
    points: dict[ExpiryPolicy | None, int] = {}
    for line in lines:
        if line.points:
            points[line.expiry] = points.get(line.expiry, 0) + line.points
    return points


def find_gain(
    before: Mapping[ExpiryPolicy | None, int], after: Mapping[ExpiryPolicy | None, int]
) -> dict[ExpiryPolicy | None, int]:
    """Return how many more points a new valuation gives than the former one, for each expiry policy with more."""
    gained = {expiry: points - before.get(expiry, 0) for expiry, points in after.items()}
    return {expiry: points for expiry, points in gained.items() if points > 0}
