"""The settings of a loyalty program, and their validation."""

from dataclasses import dataclass

from loyalty.rules.accrual import DEFAULT_ACCRUAL, AccrualPolicy, validate_accrual_policy
from loyalty.rules.basis import DEFAULT_BASIS, BasisPolicy
from loyalty.rules.earning_rule import EarnScope, Stacking, WeekdayOf
from loyalty.rules.errors import Problem
from loyalty.rules.expiry import DEFAULT_NOTICE_DAYS, NEVER, ExpiryPolicy, validate_expiry, validate_notices
from loyalty.rules.gift_card_sheet import DEFAULT_CARD_COLOR, check_card_color
from loyalty.rules.money import Money, PointValue
from loyalty.rules.redemption import RedemptionPolicy, validate_redemption
from loyalty.rules.tiers import DEFAULT_TIERING, TierPolicy, validate_tiering


@dataclass(frozen=True, slots=True)
class ProgramSettings:
    """All settings of a tenant's program. If it is not `enabled`, nothing is earned, redeemed or shown.

    `gift_card_color` is the colour of printed gift cards, #RRGGBB in capitals.
    """

    enabled: bool
    stacking: Stacking
    earn_scope: EarnScope
    weekday_of: WeekdayOf
    redemption: RedemptionPolicy
    accrual: AccrualPolicy = DEFAULT_ACCRUAL
    basis: BasisPolicy = DEFAULT_BASIS
    expiry: ExpiryPolicy = NEVER
    notice_days: tuple[int, ...] = DEFAULT_NOTICE_DAYS
    tiering: TierPolicy = DEFAULT_TIERING
    gift_card_color: str = DEFAULT_CARD_COLOR


def default_settings(currency: str) -> ProgramSettings:
    """Return the settings of a new tenant: rules add up, all items earn, redemption off, a point is one minor unit."""
    redemption = RedemptionPolicy(enabled=False, point_value=PointValue(1, Money(1, currency)))
    return ProgramSettings(
        enabled=True,
        stacking=Stacking.SUM,
        earn_scope=EarnScope.ALL,
        weekday_of=WeekdayOf.SERVICE_START,
        redemption=redemption,
    )


def validate_settings(settings: ProgramSettings, currency: str) -> list[Problem]:
    """Return everything wrong with a program's settings; amounts must be in the tenant's currency."""
    problems = [
        check_card_color(settings.gift_card_color),
        *validate_accrual_policy(settings.accrual),
        *validate_redemption(settings.redemption, currency),
        *validate_expiry(settings.expiry),
        *validate_notices(settings.notice_days),
        *validate_tiering(settings.tiering),
    ]
    return [problem for problem in problems if problem is not None]
