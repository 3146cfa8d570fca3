from dataclasses import replace

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualPolicy, EvaluateOn, MatureOn
from loyalty.rules.earning import EarnScope, Stacking, WeekdayOf
from loyalty.rules.money import Money, PointValue, value_of
from loyalty.rules.presets import Preset, apply_preset
from loyalty.rules.program import ProgramSettings, default_settings, validate_settings
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import DiscountMethod

CURRENCIES = ("EUR", "JPY", "KWD", "CLF")
"""Two digits, none, three, four."""


def unusual(currency: str = "EUR") -> ProgramSettings:
    """Return settings that differ from every default."""
    settings = default_settings(currency)
    return replace(
        settings,
        enabled=False,
        stacking=Stacking.BEST,
        earn_scope=EarnScope.OPT_IN,
        weekday_of=WeekdayOf.BOOKED_AT,
        redemption=replace(
            settings.redemption,
            enabled=True,
            point_value=PointValue(7, Money(13, currency)),
            method=DiscountMethod.AUTOMATIC,
            max_discount_percent=50,
            min_balance=100,
            min_points_per_redemption=10,
        ),
        accrual=AccrualPolicy(
            EvaluateOn.PURCHASE_PAID,
            MatureOn.PURCHASE_COMPLETED,
            delay_minutes=5,
            slack_minutes=6,
            forfeit_on=frozenset({PurchaseStatus.NO_SHOW}),
            debt=Overdraft.REJECT,
        ),
    )


def test_booknetic_gives_points_at_the_booking() -> None:
    """C-01, BK-26: spendable at once, all rules add up, a point is a cent."""
    settings = apply_preset(unusual(), Preset.BOOKNETIC, "EUR")
    assert settings.accrual == AccrualPolicy(EvaluateOn.PURCHASE_CREATED, MatureOn.EVALUATION, delay_minutes=0)
    assert (settings.earn_scope, settings.stacking) == (EarnScope.ALL, Stacking.SUM)
    assert settings.redemption.point_value == PointValue(1, Money(1, "EUR"))


def test_simplybook_gives_points_for_enrolled_items_three_hours_after_the_end() -> None:
    """C-01, SB-04, SB-13: the alarm is an hour later, points are worth what they were."""
    settings = apply_preset(unusual(), Preset.SIMPLYBOOK, "EUR")
    assert settings.accrual == AccrualPolicy(
        EvaluateOn.PURCHASE_CREATED, MatureOn.SERVICE_ENDED, delay_minutes=180, slack_minutes=60
    )
    assert (settings.earn_scope, settings.stacking) == (EarnScope.OPT_IN, Stacking.SUM)
    assert settings.redemption.point_value == unusual().redemption.point_value


def test_a_shop_gives_points_when_the_order_is_completed() -> None:
    """C-01, PB-05: a hundred points are one euro."""
    settings = apply_preset(unusual(), Preset.SHOP, "EUR")
    assert settings.accrual == AccrualPolicy(EvaluateOn.PURCHASE_COMPLETED, MatureOn.EVALUATION, delay_minutes=0)
    assert (settings.earn_scope, settings.stacking) == (EarnScope.ALL, Stacking.SUM)
    assert settings.redemption.point_value == PointValue(100, Money(100, "EUR"))


@pytest.mark.parametrize("preset", Preset)
@pytest.mark.parametrize("currency", CURRENCIES)
def test_a_preset_is_valid_in_every_currency_and_leaves_the_rest_alone(preset: Preset, currency: str) -> None:
    before = unusual(currency)
    after = apply_preset(before, preset, currency)
    assert validate_settings(after, currency) == []
    assert after.accrual.forfeit_on == {PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW, PurchaseStatus.REFUNDED}
    assert (
        replace(
            after,
            stacking=before.stacking,
            earn_scope=before.earn_scope,
            accrual=before.accrual,
            redemption=replace(after.redemption, point_value=before.redemption.point_value),
        )
        == before
    )
    assert apply_preset(after, preset, currency) == after


@pytest.mark.parametrize("preset", [Preset.BOOKNETIC, Preset.SHOP])
@pytest.mark.parametrize(("currency", "unit"), [("EUR", 100), ("JPY", 1), ("KWD", 1_000), ("CLF", 10_000)], ids=str)
def test_a_hundred_points_are_one_unit_of_any_currency(preset: Preset, currency: str, unit: int) -> None:
    """The same in yen, which have no hundredth, and in dinars, which have a thousand parts."""
    value = apply_preset(default_settings(currency), preset, currency).redemption.point_value
    assert value_of(100, value) == Money(unit, currency)
    assert value_of(99, value).amount_minor < unit
