"""When a purchase is evaluated, when its points mature, and what takes them away."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import (
    DEFAULT_ACCRUAL,
    FORFEITABLE,
    MAX_DELAY_MINUTES,
    AccrualPolicy,
    EvaluateOn,
    MatureOn,
    choose_sweep_time,
    evaluates_at,
    forfeits,
    is_evaluated_at,
    matures_at,
    validate_accrual_policy,
)
from loyalty.rules.purchase import PurchaseFacts, PurchaseStatus
from tests.loyalty.rules.builders import NOW, facts

CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus
BERLIN = ZoneInfo("Europe/Berlin")
THREE_HOURS = timedelta(hours=3)

EVALUATED = {
    EvaluateOn.PURCHASE_CREATED: {CREATED, CONFIRMED, PAID, COMPLETED},
    EvaluateOn.PURCHASE_CONFIRMED: {CONFIRMED, PAID, COMPLETED},
    EvaluateOn.PURCHASE_PAID: {PAID, COMPLETED},
    # The service has ended, as far as the facts of these tests tell.
    EvaluateOn.SERVICE_ENDED: {CREATED, CONFIRMED, PAID, COMPLETED},
    EvaluateOn.PURCHASE_COMPLETED: {COMPLETED},
}

MATURING = {
    MatureOn.EVALUATION: set(PurchaseStatus),
    MatureOn.SERVICE_ENDED: set(PurchaseStatus),
    MatureOn.PURCHASE_PAID: {PAID, COMPLETED},
    MatureOn.PURCHASE_COMPLETED: {COMPLETED},
    MatureOn.MANUAL: set(),
}


def after_service(**changes: Any) -> AccrualPolicy:
    """Return three hours after the end of the service."""
    return replace(AccrualPolicy(mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180), **changes)


@pytest.mark.parametrize("evaluate_on", EvaluateOn)
def test_is_evaluated_at_its_status_and_at_every_later_one(evaluate_on: EvaluateOn) -> None:
    """C-01: steps may be skipped; what was called off is never evaluated."""
    policy = AccrualPolicy(evaluate_on=evaluate_on)
    assert {status for status in PurchaseStatus if is_evaluated_at(policy, facts(), status, NOW)} == EVALUATED[
        evaluate_on
    ]


@pytest.mark.parametrize("mature_on", MatureOn)
def test_waits_for_its_status_without_a_date(mature_on: MatureOn) -> None:
    """C-01: as long as the status has not come, nobody knows when the points will."""
    policy = AccrualPolicy(mature_on=mature_on, delay_minutes=60)
    dated = {status for status in PurchaseStatus if matures_at(policy, facts(), status, NOW) is not None}
    assert dated == MATURING[mature_on]


@pytest.mark.parametrize("mature_on", [MatureOn.EVALUATION, MatureOn.PURCHASE_PAID, MatureOn.PURCHASE_COMPLETED])
@pytest.mark.parametrize("minutes", [0, 1, 14 * 24 * 60])
def test_the_delay_runs_from_the_moment_it_is_told(mature_on: MatureOn, minutes: int) -> None:
    """F-40: P14D after it was paid, whatever the appointment's own times are."""
    policy = AccrualPolicy(mature_on=mature_on, delay_minutes=minutes)
    purchase = facts(ends_at=NOW + timedelta(days=3))
    assert matures_at(policy, purchase, COMPLETED, NOW) == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("purchase", "ended_at"),
    [
        pytest.param(facts(ends_at=NOW + timedelta(hours=1)), NOW + timedelta(hours=1), id="its end"),
        pytest.param(facts(ends_at=NOW - timedelta(days=9)), NOW - timedelta(days=9), id="an end in the past"),
        pytest.param(facts(starts_at=NOW + timedelta(hours=5), ends_at=None), NOW + timedelta(hours=5), id="its start"),
    ],
)
@pytest.mark.parametrize("status", [CREATED, PAID, COMPLETED])
def test_after_the_service_is_after_its_end(
    purchase: PurchaseFacts, ended_at: datetime, status: PurchaseStatus
) -> None:
    """SB-04, C-29: the end counts, not the start, and the status does not matter."""
    assert matures_at(after_service(), purchase, status, NOW) == ended_at + THREE_HOURS


