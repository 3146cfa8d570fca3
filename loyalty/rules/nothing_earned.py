"""Why a purchase has given no spendable points: it waits, it was called off, or each rule gave nothing."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from loyalty.rules.accrual import AccrualPolicy, AccrualState, EvaluateOn, MatureOn
from loyalty.rules.accrual_steps import LOST
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.evaluation import EvaluationLine, Outcome
from loyalty.rules.ids import RuleId
from loyalty.rules.purchase import ENDED, PurchaseStatus


class NothingReason(DescribedEnum):
    """Why a purchase has given no points to spend. More reasons may come."""

    WAITS_FOR_STATUS = "WAITS_FOR_STATUS", "The rules are evaluated when the purchase has the status in `waitsFor`."
    WAITS_FOR_SERVICE_END = (
        "WAITS_FOR_SERVICE_END",
        ("The rules are evaluated when the service has ended, at `until`; without an end, at its completion."),
    )
    WAITS_FOR_REPORT = "WAITS_FOR_REPORT", "The rules are evaluated with the next report of the purchase."
    CALLED_OFF = "CALLED_OFF", "The purchase was called off or refunded before the rules were evaluated."
    POINTS_PENDING = "POINTS_PENDING", "It earned points that cannot be spent yet; `waitsFor` and `until` say when."
    POINTS_TAKEN_BACK = "POINTS_TAKEN_BACK", "It earned points, and lost all of them again."
    NO_RULE = "NO_RULE", "There was no earning rule when it was evaluated."
    RULE_PAUSED = "RULE_PAUSED", "The rule was paused when the purchase was evaluated."
    RULE_NOT_MATCHED = "RULE_NOT_MATCHED", "A condition of the rule did not hold."
    RULE_NOT_STACKED = "RULE_NOT_STACKED", "The rule matched, but another one counted in its place."
    RULE_COUNTED_NOTHING = "RULE_COUNTED_NOTHING", "The rule matched, but what it counts came to no points."
    NOTHING_MATCHED = "NOTHING_MATCHED", "No rule gave points; for readers who may not read rules."


class WhyNothing(NamedTuple):
    """One reason as a sentence, with the status, time, rule or condition that it is about."""

    reason: NothingReason
    message: str
    waits_for: PurchaseStatus | None = None
    until: datetime | None = None
    rule_id: RuleId | None = None
    rule_name: str | None = None
    failed_condition: str | None = None


class PausedRule(NamedTuple):
    """A rule that was paused between two edits. `until` is None if it is still paused."""

    rule_id: RuleId
    name: str
    since: datetime
    until: datetime | None


class UnearnedPurchase(NamedTuple):
    """The parts of a purchase that decide the reason: its status, and the end of its service."""

    status: PurchaseStatus
    service_end: datetime | None


class UnearnedAccrual(NamedTuple):
    """The parts of an accrual that decide the reasons."""

    state: AccrualState
    points: int
    policy: AccrualPolicy
    matures_at: datetime | None
    evaluated_at: datetime
    lines: Sequence[EvaluationLine]


_STATUS_OF_EVALUATION = {
    EvaluateOn.PURCHASE_CONFIRMED: PurchaseStatus.CONFIRMED,
    EvaluateOn.PURCHASE_PAID: PurchaseStatus.PAID,
    EvaluateOn.PURCHASE_COMPLETED: PurchaseStatus.COMPLETED,
}
_STATUS_OF_MATURING = {
    MatureOn.PURCHASE_PAID: PurchaseStatus.PAID,
    MatureOn.SERVICE_ENDED: PurchaseStatus.COMPLETED,
    MatureOn.PURCHASE_COMPLETED: PurchaseStatus.COMPLETED,
}
_ORDER = (PurchaseStatus.CREATED, PurchaseStatus.CONFIRMED, PurchaseStatus.PAID, PurchaseStatus.COMPLETED)
_REASON_OF_OUTCOME = {
    Outcome.NOT_MATCHED: NothingReason.RULE_NOT_MATCHED,
    Outcome.NOT_STACKED: NothingReason.RULE_NOT_STACKED,
    Outcome.NOTHING_TO_COUNT: NothingReason.RULE_COUNTED_NOTHING,
}


def explain_unevaluated(policy: AccrualPolicy, purchase: UnearnedPurchase) -> WhyNothing:
    """Return why the rules were not evaluated for a purchase yet."""
    status = purchase.status
    if status in ENDED:
        return WhyNothing(NothingReason.CALLED_OFF, f"It is {status}, and was never evaluated.")
    if policy.evaluate_on is EvaluateOn.SERVICE_ENDED and status is not PurchaseStatus.COMPLETED:
        end = purchase.service_end
        when = "it tells no end, so it waits for COMPLETED" if end is None else f"that is {end.isoformat()}"
        message = f"Its rules are evaluated when the service has ended; {when}."
        waits_for = PurchaseStatus.COMPLETED if end is None else None
        return WhyNothing(NothingReason.WAITS_FOR_SERVICE_END, message, waits_for, end)
    awaited = _STATUS_OF_EVALUATION.get(policy.evaluate_on)
    if awaited is not None and _ORDER.index(status) < _ORDER.index(awaited):
        return WhyNothing(NothingReason.WAITS_FOR_STATUS, f"It waits for {awaited}; it is {status}.", awaited)
    return WhyNothing(NothingReason.WAITS_FOR_REPORT, "Its rules are evaluated with its next report.")


def explain_accrual(accrual: UnearnedAccrual, paused: Sequence[PausedRule]) -> list[WhyNothing]:
    """Return why an evaluated purchase has given no spendable points; an empty list if it has given some."""
    if accrual.points:
        return list(_explain_points(accrual))
    found = [*_explain_lines(accrual.lines), *_explain_paused(paused, accrual.evaluated_at)]
    return found or [WhyNothing(NothingReason.NO_RULE, "There was no earning rule when it was evaluated.")]


def hide_rules(reasons: Sequence[WhyNothing]) -> list[WhyNothing]:
    """Return the reasons for a reader who may not read rules: reasons about rules become one general reason."""
    told = [one for one in reasons if one.rule_name is None]
    if len(told) < len(reasons):
        told.append(WhyNothing(NothingReason.NOTHING_MATCHED, "No rule gave points for it."))
    return told


def _explain_points(accrual: UnearnedAccrual) -> Iterator[WhyNothing]:
    """Yield why earned points cannot be spent: they are lost, or still pending."""
    if accrual.state in LOST:
        yield WhyNothing(NothingReason.POINTS_TAKEN_BACK, f"It earned {accrual.points} points and lost them again.")
    elif accrual.state is AccrualState.PENDING:
        until, waits_for = accrual.matures_at, None
        if until is not None:
            when = f"they can be spent from {until.isoformat()} on"
        elif (waits_for := _STATUS_OF_MATURING.get(accrual.policy.mature_on)) is not None:
            when = f"they wait for {waits_for}"
        else:
            when = "they wait until somebody lets them come with purchaseMature"
        yield WhyNothing(NothingReason.POINTS_PENDING, f"It earned {accrual.points} points; {when}.", waits_for, until)


def _explain_lines(lines: Sequence[EvaluationLine]) -> Iterator[WhyNothing]:
    """Yield why each rule with a line gave no points."""
    for line in lines:
        reason = _REASON_OF_OUTCOME.get(line.outcome)
        if reason is not None:
            yield WhyNothing(
                reason,
                line.explanation,
                rule_id=line.rule_id,
                rule_name=line.rule_name,
                failed_condition=line.failed_condition,
            )


def _explain_paused(paused: Sequence[PausedRule], at: datetime) -> Iterator[WhyNothing]:
    """Yield a reason for each rule that was paused at an instant."""
    for rule in paused:
        if rule.since <= at and (rule.until is None or at < rule.until):
            message = f"{rule.name}: the rule was paused."
            yield WhyNothing(NothingReason.RULE_PAUSED, message, rule_id=rule.rule_id, rule_name=rule.name)
