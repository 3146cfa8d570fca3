"""The accrual policy: when a purchase is evaluated, when its points mature, and what forfeits them.

The evaluation freezes the number of points. At maturity they become spendable. In between they are pending.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from loyalty.rules.account import Overdraft
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Problem
from loyalty.rules.purchase import PurchaseFacts, PurchaseStatus
from loyalty.rules.refund import RefundPolicy

MAX_DELAY_MINUTES = 366 * 24 * 60
DEFAULT_LATEST_REPORT_MINUTES = 30 * 24 * 60


class EvaluateOn(DescribedEnum):
    """The status at which the rules are evaluated; a later one does as well."""

    PURCHASE_CREATED = "PURCHASE_CREATED", "As soon as it is booked or ordered."
    PURCHASE_CONFIRMED = "PURCHASE_CONFIRMED", "When the business accepts it."
    PURCHASE_PAID = "PURCHASE_PAID", "When it is paid."
    SERVICE_ENDED = "SERVICE_ENDED", "When the service has ended, as the purchase tells it; a moment, not a status."
    PURCHASE_COMPLETED = "PURCHASE_COMPLETED", "When it is completed."


class MatureOn(DescribedEnum):
    """From which moment the delay runs until points can be spent."""

    EVALUATION = "EVALUATION", "The evaluation."
    PURCHASE_PAID = "PURCHASE_PAID", "The report that the purchase is paid."
    SERVICE_ENDED = (
        "SERVICE_ENDED",
        ("The end of the service, as the purchase tells it; without an end, the moment the purchase is completed."),
    )
    PURCHASE_COMPLETED = "PURCHASE_COMPLETED", "The report that the purchase is completed."
    MANUAL = "MANUAL", "None: points wait until `purchaseMature` lets them come."


class Revalue(DescribedEnum):
    """What becomes of points when a purchase changes after its evaluation."""

    ALWAYS = "ALWAYS", "It is valued again under the rules of the evaluation; the difference is added or taken back."
    NEVER = "NEVER", "They stay as they were evaluated."


class AccrualState(DescribedEnum):
    """How far an accrual has come."""

    EVALUATED = "EVALUATED", "The rules were evaluated, nothing is credited yet."
    PENDING = "PENDING", "Earned, not spendable yet."
    AVAILABLE = "AVAILABLE", "Credited."
    PARTIALLY_REVERSED = "PARTIALLY_REVERSED", "A part was taken back."
    REVERSED = "REVERSED", "All of it was taken back."
    VOIDED = "VOIDED", "Called off before it was credited."


FORFEITABLE = frozenset({PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW, PurchaseStatus.REFUNDED})
"""The statuses of a purchase that may forfeit its points."""


@dataclass(frozen=True, slots=True)
class AccrualPolicy:
    """When points of a purchase come in, and when they are lost again.

    `delay_minutes` runs from the event that `mature_on` names. `slack_minutes` is how late the sweep may be before an
    alarm; it changes nothing for customers. `debt` says what happens if points to be taken back were spent. `refund`
    says what a partial refund takes, as long as REFUNDED is in `forfeit_on`. A report counts from the time it came
    about, if that is at most `latest_report_minutes` ago; an older report counts from its arrival. `revalue` says
    whether a purchase that changes after the evaluation is valued again.
    """

    evaluate_on: EvaluateOn = EvaluateOn.PURCHASE_CREATED
    mature_on: MatureOn = MatureOn.EVALUATION
    delay_minutes: int = 0
    slack_minutes: int = 60
    forfeit_on: frozenset[PurchaseStatus] = FORFEITABLE
    debt: Overdraft = Overdraft.ALLOW_NEGATIVE
    refund: RefundPolicy = RefundPolicy.PROPORTIONAL
    latest_report_minutes: int = DEFAULT_LATEST_REPORT_MINUTES
    revalue: Revalue = Revalue.ALWAYS

    @property
    def latest_report(self) -> timedelta:
        """The longest time that a report may be late and still count from the time it came about."""
        return timedelta(minutes=self.latest_report_minutes)


DEFAULT_ACCRUAL = AccrualPolicy()
"""Points come at the booking, are spendable at once, and are taken back when the purchase is called off."""

_RANKS = {
    PurchaseStatus.CREATED: 0,
    PurchaseStatus.CONFIRMED: 1,
    PurchaseStatus.PAID: 2,
    PurchaseStatus.COMPLETED: 3,
}
_EVALUATED_FROM = {
    EvaluateOn.PURCHASE_CREATED: 0,
    EvaluateOn.PURCHASE_CONFIRMED: 1,
    EvaluateOn.PURCHASE_PAID: 2,
    EvaluateOn.SERVICE_ENDED: 0,
    EvaluateOn.PURCHASE_COMPLETED: 3,
}
_MATURED_FROM = {MatureOn.PURCHASE_PAID: 2, MatureOn.SERVICE_ENDED: 3, MatureOn.PURCHASE_COMPLETED: 3}


def is_evaluated_at(policy: AccrualPolicy, facts: PurchaseFacts, status: PurchaseStatus, now: datetime) -> bool:
    """Tell whether a purchase of this status is to be evaluated now. A purchase that was called off never is."""
    rank = _RANKS.get(status)
    if rank is None or rank < _EVALUATED_FROM[policy.evaluate_on]:
        return False
    if policy.evaluate_on is not EvaluateOn.SERVICE_ENDED or status is PurchaseStatus.COMPLETED:
        return True
    end = service_end(facts)
    return end is not None and end <= now


def evaluates_at(policy: AccrualPolicy, facts: PurchaseFacts, status: PurchaseStatus) -> datetime | None:
    """Return when time alone makes a purchase due for evaluation; None if the evaluation does not wait for a time."""
    waits = policy.evaluate_on is EvaluateOn.SERVICE_ENDED and status in _RANKS
    return service_end(facts) if waits else None


def choose_sweep_time(
    policy: AccrualPolicy, facts: PurchaseFacts, status: PurchaseStatus, now: datetime, *, is_evaluated: bool
) -> datetime | None:
    """Return when the sweep is to evaluate a purchase: the end of its service, if the evaluation waits only for that.

    Returns None for a purchase that is evaluated, or that is to be evaluated now.
    """
    if is_evaluated or is_evaluated_at(policy, facts, status, now):
        return None
    return evaluates_at(policy, facts, status)


def service_end(facts: PurchaseFacts) -> datetime | None:
    """Return the end of the service; if the purchase has no end, its start."""
    return facts.ends_at or facts.starts_at


def takes_refunds(policy: AccrualPolicy) -> bool:
    """Tell whether refunds take points under this policy."""
    return policy.refund is not RefundPolicy.NONE and forfeits(policy, PurchaseStatus.REFUNDED)


def matures_at(
    policy: AccrualPolicy, facts: PurchaseFacts, status: PurchaseStatus, moment: datetime
) -> datetime | None:
    """Return when the points mature; None as long as that is not known.

    `moment` is the time of the evaluation, or of the report that tells the status. If the purchase has no end of the
    service, its start counts as the end. Without a start either, the end is unknown until the purchase is completed.
    """
    delay = timedelta(minutes=policy.delay_minutes)
    if policy.mature_on is MatureOn.MANUAL:
        return None
    if policy.mature_on is MatureOn.SERVICE_ENDED and (end := service_end(facts)) is not None:
        return end + delay
    awaited = _MATURED_FROM.get(policy.mature_on)
    if awaited is not None and _RANKS.get(status, -1) < awaited:
        return None
    return moment + delay


def matures_at_after(
    policy: AccrualPolicy,
    told: tuple[PurchaseFacts, PurchaseStatus],
    known: datetime | None,
    moment: datetime,
    *,
    end_changed: bool,
) -> datetime | None:
    """Return when pending points mature, after a further report that tells these facts and this status.

    `known` is the time known before. It stays, unless it was unknown, or the report moves the end of the service.
    """
    if known is None:
        return matures_at(policy, *told, moment)
    return matures_at(policy, *told, moment) if policy.mature_on is MatureOn.SERVICE_ENDED and end_changed else known


def forfeits(policy: AccrualPolicy, status: PurchaseStatus) -> bool:
    """Tell whether a purchase of this status loses its points."""
    if status is PurchaseStatus.REFUNDED and policy.refund is RefundPolicy.NONE:
        return False
    return status in policy.forfeit_on


def validate_accrual_policy(policy: AccrualPolicy) -> list[Problem]:
    """Return everything wrong with a policy.

    Delays must be 0 minutes to 366 days. Only statuses that can forfeit points are allowed in `forfeit_on`.
    """
    return [problem for problem in _policy_problems(policy) if problem is not None]


def _policy_problems(policy: AccrualPolicy) -> Iterator[Problem | None]:
    """Yield the problems of a policy, and None for checks that find none."""
    yield _check_minutes(policy.delay_minutes, ("accrual", "mature_delay"))
    yield _check_minutes(policy.slack_minutes, ("accrual", "mature_slack"))
    yield _check_minutes(policy.latest_report_minutes, ("accrual", "latest_report"))
    if stray := policy.forfeit_on - FORFEITABLE:
        names = ", ".join(sorted(stray))
        yield Problem(("accrual", "forfeit_on"), f"may hold CANCELLED, NO_SHOW and REFUNDED, not {names}")


def _check_minutes(minutes: int, path: tuple[str, ...]) -> Problem | None:
    if 0 <= minutes <= MAX_DELAY_MINUTES:
        return None
    return Problem(path, "must be between PT0S and P366D")
