from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from loyalty.rules.absent import ABSENT, Given
from loyalty.rules.accrual import AccrualPolicy, AccrualState, EvaluateOn
from loyalty.rules.booking_steps import (
    VALUED_FACTS,
    AccrualTask,
    ToldCategory,
    choose_generation,
    choose_path_above_total,
    choose_task,
    choose_told_lines,
    follow_categories,
    is_valued_anew,
    moves_end,
)
from loyalty.rules.ids import CustomerId
from loyalty.rules.money import Money
from loyalty.rules.purchase import ENDED, PurchaseFacts, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_report import TOLD_FIELDS

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ANNA, BEN = (CustomerId(UUID(int=number)) for number in (1, 2))
CONFIRMED, PAID, COMPLETED = PurchaseStatus.CONFIRMED, PurchaseStatus.PAID, PurchaseStatus.COMPLETED
CANCELLED = PurchaseStatus.CANCELLED
ON_PAYMENT, ON_END = AccrualPolicy(EvaluateOn.PURCHASE_PAID), AccrualPolicy(EvaluateOn.SERVICE_ENDED)
FACTS = PurchaseFacts(PurchaseKind.APPOINTMENT, "a-1", Money(1_000, "EUR"), ends_at=NOON)
CUT, COLOUR = (PurchaseLine(name, None, 1, 500) for name in ("cut", "colour"))


def test_an_item_is_judged_by_what_was_told_until_it_and_not_by_what_comes_later() -> None:
    items = [
        ToldCategory(ANNA, None, "regular"),
        ToldCategory(BEN, "staff", None),
        ToldCategory(ANNA, "vip", "regular"),
        ToldCategory(ANNA, None, "regular"),
        ToldCategory(BEN, None, None),
        ToldCategory(ANNA, "", "regular"),
    ]
    assert follow_categories(items) == ["regular", "staff", "vip", "vip", "staff", ""]


@pytest.mark.parametrize(
    ("known", "requested", "earned", "changes_hands", "generation"),
    [
        (None, PAID, None, False, 1),
        (None, CANCELLED, None, False, 0),
        ((1, PAID), COMPLETED, AccrualState.AVAILABLE, False, 1),
        # It comes back after its points were taken: it earns again.
        *(((1, CANCELLED), PAID, state, False, 2) for state in (AccrualState.VOIDED, AccrualState.REVERSED)),
        ((1, CANCELLED), PAID, AccrualState.AVAILABLE, False, 1),
        ((1, CANCELLED), PAID, None, False, 1),
        # It comes back as a purchase of another customer, whatever it earned.
        ((1, CANCELLED), PAID, None, True, 2),
        ((1, CANCELLED), PAID, AccrualState.VOIDED, True, 2),
        # It stays called off.
        ((1, CANCELLED), CANCELLED, AccrualState.VOIDED, True, 1),
    ],
)
def test_a_purchase_that_comes_back_begins_a_new_life(
    known: tuple[int, PurchaseStatus] | None,
    requested: PurchaseStatus,
    earned: AccrualState | None,
    *,
    changes_hands: bool,
    generation: int,
) -> None:
    assert choose_generation(known, requested, earned, changes_hands=changes_hands) == generation


@pytest.mark.parametrize(
    ("policy", "status", "generation", "now", "is_evaluated", "task"),
    [
        (ON_PAYMENT, CONFIRMED, 1, NOON, False, AccrualTask.NOTHING),
        (ON_PAYMENT, PAID, 1, NOON, False, AccrualTask.EVALUATE),
        (ON_PAYMENT, PAID, 1, NOON, True, AccrualTask.FOLLOW),
        (ON_PAYMENT, CANCELLED, 1, NOON, True, AccrualTask.FOLLOW),
        (ON_PAYMENT, CANCELLED, 1, NOON, False, AccrualTask.NOTHING),
        # Nobody had heard of it when it was called off.
        (ON_PAYMENT, PAID, 0, NOON, False, AccrualTask.NOTHING),
        (ON_END, PAID, 1, NOON - timedelta(microseconds=1), False, AccrualTask.NOTHING),
        (ON_END, PAID, 1, NOON, False, AccrualTask.EVALUATE),
    ],
)
def test_a_purchase_is_evaluated_once_and_then_followed(
    policy: AccrualPolicy,
    status: PurchaseStatus,
    generation: int,
    now: datetime,
    *,
    is_evaluated: bool,
    task: AccrualTask,
) -> None:
    assert choose_task(policy, FACTS, status, generation, now, is_evaluated=is_evaluated) is task


@pytest.mark.parametrize(
    ("changed", "before", "status", "is_paid", "expected"),
    [
        *(([name], PAID, PAID, False, True) for name in sorted(VALUED_FACTS)),
        *(([name], PAID, PAID, False, False) for name in sorted(set(TOLD_FIELDS) - VALUED_FACTS)),
        ([], PAID, COMPLETED, False, False),
        ([], PAID, COMPLETED, True, True),
        ([], CANCELLED, PAID, False, True),
        # Nothing of a purchase that is over is valued again.
        *((["total"], PAID, status, True, False) for status in sorted(ENDED)),
    ],
)
def test_a_report_values_a_purchase_anew_where_it_changes_what_rules_look_at(
    changed: list[str], before: PurchaseStatus, status: PurchaseStatus, *, is_paid: bool, expected: bool
) -> None:
    assert is_valued_anew(changed, before, status, can_be_valued=True, is_paid=is_paid) is expected
    assert not is_valued_anew(changed, before, status, can_be_valued=False, is_paid=is_paid)


@pytest.mark.parametrize(
    ("changed", "told", "lines"),
    [
        # As they were sent, in the order in which they were sent.
        (["lines"], (COLOUR, CUT), (COLOUR, CUT)),
        (["lines"], None, ()),
        # They were taken over from what is known.
        (["lines"], ABSENT, (CUT, COLOUR)),
        # A newer report has told others.
        (["total"], (COLOUR,), (CUT, COLOUR)),
        ([], ABSENT, (CUT, COLOUR)),
    ],
)
def test_a_report_is_kept_with_the_lines_that_it_told(
    changed: list[str], told: Given[tuple[PurchaseLine, ...] | None], lines: tuple[PurchaseLine, ...]
) -> None:
    assert choose_told_lines(changed, told, (CUT, COLOUR)) == lines


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        (["total", "payments"], ("payments",)),
        (["payments"], ("payments",)),
        (["total", "lines"], ("total",)),
        (["lines", "starts_at"], None),
        ([], None),
    ],
)
def test_payments_above_the_total_are_refused_by_the_field_that_was_told(
    changed: list[str], path: tuple[str, ...] | None
) -> None:
    assert choose_path_above_total(changed) == path


@pytest.mark.parametrize(
    ("changed", "moves"), [(["starts_at"], True), (["ends_at"], True), (["booked_at", "total"], False), ([], False)]
)
def test_a_report_moves_the_end_where_it_tells_another_start_or_end(changed: list[str], *, moves: bool) -> None:
    assert moves_end(changed) is moves
