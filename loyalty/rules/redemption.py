"""Redemptions: how many points may be used at a checkout, and how much they take off.

Quote and hold use the same rules. All numbers are integers. Points and minor units meet in a ratio, and a discount is
rounded down once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import gcd

from loyalty.rules.described_enum import DescribedEnum
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
from loyalty.rules.points_paid import MAX_PERCENT, NOTHING_PAID, DiscountTerms, PointsPaid, fewest_points, points_within
from loyalty.rules.rounding import Rounding, divide

DEFAULT_HOLD_MINUTES = 15
MAX_HOLD_MINUTES = 7 * MINUTES_PER_DAY
DEFAULT_GRACE_DAYS = 14
MAX_GRACE_DAYS = 366


class DiscountMethod(DescribedEnum):
    """How points become a discount at checkout."""

    AUTOMATIC = "AUTOMATIC", "As many as possible are proposed; the customer may take them away."
    CUSTOMER_CHOICE = "CUSTOMER_CHOICE", "None are proposed; the customer says how many."


class RestorePolicy(DescribedEnum):
    """What becomes of points that are given back to a lot that has expired meanwhile."""

    GRACE = "GRACE", "They can be spent for some days more."
    EXPIRE = "EXPIRE", "They expire at once."


class DiscountLimit(DescribedEnum):
    """What sets the most that points may take off at a checkout."""

    BALANCE = "BALANCE", "The customer has no more points for it."
    MAX_POINTS = "MAX_POINTS", "The program's most points for one purchase."
    MAX_DISCOUNT = (
        "MAX_DISCOUNT",
        ("The program's most discount for one purchase: an amount, or a percentage of the total."),
    )
    TOTAL = "TOTAL", "What is payable at this checkout, as the caller says."
    RECORDED_TOTAL = (
        "RECORDED_TOTAL",
        ("What is payable as the purchase is recorded, which is less than the caller says."),
    )
    OTHER_PAYMENTS = "OTHER_PAYMENTS", "What gift cards and told payments leave to pay of the purchase."


class HoldState(DescribedEnum):
    """How far a hold has come. It has exactly one end."""

    ACTIVE = "ACTIVE", "The points are set aside."
    CAPTURED = "CAPTURED", "They were spent, all or a part; the rest went back."
    RELEASED = "RELEASED", "They were given back."
    EXPIRED = "EXPIRED", "Its time was over, and they went back by themselves."


class CaptureOn(DescribedEnum):
    """What spends the points of a hold."""

    CALL = "CALL", "Only `redemptionCapture`."
    PAID = "PAID", "The recording of its purchase as PAID or COMPLETED as well, in the same transaction."


class PointsReason(DescribedEnum):
    """Why a quote applies as many points as it does."""

    ASKED = "ASKED", "As many as were asked for."
    PROPOSED = "PROPOSED", "None were asked for: what the program proposes."
    LOWERED = "LOWERED", "Fewer than were asked for: the rest would take nothing more off."
    REFUSED = "REFUSED", "None, because what was asked for is refused."


@dataclass(frozen=True, slots=True)
class RedemptionPolicy:
    """The rules of spending points.

    At most one of the two caps is set: an amount in minor units, or a whole percentage (1..100) of the total.
    `min_balance` is the balance needed to redeem at all. At least `min_points_per_redemption` and at most
    `max_points_per_redemption` points may be used at once; 0 and None are no limit. A hold ends by itself after
    `hold_minutes`. Points given back to an expired lot live `restore_grace_days` more, or not at all. With
    `return_on_cancel` a purchase that is called off gives back the points spent on it.
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

    @property
    def terms(self) -> DiscountTerms:
        """The most that points may take off one purchase."""
        return DiscountTerms(self.max_discount_percent, self.max_discount_amount_minor, self.max_points_per_redemption)


