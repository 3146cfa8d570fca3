from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.earning import (
    Award,
    Conditions,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    PerUnitAward,
    Ratio,
    Weekday,
    validate_rule,
)
from loyalty.rules.money import MAX_AMOUNT_MINOR
from loyalty.rules.points import MAX_POINTS
from tests.loyalty.rules.builders import NOW, rule


@pytest.mark.parametrize(
    "award",
    [
        FixedAward(1),
        FixedAward(MAX_POINTS),
        PerAmountAward(1, 100),
        PerUnitAward(5),
        MultiplierAward(Ratio(3, 2)),
        MultiplierAward(Ratio(10_001, 10_000)),
        MultiplierAward(Ratio(100, 1)),
    ],
)
def test_takes_every_kind_of_award(award: Award) -> None:
    """BK-12, C-02."""
    assert validate_rule(rule(1, award)) == []


@pytest.mark.parametrize(
    ("award", "path"),
    [
        pytest.param(FixedAward(0), "award.fixed.points", id="BK-12 zero"),
        pytest.param(FixedAward(-5), "award.fixed.points", id="BK-12 negative"),
        pytest.param(FixedAward(MAX_POINTS + 1), "award.fixed.points", id="BK-12 too many"),
        pytest.param(PerAmountAward(0, 100), "award.per_amount.points", id="BK-12 per amount"),
        pytest.param(PerAmountAward(1, 0), "award.per_amount.per", id="per nothing"),
        pytest.param(PerAmountAward(1, -100), "award.per_amount.per", id="per less than nothing"),
        pytest.param(PerUnitAward(0), "award.per_unit.points", id="BK-12 per unit"),
        pytest.param(MultiplierAward(Ratio(1, 1)), "award.multiplier.factor", id="factor of 1"),
        pytest.param(MultiplierAward(Ratio(1, 2)), "award.multiplier.factor", id="factor below 1"),
        pytest.param(MultiplierAward(Ratio(1_000_001, 10_000)), "award.multiplier.factor", id="factor above 100"),
        pytest.param(MultiplierAward(Ratio(4, 3)), "award.multiplier.factor", id="factor without end"),
        pytest.param(MultiplierAward(Ratio(100_001, 100_000)), "award.multiplier.factor", id="5 decimals"),
    ],
)
def test_refuses_awards_that_cannot_be(award: Award, path: str) -> None:
    """BK-12: with the path of the field."""
    assert [problem.path for problem in validate_rule(rule(1, award))] == [tuple(path.split("."))]


@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(),
        Conditions(services=frozenset(str(number) for number in range(200))),
        Conditions(weekdays=frozenset(Weekday)),
        Conditions(total_greater_than_minor=0),
        Conditions(total_greater_than_minor=100, total_less_than_minor=101),
        Conditions(services=frozenset({"a"}), except_services=frozenset({"b"})),
        Conditions(except_weekdays=frozenset(Weekday) - {Weekday.MON}),
    ],
)
def test_takes_conditions(conditions: Conditions) -> None:
    """BK-13..BK-19, BK-21."""
    assert validate_rule(rule(1, conditions=conditions)) == []


@pytest.mark.parametrize(
    ("conditions", "path"),
    [
        (Conditions(services=frozenset(str(number) for number in range(201))), "services"),
        (Conditions(service_categories=frozenset({""})), "service_categories"),
        (Conditions(customer_categories=frozenset({"a\0"})), "customer_categories"),
        (Conditions(locations=frozenset({"\ud800"})), "locations"),
        (Conditions(staff=frozenset({"x" * 256})), "staff"),
        (Conditions(except_services=frozenset(str(number) for number in range(201))), "except_services"),
        (Conditions(except_staff=frozenset({""})), "except_staff"),
        (Conditions(locations=frozenset({"a"}), except_locations=frozenset({"a", "b"})), "except_locations"),
        (Conditions(weekdays=frozenset({Weekday.MON}), except_weekdays=frozenset({Weekday.MON})), "except_weekdays"),
        (Conditions(except_weekdays=frozenset(Weekday)), "except_weekdays"),
        (Conditions(total_greater_than_minor=-1), "total_greater_than"),
        (Conditions(total_less_than_minor=MAX_AMOUNT_MINOR + 1), "total_less_than"),
        (Conditions(total_greater_than_minor=100, total_less_than_minor=100), "total_less_than"),
        (Conditions(total_greater_than_minor=101, total_less_than_minor=100), "total_less_than"),
    ],
)
def test_refuses_conditions_that_cannot_be(conditions: Conditions, path: str) -> None:
    assert [problem.path for problem in validate_rule(rule(1, conditions=conditions))] == [("conditions", path)]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        pytest.param({"name": ""}, "name", id="BK-11 no name"),
        pytest.param({"name": " "}, "name", id="BK-11 blank"),
        pytest.param({"name": "x" * 121}, "name", id="BK-11 too long"),
        pytest.param({"priority": -1}, "priority", id="priority below 0"),
        pytest.param({"priority": 1_000_001}, "priority", id="priority too high"),
        pytest.param({"starts_at": NOW, "ends_at": NOW}, "ends_at", id="empty window"),
        pytest.param({"starts_at": NOW, "ends_at": NOW - timedelta(days=1)}, "ends_at", id="window backwards"),
        pytest.param({"starts_at": datetime(2025, 1, 1)}, "starts_at", id="naive start"),  # noqa: DTZ001
        pytest.param({"ends_at": datetime(2025, 1, 1)}, "ends_at", id="naive end"),  # noqa: DTZ001
    ],
)
def test_refuses_rules_that_cannot_be(changes: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in validate_rule(replace(rule(1), **changes))] == [(path,)]


def test_takes_a_window_that_is_open_on_either_side() -> None:
    assert validate_rule(rule(1, starts_at=NOW)) == []
    assert validate_rule(rule(1, ends_at=NOW)) == []
    assert validate_rule(rule(1, starts_at=NOW, ends_at=NOW + timedelta(microseconds=1))) == []


def test_lists_every_problem_in_the_order_of_the_fields() -> None:
    wrong = rule(1, FixedAward(0), Conditions(staff=frozenset({""})), name="", ends_at=NOW, starts_at=NOW)
    paths = [problem.path[0] for problem in validate_rule(wrong)]
    assert paths == ["name", "award", "conditions", "ends_at"]
