"""Presets: settings that make the program work like other well-known systems."""

from dataclasses import replace

from loyalty.rules.accrual import AccrualPolicy, EvaluateOn, MatureOn
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.earning_rule import Award, EarnScope, PerAmountAward, PerUnitAward, Stacking
from loyalty.rules.money import Money, PointValue, minor_digits
from loyalty.rules.program import ProgramSettings

THREE_HOURS = 3 * 60
ONE_HOUR = 60
HUNDRED = 100


class Preset(DescribedEnum):
    """Named settings that make the program work like a well-known loyalty system."""

    BOOKNETIC = (
        "BOOKNETIC",
        ("Points at the booking, spendable at once; one point is a hundredth of the currency's unit."),
    )
    SIMPLYBOOK = "SIMPLYBOOK", "Points per enrolled item, spendable three hours after the end of the appointment."
    SHOP = "SHOP", "Points when the order is completed; a hundred points are one unit of the currency."


def apply_preset(settings: ProgramSettings, preset: Preset, currency: str) -> ProgramSettings:
    """Return the settings with the accrual, scope, stacking and point value of a preset. Other settings stay."""
    unit = 10 ** minor_digits(currency)
    hundred_each = PointValue(HUNDRED, Money(unit, currency))
    # If a currency has no decimals, a hundredth of its unit is no amount. Then 100 points are worth one unit.
    one_each = PointValue(1, Money(unit // HUNDRED, currency)) if unit >= HUNDRED else hundred_each
    accrual, scope, point_value = {
        Preset.BOOKNETIC: (AccrualPolicy(), EarnScope.ALL, one_each),
        Preset.SIMPLYBOOK: (
            AccrualPolicy(mature_on=MatureOn.SERVICE_ENDED, delay_minutes=THREE_HOURS, slack_minutes=ONE_HOUR),
            EarnScope.OPT_IN,
            settings.redemption.point_value,
        ),
        Preset.SHOP: (
            AccrualPolicy(evaluate_on=EvaluateOn.PURCHASE_COMPLETED),
            EarnScope.ALL,
            hundred_each,
        ),
    }[preset]
    return replace(
        settings,
        stacking=Stacking.SUM,
        earn_scope=scope,
        accrual=accrual,
        redemption=replace(settings.redemption, point_value=point_value),
    )


def preset_award(preset: Preset, currency: str) -> Award:
    """Return the award of the rule of a preset: a point per enrolled item, or a point per unit of the currency."""
    if preset is Preset.SIMPLYBOOK:
        return PerUnitAward(1)
    return PerAmountAward(1, 10 ** minor_digits(currency))
