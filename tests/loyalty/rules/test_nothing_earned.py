"""Why a purchase has given no points: what it waits for, and what became of each rule."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from loyalty.rules.accrual import AccrualPolicy, AccrualState, EvaluateOn, MatureOn
from loyalty.rules.evaluation import EvaluationLine, Outcome
from loyalty.rules.ids import RuleId
from loyalty.rules.nothing_earned import (
    NothingReason,
    PausedRule,
    UnearnedAccrual,
    UnearnedPurchase,
    explain_accrual,
    explain_unevaluated,
    hide_rules,
)
from loyalty.rules.purchase import PurchaseStatus

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
RULE = RuleId(UUID(int=1))
DAY = timedelta(days=1)


def line(outcome: Outcome, explanation: str, failed: str | None = None) -> EvaluationLine:
    """Return the line of a rule that gave nothing."""
    return EvaluationLine(RULE, "Ten", 1, outcome, 0, explanation, failed)


def accrual(points: int = 0, state: AccrualState = AccrualState.AVAILABLE, **details: Any) -> UnearnedAccrual:
    """Return an accrual that was evaluated at noon."""
    seen = {"policy": AccrualPolicy(), "matures_at": None, "evaluated_at": NOON, "lines": []} | details
    return UnearnedAccrual(state, points, **seen)


@pytest.mark.parametrize(
    ("evaluate_on", "status", "end", "reason", "waits_for", "until"),
    [
        ("PURCHASE_COMPLETED", "CREATED", None, "WAITS_FOR_STATUS", "COMPLETED", None),
        ("PURCHASE_COMPLETED", "PAID", NOON, "WAITS_FOR_STATUS", "COMPLETED", None),
        ("PURCHASE_PAID", "CONFIRMED", None, "WAITS_FOR_STATUS", "PAID", None),
        ("PURCHASE_CONFIRMED", "CREATED", None, "WAITS_FOR_STATUS", "CONFIRMED", None),
        ("SERVICE_ENDED", "CREATED", NOON, "WAITS_FOR_SERVICE_END", None, NOON),
        ("SERVICE_ENDED", "PAID", None, "WAITS_FOR_SERVICE_END", "COMPLETED", None),
        ("PURCHASE_CREATED", "CREATED", None, "WAITS_FOR_REPORT", None, None),
        ("SERVICE_ENDED", "COMPLETED", None, "WAITS_FOR_REPORT", None, None),
        ("PURCHASE_COMPLETED", "CANCELLED", None, "CALLED_OFF", None, None),
        ("PURCHASE_COMPLETED", "NO_SHOW", None, "CALLED_OFF", None, None),
    ],
)
def test_says_what_a_purchase_waits_for(
    evaluate_on: str, status: str, end: datetime | None, reason: str, waits_for: str | None, until: datetime | None
) -> None:
    policy = AccrualPolicy(evaluate_on=EvaluateOn(evaluate_on))
    why = explain_unevaluated(policy, UnearnedPurchase(PurchaseStatus(status), end))
    assert (why.reason, why.waits_for, why.until) == (reason, waits_for, until)
    assert why.message.endswith(".")


def test_says_when_pending_points_come() -> None:
    later = accrual(10, AccrualState.PENDING, matures_at=NOON + DAY)
    assert [(one.reason, one.until) for one in explain_accrual(later, [])] == [("POINTS_PENDING", NOON + DAY)]
    for mature_on, waits_for in ((MatureOn.PURCHASE_COMPLETED, "COMPLETED"), (MatureOn.PURCHASE_PAID, "PAID")):
        waiting = accrual(10, AccrualState.PENDING, policy=AccrualPolicy(mature_on=mature_on))
        assert [one.waits_for for one in explain_accrual(waiting, [])] == [waits_for]
    by_hand = accrual(10, AccrualState.PENDING, policy=AccrualPolicy(mature_on=MatureOn.MANUAL))
    (why,) = explain_accrual(by_hand, [])
    assert (why.waits_for, "purchaseMature" in why.message) == (None, True)


def test_says_nothing_where_points_were_given_and_that_all_were_lost() -> None:
    assert explain_accrual(accrual(10), []) == []
    assert explain_accrual(accrual(10, AccrualState.PARTIALLY_REVERSED), []) == []
    for state in (AccrualState.VOIDED, AccrualState.REVERSED):
        assert [one.reason for one in explain_accrual(accrual(10, state), [])] == ["POINTS_TAKEN_BACK"]


def test_names_every_rule_that_gave_nothing() -> None:
    lines = [
        line(Outcome.NOT_MATCHED, "Not matched: the location is not Graz.", "LOCATIONS"),
        line(Outcome.NOT_STACKED, "Not counted."),
        line(Outcome.NOTHING_TO_COUNT, "Nothing to count."),
    ]
    found = explain_accrual(accrual(lines=lines), [])
    assert [(one.reason, one.message, one.failed_condition) for one in found] == [
        ("RULE_NOT_MATCHED", "Not matched: the location is not Graz.", "LOCATIONS"),
        ("RULE_NOT_STACKED", "Not counted.", None),
        ("RULE_COUNTED_NOTHING", "Nothing to count.", None),
    ]
    assert {(one.rule_id, one.rule_name) for one in found} == {(RULE, "Ten")}


def test_names_the_rules_that_were_paused_just_then() -> None:
    spans = [
        PausedRule(RULE, "Paused", NOON - DAY, None),
        PausedRule(RULE, "Paused till later", NOON, NOON + DAY),
        PausedRule(RULE, "Went on at noon", NOON - DAY, NOON),
        PausedRule(RULE, "Paused since", NOON + DAY, None),
    ]
    found = explain_accrual(accrual(), spans)
    assert [(one.reason, one.rule_name) for one in found] == [
        ("RULE_PAUSED", "Paused"),
        ("RULE_PAUSED", "Paused till later"),
    ]
    assert [one.reason for one in explain_accrual(accrual(), spans[2:])] == [NothingReason.NO_RULE]


def test_who_may_not_read_rules_reads_none() -> None:
    found = explain_accrual(accrual(lines=[line(Outcome.NOT_MATCHED, "No.", "STAFF")] * 2), [])
    assert [(one.reason, one.rule_name, one.failed_condition) for one in hide_rules(found)] == [
        ("NOTHING_MATCHED", None, None)
    ]
    waiting = [explain_unevaluated(AccrualPolicy(), UnearnedPurchase(PurchaseStatus.CREATED, None))]
    assert hide_rules(waiting) == waiting
