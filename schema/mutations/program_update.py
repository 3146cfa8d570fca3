"""``programUpdate``: change the tenant's settings, as a new version."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import strawberry

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualPolicy, EvaluateOn, MatureOn, Revalue
from loyalty.rules.basis import BasisPolicy, TaxBasis
from loyalty.rules.durations import parse_minutes
from loyalty.rules.earning import EarnScope, Stacking, WeekdayOf
from loyalty.rules.errors import InvalidInput
from loyalty.rules.expiry import ExpiryPolicy, Period
from loyalty.rules.features import Feature
from loyalty.rules.money import PointValue
from loyalty.rules.program import ProgramSettings
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import DiscountMethod, RedemptionPolicy, RestorePolicy
from loyalty.rules.refund import RefundPolicy
from loyalty.rules.tiers import Downgrade, TierBasis, TierPolicy
from loyalty.services.program import ProgramEdit, update_program
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.given import choose_given
from schema.mutations.payload import UserErrors, user_errors_field
from schema.scalars import Color, Duration, Points
from schema.types.expiry import ExpiryPolicyInput, policy_from
from schema.types.job import Job
from schema.types.money import MoneyInput, amount_of
from schema.types.program import Program


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
    method: DiscountMethod | None = strawberry.field(default=strawberry.UNSET, description="Who decides how many.")
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


@strawberry.input(description="Which money earns. What is left out stays as it is.")
class EarningBasisInput:
    tax: TaxBasis | None = strawberry.field(default=strawberry.UNSET, description="Whether tax earns.")
    after_discount: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Count what is paid for a line, not its price before its discount."
    )
    include_shipping: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether lines of shipping earn."
    )
    exclude_gift_cards: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether gift cards earn nothing: those that are bought, and the part of a purchase that they pay.",
    )
    exclude_points_paid: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether the part that is paid with points earns nothing."
    )


@strawberry.input(description="How purchases are turned into points. What is left out stays as it is.")
class AccrualPolicyInput:
    stacking: Stacking | None = strawberry.field(default=strawberry.UNSET, description="When several rules match.")
    earn_scope: EarnScope | None = strawberry.field(default=strawberry.UNSET, description="Which items take part.")
    weekday_of: WeekdayOf | None = strawberry.field(default=strawberry.UNSET, description="Whose weekday counts.")
    evaluate_on: EvaluateOn | None = strawberry.field(
        default=strawberry.UNSET, description="The status at which the rules are evaluated."
    )
    mature_on: MatureOn | None = strawberry.field(
        default=strawberry.UNSET, description="From which moment the delay runs until points can be spent."
    )
    mature_delay: Duration | None = strawberry.field(
        default=strawberry.UNSET, description="Weeks, days, hours and minutes, such as PT3H; at most P366D."
    )
    mature_slack: Duration | None = strawberry.field(
        default=strawberry.UNSET, description="How late the service may be before it raises an alarm."
    )
    forfeit_on: list[PurchaseStatus] | None = strawberry.field(
        default=strawberry.UNSET, description="CANCELLED, NO_SHOW, REFUNDED, or some of them; empty for none."
    )
    latest_report: Duration | None = strawberry.field(
        default=strawberry.UNSET,
        description="How long ago a report may have come about to count from then; an older one counts from when it "
        "arrives. At most P366D.",
    )
    revalue: Revalue | None = strawberry.field(
        default=strawberry.UNSET, description="Whether a purchase that changes after its evaluation is valued anew."
    )
    debt: Overdraft | None = strawberry.field(
        default=strawberry.UNSET, description="When points that are taken back were spent already."
    )
    refund: RefundPolicy | None = strawberry.field(
        default=strawberry.UNSET, description="What a refund in parts takes, if REFUNDED is among `forfeitOn`."
    )
    basis: EarningBasisInput | None = strawberry.field(default=strawberry.UNSET, description="Which money earns.")


@strawberry.input(description="How tiers are reached and lost. What is left out stays as it is.")
class TierPolicyInput:
    basis: TierBasis | None = strawberry.field(default=strawberry.UNSET, description="Which points lead to a tier.")
    window: Period | None = strawberry.field(
        default=strawberry.UNSET, description="Which part of the calendar a window is, where the tenant is."
    )
    downgrade: Downgrade | None = strawberry.field(
        default=strawberry.UNSET, description="Whether time may lower a tier."
    )
    grace_days: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="How many days after a window a tier stays: 0 to 27 with MONTH, to 89 with QUARTER, to 364 with "
        "YEAR.",
    )


@strawberry.input(description="A change of settings. What is left out stays as it is.")
class ProgramUpdateInput:
    enabled: bool | None = strawberry.field(default=strawberry.UNSET, description="Switch the program on or off.")
    accrual: AccrualPolicyInput | None = strawberry.field(
        default=strawberry.UNSET, description="How points are earned."
    )
    redemption: RedemptionPolicyInput | None = strawberry.field(
        default=strawberry.UNSET, description="How points are spent."
    )
    expiry: ExpiryPolicyInput | None = strawberry.field(
        default=strawberry.UNSET, description="When points that come from now on expire; replaced whole."
    )
    notice_days: list[int] | None = strawberry.field(
        default=strawberry.UNSET,
        description="How many days before an expiry its owner is told: at most 10 of 1 to 365; empty for never.",
    )
    tiering: TierPolicyInput | None = strawberry.field(
        default=strawberry.UNSET, description="How tiers are reached and lost; all customers are put right after it."
    )
    gift_card_color: Color | None = strawberry.field(
        default=strawberry.UNSET, description="The colour of printed gift cards, #RRGGBB."
    )
    expected_version: int | None = strawberry.field(
        default=None, description="Refuse unless this is the stored version, so that nobody is overwritten."
    )


@strawberry.type(description="The settings as they are now.")
class ProgramUpdatePayload:
    user_errors: UserErrors = user_errors_field()
    program: Program | None = strawberry.field(default=None, description="The new version.")
    job: Job | None = strawberry.field(
        default=None, description="Re-tiers all customers, when tiers are reached or lost otherwise now."
    )
    also_enabled: list[Feature] | None = strawberry.field(
        default=None, description="The features that came on with the program because it needs them."
    )


@guarded(
    Permission.LOYALTY_MANAGE,
    description="Change the tenant's loyalty settings; works while the program is off, to switch it on again.",
    even_when_off=True,
)
async def program_update(
    info: Info,
    input: Annotated[ProgramUpdateInput, strawberry.argument(description="The change.")],  # noqa: A002
) -> ProgramUpdatePayload:
    """One new version, whatever the number of fields."""

    async def work() -> Mapping[str, Any]:
        edit = ProgramEdit(lambda settings: _change_settings(settings, input), input.expected_version)
        changed = await update_program(info.context.world, info.context.actor, edit)
        info.context.loaders.clear()
        return changed._asdict()

    return await answer_mutation(ProgramUpdatePayload, work)


def _change_settings(settings: ProgramSettings, given: ProgramUpdateInput) -> ProgramSettings:
    accrual = given.accrual or AccrualPolicyInput()
    return ProgramSettings(
        enabled=choose_given(given.enabled, settings.enabled, "enabled"),
        stacking=choose_given(accrual.stacking, settings.stacking, "accrual", "stacking"),
        earn_scope=choose_given(accrual.earn_scope, settings.earn_scope, "accrual", "earn_scope"),
        weekday_of=choose_given(accrual.weekday_of, settings.weekday_of, "accrual", "weekday_of"),
        accrual=_change_accrual(settings.accrual, accrual),
        basis=_change_basis(settings.basis, accrual.basis),
        expiry=_change_expiry(settings.expiry, given.expiry),
        notice_days=tuple(choose_given(given.notice_days, settings.notice_days, "notice_days")),
        tiering=_change_tiering(settings.tiering, given.tiering),
        gift_card_color=choose_given(given.gift_card_color, settings.gift_card_color, "gift_card_color"),
        redemption=_change_redemption(settings.redemption, given.redemption)
        if given.redemption
        else settings.redemption,
    )


def _change_expiry(policy: ExpiryPolicy, given: ExpiryPolicyInput | None) -> ExpiryPolicy:
    changed = choose_given(given, None, "expiry")
    return policy if changed is None else policy_from(changed)


def _change_tiering(policy: TierPolicy, given: TierPolicyInput | None) -> TierPolicy:
    changed = choose_given(given, None, "tiering")
    if changed is None:
        return policy
    names = ("basis", "window", "downgrade", "grace_days")
    return TierPolicy(
        **{name: choose_given(getattr(changed, name), getattr(policy, name), "tiering", name) for name in names}
    )


def _change_accrual(policy: AccrualPolicy, given: AccrualPolicyInput) -> AccrualPolicy:
    path = "accrual"
    delay = choose_given(given.mature_delay, None, path, "mature_delay")
    slack = choose_given(given.mature_slack, None, path, "mature_slack")
    latest = choose_given(given.latest_report, None, path, "latest_report")
    return AccrualPolicy(
        evaluate_on=choose_given(given.evaluate_on, policy.evaluate_on, path, "evaluate_on"),
        mature_on=choose_given(given.mature_on, policy.mature_on, path, "mature_on"),
        delay_minutes=parse_minutes(delay, (path, "mature_delay")) if delay else policy.delay_minutes,
        slack_minutes=parse_minutes(slack, (path, "mature_slack")) if slack else policy.slack_minutes,
        forfeit_on=frozenset(choose_given(given.forfeit_on, policy.forfeit_on, path, "forfeit_on")),
        debt=choose_given(given.debt, policy.debt, path, "debt"),
        refund=choose_given(given.refund, policy.refund, path, "refund"),
        revalue=choose_given(given.revalue, policy.revalue, path, "revalue"),
        latest_report_minutes=parse_minutes(latest, (path, "latest_report"))
        if latest
        else policy.latest_report_minutes,
    )


def _change_basis(policy: BasisPolicy, given: EarningBasisInput | None) -> BasisPolicy:
    if not given:
        return policy
    names = ("tax", "after_discount", "include_shipping", "exclude_gift_cards", "exclude_points_paid")
    return BasisPolicy(
        **{name: choose_given(getattr(given, name), getattr(policy, name), "accrual", "basis", name) for name in names}
    )


def _change_redemption(policy: RedemptionPolicy, given: RedemptionPolicyInput) -> RedemptionPolicy:
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
        changed = replace(changed, point_value=PointValue(value.points, money))
    if given.max_discount is not strawberry.UNSET:
        amount_minor, percent = _cap(given.max_discount, policy)
        changed = replace(changed, max_discount_amount_minor=amount_minor, max_discount_percent=percent)
    return changed


def _cap(given: DiscountCapInput | None, policy: RedemptionPolicy) -> tuple[int | None, int | None]:
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