def test_an_end_that_nobody_told_is_not_now() -> None:
    """SB-04: it is unknown until the purchase is completed, and then the service has ended."""
    purchase = facts(starts_at=None, ends_at=None)
    told = [matures_at(after_service(), purchase, status, NOW) for status in (CREATED, CONFIRMED, PAID, COMPLETED)]
    assert told == [None, None, None, NOW + THREE_HOURS]


@pytest.mark.parametrize(
    ("ends", "matures"),
    [
        pytest.param("2026-03-29T01:30+01:00", "2026-03-29T05:30+02:00", id="the night that has no 02:30"),
        pytest.param("2026-10-25T01:30+02:00", "2026-10-25T03:30+01:00", id="the night that has 02:30 twice"),
        pytest.param("2026-10-25T02:30+02:00", "2026-10-25T04:30+01:00", id="the first 02:30"),
        pytest.param("2026-10-25T02:30+01:00", "2026-10-25T05:30+01:00", id="the second 02:30"),
    ],
)
def test_three_hours_are_three_hours_when_the_clocks_change(ends: str, matures: str) -> None:
    """SB-04: elapsed time, not the hands of a clock."""
    purchase = facts(starts_at=None, ends_at=datetime.fromisoformat(ends).astimezone(UTC))
    due_at = matures_at(after_service(), purchase, CREATED, NOW)
    assert due_at is not None
    assert due_at.astimezone(BERLIN).isoformat(timespec="minutes") == matures


@given(
    st.timedeltas(timedelta(days=-4000), timedelta(days=4000)).map(lambda away: NOW + away),
    st.integers(0, MAX_DELAY_MINUTES),
    st.sampled_from(PurchaseStatus),
)
def test_never_matures_before_the_end_of_the_service(ends_at: datetime, minutes: int, status: PurchaseStatus) -> None:
    """SB-04: to the second, on every day of the year."""
    due_at = matures_at(after_service(delay_minutes=minutes), facts(starts_at=None, ends_at=ends_at), status, NOW)
    assert due_at is not None
    assert (due_at - ends_at).total_seconds() == minutes * 60


def test_a_service_is_evaluated_when_it_has_ended_and_not_before() -> None:
    """C-01, C-29: at its end, else at its start; without any time only its completion says so."""
    policy = AccrualPolicy(evaluate_on=EvaluateOn.SERVICE_ENDED)
    end, moment = NOW + THREE_HOURS, timedelta(microseconds=1)
    lasting = facts(starts_at=NOW, ends_at=end)
    assert [is_evaluated_at(policy, lasting, PAID, at) for at in (end - moment, end)] == [False, True]
    assert is_evaluated_at(policy, lasting, COMPLETED, NOW)
    assert not is_evaluated_at(policy, lasting, CANCELLED, end)
    assert evaluates_at(policy, lasting, PAID) == end
    assert evaluates_at(policy, facts(starts_at=NOW, ends_at=None), PAID) == NOW
    assert evaluates_at(policy, lasting, CANCELLED) is None
    timeless = facts(starts_at=None, ends_at=None)
    assert not is_evaluated_at(policy, timeless, PAID, NOW)
    assert evaluates_at(policy, timeless, PAID) is None
    assert evaluates_at(DEFAULT_ACCRUAL, lasting, PAID) is None


@given(
    st.sampled_from(PurchaseStatus),
    st.sampled_from(EvaluateOn),
    st.sampled_from([it for it in MatureOn if it is not MatureOn.MANUAL]),
)
def test_a_completed_purchase_is_evaluated_and_its_points_have_a_date(
    status: PurchaseStatus, evaluate_on: EvaluateOn, mature_on: MatureOn
) -> None:
    """C-01: no combination of settings but MANUAL keeps points back for ever once the purchase is completed."""
    policy = AccrualPolicy(evaluate_on=evaluate_on, mature_on=mature_on)
    assert is_evaluated_at(policy, facts(), COMPLETED, NOW)
    assert matures_at(policy, facts(), COMPLETED, NOW) is not None
    if status in FORFEITABLE:
        assert not is_evaluated_at(policy, facts(), status, NOW)


