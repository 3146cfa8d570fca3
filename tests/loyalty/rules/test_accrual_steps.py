from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.accrual import DEFAULT_ACCRUAL, AccrualPolicy, AccrualState, MatureOn
from loyalty.rules.accrual_steps import (
    AccrualStep,
    Correction,
    choose_first_state,
    correct_credited,
    find_gain,
    follow_report,
    split_by_expiry,
    state_of_credited,
    state_of_pending,
    state_of_reversed,
    takes_credited_points,
)
from loyalty.rules.evaluation import EvaluationLine, Outcome
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseFacts, PurchaseKind, PurchaseStatus

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT_END = AccrualPolicy(mature_on=MatureOn.SERVICE_ENDED)
WHEN_PAID = AccrualPolicy(mature_on=MatureOn.PURCHASE_PAID)
MONTH = ExpiryPolicy(ExpiryKind.FIXED_DURATION, months=1)


def facts(ends_at: datetime | None = None) -> PurchaseFacts:
    """Return an appointment that ends then."""
    return PurchaseFacts(PurchaseKind.APPOINTMENT, "visit-1", Money(1_000, "EUR"), ends_at=ends_at)


@pytest.mark.parametrize(
    ("policy", "state", "known", "ends_at", "status", "end_changed", "step", "matures_at"),
    [
        # Called off: whatever it waits for, and whether it was credited or not.
        (DEFAULT_ACCRUAL, "PENDING", NOON + HOUR, None, "CANCELLED", False, "FORFEIT", NOON + HOUR),
        (DEFAULT_ACCRUAL, "AVAILABLE", NOON, None, "NO_SHOW", False, "FORFEIT", NOON),
        # Credited points follow nothing else.
        (AT_END, "AVAILABLE", NOON, NOON + HOUR, "PAID", True, "NOTHING", NOON),
        # What is due comes at once, though the report moves the end.
        (AT_END, "PENDING", NOON, NOON + HOUR, "PAID", True, "MATURE", NOON),
        # The end of the service moves: earlier, later, or not at all.
        (AT_END, "PENDING", NOON + 2 * HOUR, NOON - HOUR, "PAID", True, "MATURE", NOON - HOUR),
        (AT_END, "PENDING", NOON + 2 * HOUR, NOON + HOUR, "PAID", True, "WAIT", NOON + HOUR),
        (AT_END, "PENDING", NOON + 2 * HOUR, NOON + HOUR, "PAID", False, "NOTHING", NOON + 2 * HOUR),
        # A status that was awaited comes.
        (WHEN_PAID, "PENDING", None, None, "CONFIRMED", False, "NOTHING", None),
        (WHEN_PAID, "PENDING", None, None, "PAID", False, "MATURE", NOON),
        # Points that wait since their evaluation wait on.
        (DEFAULT_ACCRUAL, "PENDING", NOON + HOUR, NOON + 2 * HOUR, "PAID", True, "NOTHING", NOON + HOUR),
    ],
)
def test_an_accrual_follows_a_report(
    policy: AccrualPolicy,
    state: str,
    known: datetime | None,
    ends_at: datetime | None,
    status: str,
    end_changed: bool,  # noqa: FBT001
    step: str,
    matures_at: datetime | None,
) -> None:
    told = (facts(ends_at), PurchaseStatus(status))
    found = follow_report(policy, AccrualState(state), known, told, NOON, NOON, end_changed=end_changed)
    assert found == (AccrualStep(step), matures_at)


@pytest.mark.parametrize(
    ("points", "kept", "due_at", "state"),
    [
        (10, 10, NOON, "AVAILABLE"),
        (10, 10, NOON + HOUR, "PENDING"),
        (10, 10, None, "PENDING"),
        (10, 0, NOON, "VOIDED"),
        (10, 4, NOON + HOUR, "PENDING"),
        # Nothing was earned, so there is nothing to wait for.
        (0, 0, None, "AVAILABLE"),
    ],
)
def test_an_accrual_begins(points: int, kept: int, due_at: datetime | None, state: str) -> None:
    assert choose_first_state(points, kept, due_at, NOON) == state


def test_states_say_how_much_is_left() -> None:
    assert [state_of_pending(10, voided) for voided in (0, 9, 10)] == ["PENDING", "PENDING", "VOIDED"]
    assert [state_of_credited(10, 2, lost) for lost in (0, 7, 8)] == ["AVAILABLE", "PARTIALLY_REVERSED", "REVERSED"]
    assert [state_of_reversed(points, 0, 0) for points in (0, 5)] == ["REVERSED", "PARTIALLY_REVERSED"]


@pytest.mark.parametrize(
    ("state", "status", "takes"),
    [
        ("AVAILABLE", "CANCELLED", True),
        ("PARTIALLY_REVERSED", "REFUNDED", True),
        ("PENDING", "CANCELLED", False),
        ("REVERSED", "CANCELLED", False),
        ("AVAILABLE", "COMPLETED", False),
    ],
)
def test_only_credited_points_are_taken_back(state: str, status: str, takes: bool) -> None:  # noqa: FBT001
    assert takes_credited_points(DEFAULT_ACCRUAL, AccrualState(state), PurchaseStatus(status)) is takes


@pytest.mark.parametrize(
    ("points", "gone", "voided_before", "outstanding", "forgotten", "correction"),
    [
        # Worth more, worth less, worth the same.
        (15, 0, 0, 10, 0, Correction(voided=0, reversed=0, added=5, taken=0)),
        (6, 0, 0, 10, 0, Correction(voided=0, reversed=0, added=0, taken=4)),
        (10, 0, 0, 10, 0, Correction(voided=0, reversed=0, added=0, taken=0)),
        # Refunds take of the new valuation; what was lost before it was credited counts as voided.
        (20, 8, 3, 10, 0, Correction(voided=3, reversed=5, added=2, taken=0)),
        # Points that CLAMP never took are not given once more.
        (15, 0, 0, 10, 3, Correction(voided=0, reversed=0, added=2, taken=0)),
        (15, 0, 0, 10, 9, Correction(voided=0, reversed=0, added=0, taken=0)),
    ],
)
def test_a_valuation_corrects_credited_points(
    points: int, gone: int, voided_before: int, outstanding: int, forgotten: int, correction: Correction
) -> None:
    assert correct_credited(points, gone, voided_before, outstanding, forgotten) == correction


def line(points: int, expiry: ExpiryPolicy | None = None, **more: Any) -> EvaluationLine:
    """Return the line of a rule that gave points."""
    return EvaluationLine(None, "Ten", 1, Outcome.APPLIED, points, "Applied.", expiry=expiry, **more)


def test_the_gain_has_the_expiry_of_the_rules_that_give_more() -> None:
    before = split_by_expiry([line(10), line(5, MONTH), line(0)])
    after = split_by_expiry([line(4), line(8, MONTH), line(2, MONTH)])
    assert before == {None: 10, MONTH: 5}
    assert find_gain(before, after) == {MONTH: 5}
    assert find_gain(after, before) == {None: 6}
