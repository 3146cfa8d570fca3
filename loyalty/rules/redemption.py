"""What points buy at a checkout: how many may be used, and what they take off. Quote and hold ask the same function.

Integers only: points and minor units meet in a ratio, and a discount is rounded down to the minor unit once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from loyalty.rules.durations import MINUTES_PER_DAY
from loyalty.rules.errors import (
    AboveMaximum,
    BelowMinimum,
    InsufficientPoints,
    NothingToDiscount,
    Problem,
    RedemptionDisabled,
    Refused,
)
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money, PointValue, value_of
from loyalty.rules.points import check_points
from loyalty.rules.rounding import Rounding, divide

MAX_PERCENT = 100
DEFAULT_HOLD_MINUTES = 15
MAX_HOLD_MINUTES = 7 * MINUTES_PER_DAY
DEFAULT_GRACE_DAYS = 14
MAX_GRACE_DAYS = 366


class DiscountMethod(StrEnum):
    """How points become a discount at the checkout."""

    AUTOMATIC = "AUTOMATIC"
    """As many as possible are proposed; the customer may take some or all away."""
    CUSTOMER_CHOICE = "CUSTOMER_CHOICE"
    """None are proposed; the customer says how many."""


class RestorePolicy(StrEnum):
    """What becomes of points that are given back to a lot that has expired meanwhile."""

    GRACE = "GRACE"
    """They can be spent for some days more."""
    EXPIRE = "EXPIRE"
    """They expire at once."""


class HoldState(StrEnum):
    """How far a hold has come. It has exactly one end."""

    ACTIVE = "ACTIVE"
    CAPTURED = "CAPTURED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class RedemptionPolicy:
    """What points buy.

    At most one of the two caps is set: an amount in minor units, or a whole percentage (1..100) of the total.
    `min_balance` must be held to redeem at all; `min_points_per_redemption` must, and at most
    `max_points_per_redemption` may be used at once; 0 and None are no limit. A hold ends by itself after
    `hold_minutes`. Points given back to an expired lot live `restore_grace_days` more, or not at all. With
    `return_on_cancel` a purchase that is called off gives back what was spent on it.
    """

    enabled: bool
    point_value: PointValue
    method: DiscountMethod = DiscountMethod.CUSTOMER_CHOICE
    max_discount_amount_minor: int | None = None
    max_discount_percent: int | None = None
    min_balance: int = 0
    min_points_per_redemption: int = 0
    max_points_per_redemption: int | None = None
    hold_minutes: int = DEFAULT_HOLD_MINUTES
    restore: RestorePolicy = RestorePolicy.GRACE
    restore_grace_days: int = DEFAULT_GRACE_DAYS
    return_on_cancel: bool = True


@dataclass(frozen=True, slots=True)
class Offer:
    """What a policy allows a customer at one checkout.

    `max_points` take `max_discount_minor` off, and no fewer points do. `refusal` says why nothing can be redeemed.
    """

    max_points: int
    max_discount_minor: int
    refusal: Refused | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """So many points take so much off: the fewest points with this discount."""

    points: int
    discount_minor: int


NO_APPLICATION = Application(0, 0)


def offer(policy: RedemptionPolicy, spendable: int, total_minor: int) -> Offer:
    """Return the most that `spendable` points may take off a total.

    The total is what is payable after all other discounts (C-26), in minor units of the program's currency. A
    percentage of it is rounded down.
    """
    if not policy.enabled:
        return Offer(0, 0, RedemptionDisabled())
    if spendable < 1:
        return Offer(0, 0, InsufficientPoints(available=spendable, required=1))
    if spendable < policy.min_balance:
        return Offer(0, 0, BelowMinimum("balance", required=policy.min_balance, actual=spendable))
    most_points = _most_points(policy.point_value, _cap(policy, total_minor))
    most = _applied(policy, min(spendable, policy.max_points_per_redemption or spendable, most_points))
    if not most.discount_minor:
        return Offer(0, 0, NothingToDiscount())
    if most.points < policy.min_points_per_redemption:
        return Offer(0, 0, BelowMinimum("points", required=policy.min_points_per_redemption, actual=most.points))
    return Offer(most.points, most.discount_minor)


def apply_points(policy: RedemptionPolicy, spendable: int, total_minor: int, wanted: int) -> Application:
    """Return what `wanted` points take off.

    Points that would take nothing more off are left with the customer, so the result may have fewer. Raises, in
    this order: RedemptionDisabled, InsufficientPoints, BelowMinimum (of the balance), NothingToDiscount, BelowMinimum
    (of the points), AboveMaximum.
    """
    allowed = offer(policy, spendable, total_minor)
    if policy.enabled and wanted > spendable:
        raise InsufficientPoints(available=spendable, required=wanted)
    if allowed.refusal is not None:
        raise allowed.refusal
    applied = _applied(policy, wanted)
    least = max(policy.min_points_per_redemption, _points_for(policy.point_value, 1))
    if wanted < least:
        raise BelowMinimum("points", required=least, actual=wanted)
    if applied.discount_minor > allowed.max_discount_minor:
        raise AboveMaximum(maximum=allowed.max_points, requested=wanted)
    return applied


def application(value: PointValue, points: int) -> Application:
    """Return what points take off, and the fewest points that do."""
    discount_minor = value_of(points, value).amount_minor
    return Application(_points_for(value, discount_minor), discount_minor)


def proposed_points(policy: RedemptionPolicy, allowed: Offer) -> int:
    """Return how many points a checkout begins with, before the customer has said anything."""
    return allowed.max_points if policy.method is DiscountMethod.AUTOMATIC else 0


def share(discount_minor: int, part: int, whole: int) -> int:
    """Return the discount that `part` of `whole` captured points stands for, rounded down; for the whole, all of it."""
    return divide(discount_minor * part, whole, Rounding.FLOOR)


def validate_redemption(policy: RedemptionPolicy, currency: str) -> list[Problem]:
    """Return everything wrong with a redemption policy; amounts must be in the program's currency."""
    return [problem for problem in _problems(policy, currency) if problem is not None]


