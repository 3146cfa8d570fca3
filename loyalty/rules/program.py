"""The settings of a loyalty program, and what makes them valid."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from loyalty.rules.accrual import DEFAULT_ACCRUAL, AccrualPolicy, validate_accrual_policy
from loyalty.rules.earning_rule import EarnScope, Stacking, WeekdayOf
from loyalty.rules.errors import Problem
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money, PointValue
from loyalty.rules.points import check_points

MAX_PERCENT = 100


class DiscountMethod(StrEnum):
    """How points become a discount at the checkout."""

    AUTOMATIC = "AUTOMATIC"
    """As many as possible are proposed; the customer may take some or all away."""
    CUSTOMER_CHOICE = "CUSTOMER_CHOICE"
    """None are proposed; the customer says how many."""


@dataclass(frozen=True, slots=True)
class RedemptionPolicy:
    """What points buy.

    At most one of the two caps is set: an amount in minor units, or a whole percentage (1..100) of the total.
    `min_balance` must be held to redeem at all, `min_points_per_redemption` must be used at once; 0 is no minimum.
    """

    enabled: bool
    point_value: PointValue
    method: DiscountMethod = DiscountMethod.CUSTOMER_CHOICE
    max_discount_amount_minor: int | None = None
    max_discount_percent: int | None = None
    min_balance: int = 0
    min_points_per_redemption: int = 0


@dataclass(frozen=True, slots=True)
class ProgramSettings:
    """Everything a tenant can set about its program. Switched off, nothing is earned, redeemed or shown."""

    enabled: bool
    stacking: Stacking
    earn_scope: EarnScope
    weekday_of: WeekdayOf
    redemption: RedemptionPolicy
    accrual: AccrualPolicy = DEFAULT_ACCRUAL


def default_settings(currency: str) -> ProgramSettings:
    """Return what a new tenant starts with: rules add up, all items earn, redemption off, a point is one minor unit."""
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
    redemption = [problem for problem in _redemption_problems(settings.redemption, currency) if problem is not None]
    return [*validate_accrual_policy(settings.accrual), *redemption]


def _redemption_problems(policy: RedemptionPolicy, currency: str) -> Iterator[Problem | None]:
    value = policy.point_value
    yield check_points(value.points, ("redemption", "point_value", "points"))
    yield _check_positive_amount(value.money.amount_minor, ("redemption", "point_value", "money", "amount"))
    if value.money.currency != currency:
        yield Problem(("redemption", "point_value", "money", "currency"), f"must be {currency}")
    yield from _cap_problems(policy.max_discount_amount_minor, policy.max_discount_percent)
    yield check_points(policy.min_balance, ("redemption", "min_balance"), minimum=0)
    yield check_points(policy.min_points_per_redemption, ("redemption", "min_points_per_redemption"), minimum=0)


def _cap_problems(amount_minor: int | None, percent: int | None) -> Iterator[Problem | None]:
    path = ("redemption", "max_discount")
    if amount_minor is not None and percent is not None:
        yield Problem(path, "must be an amount or a percentage, not both")
    if amount_minor is not None:
        yield _check_positive_amount(amount_minor, (*path, "amount"))
    if percent is not None and not 1 <= percent <= MAX_PERCENT:
        yield Problem((*path, "percent"), f"must be between 1 and {MAX_PERCENT}")


def _check_positive_amount(amount_minor: int, path: tuple[str, ...]) -> Problem | None:
    return None if 1 <= amount_minor <= MAX_AMOUNT_MINOR else Problem(path, "must be a positive amount")
