from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.money import MAX_AMOUNT_MINOR, Money
from loyalty.rules.purchase import (
    PURCHASE_MAX_LINES,
    PurchaseLine,
    PurchaseStatus,
    StatusStep,
    next_generation,
    next_status,
    reactivates,
    validate_facts,
)
from tests.loyalty.rules.builders import NOW, facts, line

CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus
ADVANCE, SAME, STALE = StatusStep

# Row: current status. Columns: requested, in the order of PurchaseStatus.
STEPS = {
    CREATED: (SAME, ADVANCE, ADVANCE, ADVANCE, ADVANCE, ADVANCE, ADVANCE),
    CONFIRMED: (STALE, SAME, ADVANCE, ADVANCE, ADVANCE, ADVANCE, ADVANCE),
    PAID: (STALE, STALE, SAME, ADVANCE, ADVANCE, ADVANCE, ADVANCE),
    COMPLETED: (STALE, STALE, STALE, SAME, ADVANCE, ADVANCE, ADVANCE),
    CANCELLED: (ADVANCE, ADVANCE, ADVANCE, ADVANCE, SAME, ADVANCE, ADVANCE),
    NO_SHOW: (ADVANCE, ADVANCE, ADVANCE, ADVANCE, ADVANCE, SAME, ADVANCE),
    REFUNDED: (STALE, STALE, STALE, STALE, STALE, STALE, SAME),
}


@pytest.mark.parametrize("current", PurchaseStatus)
def test_status_only_moves_forward(current: PurchaseStatus) -> None:
    """PB-05, F-08: a status that arrives late or again never moves a purchase back."""
    assert tuple(next_status(current, requested) for requested in PurchaseStatus) == STEPS[current]


@pytest.mark.parametrize("current", PurchaseStatus)
def test_only_a_purchase_that_was_called_off_comes_back_to_life(current: PurchaseStatus) -> None:
    """F-09: CANCELLED or NO_SHOW followed by an active status opens a new generation."""
    expected = {CREATED, CONFIRMED, PAID, COMPLETED} if current in (CANCELLED, NO_SHOW) else set()
    assert {requested for requested in PurchaseStatus if reactivates(current, requested)} == expected


def test_a_line_costs_its_quantity_less_its_discount() -> None:
    assert PurchaseLine("shampoo", None, 3, 1_000, discount_minor=500, tax_minor=399).amount_minor == 2_500


def test_takes_complete_facts() -> None:
    purchase = facts(
        4_000,
        PurchaseLine("cut", "hair", 1, 5_000, 1_000, 639),
        location="mitte",
        staff="anna",
        customer_category="vip",
    )
    assert validate_facts(purchase) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"external_id": ""}, ("external_id",)),
        ({"total": Money(-1, "EUR")}, ("total", "amount")),
        ({"total": Money(MAX_AMOUNT_MINOR + 1, "EUR")}, ("total", "amount")),
        ({"total": Money(1, "XXX")}, ("total", "currency")),
        ({"location": "a\nb"}, ("location",)),
        ({"staff": " "}, ("staff",)),
        ({"customer_category": "x" * 256}, ("customer_category",)),
        ({"booked_at": datetime(2025, 1, 1)}, ("booked_at",)),  # noqa: DTZ001
        ({"starts_at": datetime(2025, 1, 1)}, ("starts_at",)),  # noqa: DTZ001
        ({"ends_at": NOW - timedelta(seconds=1)}, ("ends_at",)),
        ({"lines": (line(),) * (PURCHASE_MAX_LINES + 1)}, ("lines",)),
        ({"lines": (line(item=""),)}, ("lines", "0", "item")),
        ({"lines": (line(), line(category="\0"))}, ("lines", "1", "category")),
        ({"lines": (line(quantity=0),)}, ("lines", "0", "quantity")),
        ({"lines": (line(quantity=1_000_001),)}, ("lines", "0", "quantity")),
        ({"lines": (line(price=-1),)}, ("lines", "0", "unit_price")),
        ({"lines": (line(quantity=2, price=MAX_AMOUNT_MINOR),)}, ("lines", "0", "unit_price")),
        ({"lines": (PurchaseLine("a", None, 1, 100, discount_minor=101),)}, ("lines", "0", "discount")),
        ({"lines": (PurchaseLine("a", None, 1, 100, discount_minor=-1),)}, ("lines", "0", "discount")),
        ({"lines": (PurchaseLine("a", None, 1, 100, 50, tax_minor=51),)}, ("lines", "0", "tax")),
    ],
)
def test_refuses_facts_that_cannot_be(changes: dict[str, Any], path: tuple[str, ...]) -> None:
    problems = validate_facts(replace(facts(), **changes))
    assert path in [problem.path for problem in problems]


def test_lists_all_problems_at_once() -> None:
    purchase = facts(-1, line(quantity=0), external_id="", staff="")
    paths = [problem.path for problem in validate_facts(purchase)]
    assert paths == [("external_id",), ("total", "amount"), ("lines", "0", "quantity"), ("staff",)]


@pytest.mark.parametrize(
    ("known", "requested", "lost_points", "generation"),
    [
        (None, PurchaseStatus.CREATED, False, 1),
        (None, PurchaseStatus.CANCELLED, False, 0),
        ((0, PurchaseStatus.CANCELLED), PurchaseStatus.CANCELLED, False, 0),
        ((0, PurchaseStatus.CANCELLED), PurchaseStatus.PAID, False, 1),
        ((1, PurchaseStatus.PAID), PurchaseStatus.COMPLETED, False, 1),
        ((1, PurchaseStatus.PAID), PurchaseStatus.CANCELLED, False, 1),
        ((1, PurchaseStatus.CANCELLED), PurchaseStatus.PAID, True, 2),
        # Its points were not taken, so there is nothing to earn again.
        ((1, PurchaseStatus.CANCELLED), PurchaseStatus.PAID, False, 1),
        ((2, PurchaseStatus.CANCELLED), PurchaseStatus.REFUNDED, True, 2),
    ],
)
def test_a_purchase_that_lost_its_points_earns_anew(
    known: tuple[int, PurchaseStatus] | None, requested: PurchaseStatus, *, lost_points: bool, generation: int
) -> None:
    """C-20."""
    assert next_generation(known, requested, lost_points=lost_points) == generation