def _cap(policy: RedemptionPolicy, total_minor: int) -> int:
    caps = [total_minor]
    if policy.max_discount_amount_minor is not None:
        caps.append(policy.max_discount_amount_minor)
    if policy.max_discount_percent is not None:
        caps.append(divide(total_minor * policy.max_discount_percent, MAX_PERCENT, Rounding.FLOOR))
    return min(caps)


def _most_points(value: PointValue, cap_minor: int) -> int:
    """The most points whose value, rounded down, does not pass the cap."""
    return ((cap_minor + 1) * value.points - 1) // value.money.amount_minor


def _applied(policy: RedemptionPolicy, points: int) -> Application:
    """What points take off, with the fewest that do, but not fewer than the minimum when so many are used."""
    fewest = application(policy.point_value, points)
    return Application(max(fewest.points, min(points, policy.min_points_per_redemption)), fewest.discount_minor)


def _points_for(value: PointValue, discount_minor: int) -> int:
    """The fewest points that are worth so much."""
    return divide(discount_minor * value.points, value.money.amount_minor, Rounding.CEIL)


def _problems(policy: RedemptionPolicy, currency: str) -> Iterator[Problem | None]:
    value = policy.point_value
    yield check_points(value.points, ("redemption", "point_value", "points"))
    yield _check_amount(value.money, ("redemption", "point_value", "money", "amount"))
    if value.money.currency != currency:
        yield Problem(("redemption", "point_value", "money", "currency"), f"must be {currency}")
    yield from _cap_problems(policy.max_discount_amount_minor, policy.max_discount_percent)
    yield check_points(policy.min_balance, ("redemption", "min_balance"), minimum=0)
    least, most = policy.min_points_per_redemption, policy.max_points_per_redemption
    yield check_points(least, ("redemption", "min_points_per_redemption"), minimum=0)
    if most is not None:
        yield check_points(most, ("redemption", "max_points_per_redemption"))
        if most < least:
            yield Problem(("redemption", "max_points_per_redemption"), "must not be below the minimum")
    if not 1 <= policy.hold_minutes <= MAX_HOLD_MINUTES:
        yield Problem(("redemption", "hold_time_to_live"), "must be between PT1M and P7D")
    if not 1 <= policy.restore_grace_days <= MAX_GRACE_DAYS:
        yield Problem(("redemption", "restore_grace_days"), f"must be between 1 and {MAX_GRACE_DAYS}")


def _cap_problems(amount_minor: int | None, percent: int | None) -> Iterator[Problem | None]:
    path = ("redemption", "max_discount")
    if amount_minor is not None and percent is not None:
        yield Problem(path, "must be an amount or a percentage, not both")
    if amount_minor is not None and not 1 <= amount_minor <= MAX_AMOUNT_MINOR:
        yield Problem((*path, "amount"), "must be a positive amount")
    if percent is not None and not 1 <= percent <= MAX_PERCENT:
        yield Problem((*path, "percent"), f"must be between 1 and {MAX_PERCENT}")


def _check_amount(money: Money, path: tuple[str, ...]) -> Problem | None:
    return None if 1 <= money.amount_minor <= MAX_AMOUNT_MINOR else Problem(path, "must be a positive amount")
