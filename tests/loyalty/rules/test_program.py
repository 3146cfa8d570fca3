from dataclasses import replace
from typing import Any

import pytest

from loyalty.rules.earning import EarnScope, Stacking, WeekdayOf
from loyalty.rules.money import Money, PointValue
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.program import default_settings, validate_settings


def problems_with(**changes: Any) -> list[tuple[str, ...]]:
    settings = default_settings("EUR")
    changed = replace(settings, redemption=replace(settings.redemption, **changes))
    return [problem.path for problem in validate_settings(changed, "EUR")]


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
def test_a_new_tenant_starts_with_valid_settings(currency: str) -> None:
    """C-03, C-04, C-05, BK-72: rules add up, everything earns, the service's weekday, a point is one minor unit."""
    settings = default_settings(currency)
    assert (settings.stacking, settings.earn_scope) == (Stacking.SUM, EarnScope.ALL)
    assert settings.weekday_of is WeekdayOf.SERVICE_START
    assert settings.redemption.point_value == PointValue(1, Money(1, currency))
    assert not settings.redemption.enabled
    assert validate_settings(settings, currency) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"point_value": PointValue(100, Money(100, "EUR"))},
        {"max_discount_amount_minor": 1_000},
        {"max_discount_percent": 50},
        {"max_discount_percent": 100},
        {"min_balance": 500, "min_points_per_redemption": 100},
        {"min_balance": MAX_POINTS},
    ],
)
def test_takes_redemption_settings(changes: dict[str, Any]) -> None:
    """BK-72, BK-74, BK-75, C-14."""
    assert problems_with(**changes) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"point_value": PointValue(0, Money(1, "EUR"))}, "point_value.points"),
        ({"point_value": PointValue(1, Money(0, "EUR"))}, "point_value.money.amount"),
        ({"point_value": PointValue(1, Money(1, "USD"))}, "point_value.money.currency"),
        ({"max_discount_amount_minor": 0}, "max_discount.amount"),
        ({"max_discount_percent": 0}, "max_discount.percent"),
        ({"max_discount_percent": 101}, "max_discount.percent"),
        ({"max_discount_amount_minor": 1, "max_discount_percent": 1}, "max_discount"),
        ({"min_balance": -1}, "min_balance"),
        ({"min_points_per_redemption": -1}, "min_points_per_redemption"),
    ],
)
def test_refuses_redemption_settings_that_cannot_be(changes: dict[str, Any], path: str) -> None:
    """BK-74: one of the two caps at most."""
    assert problems_with(**changes) == [("redemption", *path.split("."))]