@dataclass(frozen=True, slots=True)
class Offer:
    """The most that a policy allows a customer at one checkout.

    `max_points` is the fewest points that give `max_discount_minor`. `refusal` says why nothing can be redeemed.
    `limited_by` says which limit sets the maximum.
    """

    max_points: int
    max_discount_minor: int
    refusal: Refused | None = None
    limited_by: DiscountLimit | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Application:
    """Points and the discount that they give: no fewer points give the same discount."""

    points: int
    discount_minor: int


NO_APPLICATION = Application(0, 0)


def find_offer(
    policy: RedemptionPolicy,
    spendable: int,
    total_minor: int,
    paid: PointsPaid = NOTHING_PAID,
    beside_minor: int = 0,
) -> Offer:
    """Return the most that `spendable` points may take off a total.

    The total is the amount to pay after all other discounts (C-26), in minor units of the program's currency. A
    percentage of it is rounded down. Points that pay already (`paid`) count against the same limits. `beside_minor` is
    paid by other means: points pay only for the rest.
    """
    if not policy.enabled:
        return Offer(0, 0, RedemptionDisabled())
    if spendable < 1:
        return Offer(0, 0, InsufficientPoints(available=spendable, required=1))
    if spendable < policy.min_balance:
        return Offer(0, 0, BelowMinimum("balance", required=policy.min_balance, actual=spendable))
    left_minor = max(0, total_minor - beside_minor - paid.discount_minor)
    terms_minor, room_points = policy.terms.room_minor(total_minor, paid), policy.terms.room_points(paid)
    room_minor = min(terms_minor, left_minor)
    within = points_within(policy.point_value, room_minor)
    most = _apply_minimum(policy, min(spendable, within if room_points is None else min(within, room_points)))
    if not most.discount_minor:
        return Offer(0, 0, AboveMaximum(maximum=0, requested=1) if paid.points else NothingToDiscount())
    if most.points < policy.min_points_per_redemption:
        return Offer(0, 0, BelowMinimum("points", required=policy.min_points_per_redemption, actual=most.points))
    limit = _find_limit(policy, spendable, total_minor, within, room_points)
    if room_minor < terms_minor and limit in {DiscountLimit.MAX_DISCOUNT, DiscountLimit.TOTAL}:
        limit = DiscountLimit.OTHER_PAYMENTS
    return Offer(most.points, most.discount_minor, limited_by=limit)


def apply_points(
    policy: RedemptionPolicy,
    spendable: int,
    total_minor: int,
    wanted: int,
    paid: PointsPaid = NOTHING_PAID,
    beside_minor: int = 0,
) -> Application:
    """Return the discount for `wanted` points, after `paid` points and `beside_minor` paid by other means.

    Points that would add no discount are left with the customer, so the result may have fewer points. Raises, in this
    order: RedemptionDisabled, InsufficientPoints, BelowMinimum (of the balance), NothingToDiscount, BelowMinimum (of
    the points), AboveMaximum.
    """
    allowed = find_offer(policy, spendable, total_minor, paid, beside_minor)
    if policy.enabled and wanted > spendable:
        raise InsufficientPoints(available=spendable, required=wanted)
    if isinstance(allowed.refusal, AboveMaximum):
        raise AboveMaximum(maximum=0, requested=wanted)
    if allowed.refusal is not None:
        raise allowed.refusal
    applied = _apply_minimum(policy, wanted)
    least = max(policy.min_points_per_redemption, fewest_points(policy.point_value, 1))
    if wanted < least:
        raise BelowMinimum("points", required=least, actual=wanted)
    room_points = policy.terms.room_points(paid)
    if applied.discount_minor > allowed.max_discount_minor or (
        room_points is not None and applied.points > room_points
    ):
        raise AboveMaximum(maximum=allowed.max_points, requested=wanted)
    return applied


def explain_quote(wanted: int | None, points: int) -> PointsReason:
    """Return why a quote applies this number of points. `wanted` were asked for; None if the caller named none."""
    if wanted is None:
        return PointsReason.PROPOSED
    if points == wanted:
        return PointsReason.ASKED
    return PointsReason.LOWERED if points else PointsReason.REFUSED


