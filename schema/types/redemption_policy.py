"""The redemption policy: the type to read it, and the inputs to change it."""

from dataclasses import replace
from typing import Any

import strawberry

from loyalty.rules.durations import format_minutes, parse_minutes
from loyalty.rules.errors import InvalidInput
from loyalty.rules.money import Money as Amount
from loyalty.rules.money import PointValue as Worth
from loyalty.rules.redemption import DiscountMethod, RestorePolicy
from loyalty.rules.redemption import RedemptionPolicy as RedemptionRules
from schema.fields import computed
from schema.mutations.given import choose_given
from schema.scalars import Duration, Points
from schema.types.money import Money, MoneyInput, amount_of
from schema.types.node import show_row


@strawberry.type(description="What points are worth: so many points are this amount. A ratio, never a float.")
class PointValue:
    points: Points = strawberry.field(description="So many points ...")
    money: Money = strawberry.field(description="... are worth this.")


@strawberry.type(description="The most that points may take off one purchase.")
class DiscountCap:
    amount: Money | None = strawberry.field(description="A fixed amount; null when a percentage is set.")
    percent: int | None = strawberry.field(description="1 to 100 of the total; null when an amount is set.")


@strawberry.type(description="How points become a discount at checkout.")
class RedemptionPolicy:
    enabled: bool = strawberry.field(description="Whether points can be redeemed; earning goes on when not.")
    method: DiscountMethod = strawberry.field(description="Who decides how many points are used.")
    point_value: PointValue = strawberry.field(description="What points are worth.")
    min_balance: Points = strawberry.field(description="What must be held to redeem at all; 0 is no minimum.")
    min_points_per_redemption: Points = strawberry.field(description="What must be used at once; 0 is no minimum.")
    max_points_per_redemption: Points | None = strawberry.field(
        description="What may be used at once; null is no limit."
    )
    restore: RestorePolicy = strawberry.field(
        description="What becomes of points that come back to a lot that has expired meanwhile."
    )
    restore_grace_days: int = strawberry.field(description="How many days they live then, with GRACE.")
    return_on_cancel: bool = strawberry.field(
        description="Whether a purchase that is called off gives back the points that were spent on it."
    )

    @computed(description="After which a hold ends by itself.")
    def hold_time_to_live(self) -> Duration:
        """From the policy's minutes."""
        policy: Any = self
        return Duration(format_minutes(policy.hold_minutes))

    @computed(description="The most that points may take off one purchase; null for no limit but the total.")
    def max_discount(self) -> DiscountCap | None:
        """One of the two caps."""
        policy: Any = self
        minor, percent = policy.max_discount_amount_minor, policy.max_discount_percent
        if minor is None and percent is None:
            return None
        amount = None if minor is None else show_row(Money, Amount(minor, policy.point_value.money.currency))
        return DiscountCap(amount=amount, percent=percent)


@strawberry.input(description="So many points are worth this amount.")
class PointValueInput:
    points: Points = strawberry.field(description="At least 1.")
    money: MoneyInput = strawberry.field(description="Above zero, in the program's currency.")


@strawberry.input(description="The most that points may take off one purchase: exactly one of the two.", one_of=True)
class DiscountCapInput:
    amount: MoneyInput | None = strawberry.field(default=strawberry.UNSET, description="A fixed amount.")
    percent: int | None = strawberry.field(default=strawberry.UNSET, description="1 to 100 of the total.")


@strawberry.input(description="How points become a discount. What is left out stays as it is.")
class RedemptionPolicyInput:
    enabled: bool | None = strawberry.field(default=strawberry.UNSET, description="Whether points can be redeemed.")
    method: DiscountMethod | None = strawberry.field(
        default=strawberry.UNSET, description="Who decides how many points are used."
    )
    point_value: PointValueInput | None = strawberry.field(
        default=strawberry.UNSET, description="What points are worth."
    )
    max_discount: DiscountCapInput | None = strawberry.field(
        default=strawberry.UNSET, description="The cap; null takes it away."
    )
    min_balance: Points | None = strawberry.field(default=strawberry.UNSET, description="0 or more; must be held.")
    min_points_per_redemption: Points | None = strawberry.field(
        default=strawberry.UNSET, description="0 or more; must be used at once."
    )
    max_points_per_redemption: Points | None = strawberry.field(
        default=strawberry.UNSET, description="May be used at once; null takes the limit away."
    )
    hold_time_to_live: Duration | None = strawberry.field(
        default=strawberry.UNSET, description="After which a hold ends by itself: PT1M to P7D."
    )
    restore: RestorePolicy | None = strawberry.field(
        default=strawberry.UNSET, description="When points come back to a lot that has expired meanwhile."
    )
    restore_grace_days: int | None = strawberry.field(
        default=strawberry.UNSET, description="How long they live then with GRACE: 1 to 366 days."
    )
    return_on_cancel: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether a purchase that is called off gives back what was spent on it."
    )


def change_redemption(policy: RedemptionRules, given: RedemptionPolicyInput) -> RedemptionRules:
    """Return the policy after a change. An absent field stays as it is. Refusal: InvalidInput."""
    path = "redemption"
    changed = replace(
        policy,
        enabled=choose_given(given.enabled, policy.enabled, path, "enabled"),
        method=choose_given(given.method, policy.method, path, "method"),
        min_balance=choose_given(given.min_balance, policy.min_balance, path, "min_balance"),
        min_points_per_redemption=choose_given(
            given.min_points_per_redemption, policy.min_points_per_redemption, path, "min_points_per_redemption"
        ),
        restore=choose_given(given.restore, policy.restore, path, "restore"),
        restore_grace_days=choose_given(
            given.restore_grace_days, policy.restore_grace_days, path, "restore_grace_days"
        ),
        return_on_cancel=choose_given(given.return_on_cancel, policy.return_on_cancel, path, "return_on_cancel"),
    )
    if given.max_points_per_redemption is not strawberry.UNSET:
        changed = replace(changed, max_points_per_redemption=given.max_points_per_redemption)
    time_to_live = choose_given(given.hold_time_to_live, None, path, "hold_time_to_live")
    if time_to_live is not None:
        changed = replace(changed, hold_minutes=parse_minutes(time_to_live, (path, "hold_time_to_live")))
    value = choose_given(given.point_value, None, path, "point_value")
    if value is not None:
        money = amount_of(value.money, path, "point_value", "money")
        changed = replace(changed, point_value=Worth(value.points, money))
    if given.max_discount is not strawberry.UNSET:
        amount_minor, percent = _cap(given.max_discount, policy)
        changed = replace(changed, max_discount_amount_minor=amount_minor, max_discount_percent=percent)
    return changed


def _cap(given: DiscountCapInput | None, policy: RedemptionRules) -> tuple[int | None, int | None]:
    amount_minor = percent = None
    if given is not None and given.amount:
        amount = amount_of(given.amount, "redemption", "max_discount", "amount")
        if amount.currency != policy.point_value.money.currency:
            reason = f"must be {policy.point_value.money.currency}"
            raise InvalidInput.one("redemption", "max_discount", "amount", "currency", reason=reason)
        amount_minor = amount.amount_minor
    elif given is not None:
        percent = given.percent
    return amount_minor, percent