@pytest.mark.parametrize(
    "forfeit_on", [frozenset(), frozenset({CANCELLED}), frozenset({NO_SHOW, REFUNDED}), FORFEITABLE], ids=len
)
def test_takes_points_away_at_the_statuses_it_names(forfeit_on: frozenset[PurchaseStatus]) -> None:
    """C-20."""
    policy = AccrualPolicy(forfeit_on=forfeit_on)
    assert {status for status in PurchaseStatus if forfeits(policy, status)} == forfeit_on


def test_by_default_points_come_at_the_booking_and_go_with_it() -> None:
    """C-01, C-20: what Booknetic does, but a cancelled booking gives nothing."""
    assert is_evaluated_at(DEFAULT_ACCRUAL, facts(), CREATED, NOW)
    assert matures_at(DEFAULT_ACCRUAL, facts(), CREATED, NOW) == NOW
    assert {status for status in PurchaseStatus if forfeits(DEFAULT_ACCRUAL, status)} == {CANCELLED, NO_SHOW, REFUNDED}
    assert DEFAULT_ACCRUAL.debt is Overdraft.ALLOW_NEGATIVE
    assert validate_accrual_policy(DEFAULT_ACCRUAL) == []


@pytest.mark.parametrize("minutes", [0, 1, MAX_DELAY_MINUTES])
def test_takes_delays_of_up_to_366_days(minutes: int) -> None:
    assert validate_accrual_policy(AccrualPolicy(delay_minutes=minutes, slack_minutes=minutes)) == []


@pytest.mark.parametrize("minutes", [-1, MAX_DELAY_MINUTES + 1])
def test_lists_every_delay_and_status_that_cannot_be(minutes: int) -> None:
    bad = AccrualPolicy(
        delay_minutes=minutes, slack_minutes=minutes, forfeit_on=frozenset({CANCELLED, PAID, COMPLETED})
    )
    problems = validate_accrual_policy(bad)
    assert [problem.path for problem in problems] == [
        ("accrual", "mature_delay"),
        ("accrual", "mature_slack"),
        ("accrual", "forfeit_on"),
    ]
    assert "P366D" in problems[0].reason
    assert problems[2].reason.endswith("not COMPLETED, PAID")


@pytest.mark.parametrize(
    ("policy", "status", "ends_in", "is_evaluated", "waits"),
    [
        (EvaluateOn.SERVICE_ENDED, PAID, timedelta(microseconds=1), False, True),
        # The end has come: the report itself evaluates.
        (EvaluateOn.SERVICE_ENDED, PAID, timedelta(0), False, False),
        (EvaluateOn.SERVICE_ENDED, COMPLETED, timedelta(hours=1), False, False),
        (EvaluateOn.SERVICE_ENDED, PAID, timedelta(hours=1), True, False),
        # Called off, or waiting for a status: no time alone evaluates it.
        (EvaluateOn.SERVICE_ENDED, CANCELLED, timedelta(hours=1), False, False),
        (EvaluateOn.PURCHASE_PAID, CREATED, timedelta(hours=1), False, False),
    ],
)
def test_the_sweep_evaluates_only_what_waits_for_the_end_of_its_service(
    *, policy: EvaluateOn, status: PurchaseStatus, ends_in: timedelta, is_evaluated: bool, waits: bool
) -> None:
    told = facts(starts_at=NOW - timedelta(hours=1), ends_at=NOW + ends_in)
    at = choose_sweep_time(AccrualPolicy(evaluate_on=policy), told, status, NOW, is_evaluated=is_evaluated)
    assert at == (told.ends_at if waits else None)