def step_of(value: PointValue) -> int:
    """Return the step of a slider: every multiple of it has a value in whole minor units, so no point is wasted.

    If a point is worth a minor unit or more, the step is 1; else it is the fewest points that are worth whole minor
    units.
    """
    amount_minor = value.money.amount_minor
    return 1 if amount_minor >= value.points else value.points // gcd(value.points, amount_minor)


def min_points_of(policy: RedemptionPolicy, allowed: Offer) -> int:
    """Return the fewest points that may be used: a multiple of the step, but at most the maximum in `allowed`."""
    step = step_of(policy.point_value)
    least = step * divide(max(policy.min_points_per_redemption, 1), step, Rounding.CEIL)
    return min(least, allowed.max_points)


def find_application(value: PointValue, points: int) -> Application:
    """Return the discount that points give, with the fewest points that give the same discount."""
    discount_minor = value_of(points, value).amount_minor
    return Application(fewest_points(value, discount_minor), discount_minor)


def propose_points(policy: RedemptionPolicy, allowed: Offer) -> int:
    """Return the number of points that a checkout proposes before the customer chooses."""
    return allowed.max_points if policy.method is DiscountMethod.AUTOMATIC else 0


def validate_redemption(policy: RedemptionPolicy, currency: str) -> list[Problem]:
    """Return everything wrong with a redemption policy; amounts must be in the program's currency."""
    return [problem for problem in _policy_problems(policy, currency) if problem is not None]


def check_hold_minutes(minutes: int | None, path: tuple[str, ...] = ("time_to_live",)) -> Problem | None:
    """Return what is wrong with the lifetime of a hold, of points or of a gift card; None is the program's default."""
    if minutes is None or 1 <= minutes <= MAX_HOLD_MINUTES:
        return None
    return Problem(path, "must be between PT1M and P7D")


def _find_limit(
    policy: RedemptionPolicy, spendable: int, total_minor: int, within: int, room_points: int | None
) -> DiscountLimit:
    """Return which limit sets the maximum. Of several equal limits the balance is named first, then the program's.

    `within` are the most points whose discount fits into the purchase, `room_points` the most points that may still be
    used for it (None: no limit).
    """
    if spendable <= min(within, within if room_points is None else room_points):
        return DiscountLimit.BALANCE
    if room_points is not None and room_points <= within:
        return DiscountLimit.MAX_POINTS
    return DiscountLimit.MAX_DISCOUNT if policy.terms.cap_minor(total_minor) < total_minor else DiscountLimit.TOTAL


def _apply_minimum(policy: RedemptionPolicy, points: int) -> Application:
    """Return the discount that points give, with the fewest points that give it.

    They are not fewer than the program's minimum, if that many are given.
    """
    fewest = find_application(policy.point_value, points)
    return Application(max(fewest.points, min(points, policy.min_points_per_redemption)), fewest.discount_minor)


def _policy_problems(policy: RedemptionPolicy, currency: str) -> Iterator[Problem | None]:
    """Yield the problems of a policy, and None for checks that find none."""
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
    yield check_hold_minutes(policy.hold_minutes, ("redemption", "hold_time_to_live"))
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


def give_back(taken: Sequence[int], points: int, *, outstanding: int, debt: int) -> list[int]:
    """Return how many of ``points`` go back to each lot of a redemption, in the order of ``taken``.

    ``taken`` has for each lot the points that the redemption took from it, less those that went back to it already.
    ``outstanding`` are all points that have not come back to the customer. It may be less than the sum of ``taken``,
    because points also come back as new lots, or pay debt. So the first points in ``taken`` are passed over until
    ``outstanding`` are left. Of ``points``, the first ones pay ``debt``, and go to no lot.
    """
    back_already, missing, owed, given = sum(taken) - outstanding, points, debt, []
    for part in taken:
        passed_over = min(part, back_already)
        back_already -= passed_over
        here = min(part - passed_over, missing)
        missing -= here
        paid = min(owed, here)
        owed -= paid
        given.append(here - paid)
    return given
