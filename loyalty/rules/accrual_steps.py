"""What becomes of an accrual: how it begins, how it follows its purchase, and what it loses.

Each function takes the numbers of an accrual and returns a decision. The ledger books what was decided.
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
"""The states in which nothing is left of an accrual: a purchase that comes back to life earns again."""


class AccrualStep(StrEnum):
    """What a report about its purchase does to an accrual."""

    NOTHING = "NOTHING"
    """It stays as it is."""
    FORFEIT = "FORFEIT"
    """It loses all that is left of its points."""
    MATURE = "MATURE"
    """Its pending points can be spent now."""
    WAIT = "WAIT"
    """Its pending points wait for another moment than before."""


class Followed(NamedTuple):
    """What an accrual does after a report, and from when on its points can be spent."""

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
) -> Followed:
    """Decide what an accrual does after a report about its purchase.

    `known` is from when on its points could be spent so far. `told` is what is known of the purchase after the report,
    which came about at `moment`. `end_changed` says that the report moves the end of the service.
    """
    if forfeits(policy, told[1]):
        return Followed(AccrualStep.FORFEIT, known)
    if state is not AccrualState.PENDING:
        return Followed(AccrualStep.NOTHING, known)
    if known is not None and known <= now:
        # The time has come, and the sweep has not: what is due waits for no other moment.
        return Followed(AccrualStep.MATURE, known)
    if policy.mature_on is MatureOn.EVALUATION:
        return Followed(AccrualStep.NOTHING, known)
    due_at = matures_at_after(policy, told, known, moment, end_changed=end_changed)
    if due_at is not None and due_at <= now:
        return Followed(AccrualStep.MATURE, due_at)
    return Followed(AccrualStep.NOTHING if due_at == known else AccrualStep.WAIT, due_at)


def begin_state(points: int, kept: int, due_at: datetime | None, now: datetime) -> AccrualState:
    """Return the state in which an accrual begins: `kept` of its `points` were not refunded before the evaluation."""
    if points and not kept:
        return AccrualState.VOIDED
    is_due = due_at is not None and due_at <= now
    return AccrualState.AVAILABLE if is_due or not kept else AccrualState.PENDING


def state_of_pending(points: int, voided: int) -> AccrualState:
    """Return the state of an accrual that was not credited, and that lost `voided` of its `points`."""
    return AccrualState.VOIDED if voided == points else AccrualState.PENDING


def state_of_credited(points: int, voided: int, reversed_: int) -> AccrualState:
    """Return the state of a credited accrual that lost `voided` points before that, and `reversed_` after it."""
    return state_of_reversed(points, voided, reversed_) if reversed_ else AccrualState.AVAILABLE


def state_of_reversed(points: int, voided: int, reversed_: int) -> AccrualState:
    """Return the state of a credited accrual whose purchase was called off or refunded, if only of 0 points."""
    return AccrualState.REVERSED if reversed_ == points - voided else AccrualState.PARTIALLY_REVERSED


def takes_credited_points(policy: AccrualPolicy, state: AccrualState, status: PurchaseStatus) -> bool:
    """Tell whether a status takes credited points back, so that the customer's lots are needed."""
    return state in CREDITED and forfeits(policy, status)


class Correction(NamedTuple):
    """What a new valuation does to a credited accrual.

    `voided` and `reversed` are what refunds take of the new valuation. `added` comes to the account, `taken` leaves it.
    """

    voided: int
    reversed: int
    added: int
    taken: int


def correct_credited(points: int, gone: int, voided_before: int, outstanding: int, forgotten: int) -> Correction:
    """Decide how a credited accrual comes from what is left of it to what it is worth now.

    It is worth `points`, of which refunds take `gone`. `voided_before` was lost before it was credited, `outstanding`
    is left of it. Of what it lost `forgotten` was never taken (CLAMP), so that much need not be given.
    """
    voided = min(voided_before, gone)
    more = points - gone - outstanding
    return Correction(voided, gone - voided, added=max(0, more - forgotten) if more > 0 else 0, taken=max(0, -more))


def split_by_expiry(lines: Iterable[EvaluationLine]) -> dict[ExpiryPolicy | None, int]:
    """Return how many points came with each expiry, in the order of the lines."""
    points: dict[ExpiryPolicy | None, int] = {}
    for line in lines:
        if line.points:
            points[line.expiry] = points.get(line.expiry, 0) + line.points
    return points


def find_gain(
    before: Mapping[ExpiryPolicy | None, int], after: Mapping[ExpiryPolicy | None, int]
) -> dict[ExpiryPolicy | None, int]:
    """Return with which expiry a new valuation gives more points than the former one, and how many more."""
    gained = {expiry: points - before.get(expiry, 0) for expiry, points in after.items()}
    return {expiry: points for expiry, points in gained.items() if points > 0}
