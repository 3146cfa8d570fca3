"""How purchases are turned into points: the settings as they are read, as they are changed, and the change."""

from dataclasses import replace

import strawberry

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualPolicy as AccrualRules
from loyalty.rules.accrual import EvaluateOn, MatureOn, Revalue
from loyalty.rules.basis import BasisPolicy, TaxBasis
from loyalty.rules.durations import format_minutes, parse_minutes
from loyalty.rules.earning import EarnScope, Stacking, WeekdayOf
from loyalty.rules.program import ProgramSettings
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.refund import RefundPolicy
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed
from schema.mutations.given import choose_given
from schema.scalars import Duration
from schema.types.node import row_of, show_row


@strawberry.type(description="Which money earns.")
class EarningBasis:
    tax: TaxBasis = strawberry.field(description="Whether tax earns.")
    after_discount: bool = strawberry.field(
        description="Whether what is paid for a line counts, or its price before its own discount."
    )
    include_shipping: bool = strawberry.field(description="Whether lines of shipping earn.")
    exclude_gift_cards: bool = strawberry.field(
        description="Whether gift cards earn nothing: those that are bought, and the part of a purchase that they pay."
    )
    exclude_points_paid: bool = strawberry.field(
        description="Whether the part of a purchase that is paid with points earns nothing."
    )


@strawberry.type(description="How purchases are turned into points, and when points can be spent.")
class AccrualPolicy:
    stacking: Stacking = strawberry.field(description="What happens when several rules match.")
    earn_scope: EarnScope = strawberry.field(description="Which items take part.")
    weekday_of: WeekdayOf = strawberry.field(description="The date whose weekday a condition on weekdays looks at.")

    @computed(description="The status at which the rules are evaluated.")
    def evaluate_on(self) -> EvaluateOn:
        """From the accrual policy."""
        return row_of(ProgramSettings, self).accrual.evaluate_on

    @computed(description="From which moment the delay runs until points can be spent.")
    def mature_on(self) -> MatureOn:
        """From the accrual policy."""
        return row_of(ProgramSettings, self).accrual.mature_on

    @computed(description="How long after that moment points can be spent.")
    def mature_delay(self) -> Duration:
        """From the accrual policy."""
        return Duration(format_minutes(row_of(ProgramSettings, self).accrual.delay_minutes))

    @computed(description="Whether a purchase that changes after its evaluation is valued again.")
    def revalue(self) -> Revalue:
        """From the accrual policy."""
        return row_of(ProgramSettings, self).accrual.revalue

    @computed(description="How long ago a report may have come about to count from then.")
    def latest_report(self) -> Duration:
        """From the policy's minutes."""
        return Duration(format_minutes(row_of(ProgramSettings, self).accrual.latest_report_minutes))

    @computed(description="How late the service may be before it raises an alarm, for the team; null for customers.")
    def mature_slack(self, info: Info) -> Duration | None:
        """From the accrual policy, for the team only."""
        if not reads_internals(info.context.actor):
            return None
        return Duration(format_minutes(row_of(ProgramSettings, self).accrual.slack_minutes))

    @computed(description="The statuses that void pending points and take credited ones back.")
    def forfeit_on(self) -> list[PurchaseStatus]:
        """From the accrual policy, in the order of the enum."""
        return sorted(row_of(ProgramSettings, self).accrual.forfeit_on, key=list(PurchaseStatus).index)

    @computed(description="What happens when points that are taken back were spent already.")
    def debt(self) -> Overdraft:
        """From the accrual policy."""
        return row_of(ProgramSettings, self).accrual.debt

    @computed(description="What a refund in parts takes, if REFUNDED is among `forfeitOn`.")
    def refund(self) -> RefundPolicy:
        """From the accrual policy."""
        return row_of(ProgramSettings, self).accrual.refund

    @computed(description="Which money earns.")
    def basis(self) -> EarningBasis:
        """From the settings."""
        return show_row(EarningBasis, row_of(ProgramSettings, self).basis)


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
    weekday_of: WeekdayOf | None = strawberry.field(
        default=strawberry.UNSET, description="Which date's weekday a condition on weekdays looks at."
    )
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
        default=strawberry.UNSET, description="Whether a purchase that changes after its evaluation is valued again."
    )
    debt: Overdraft | None = strawberry.field(
        default=strawberry.UNSET, description="When points that are taken back were spent already."
    )
    refund: RefundPolicy | None = strawberry.field(
        default=strawberry.UNSET, description="What a refund in parts takes, if REFUNDED is among `forfeitOn`."
    )
    basis: EarningBasisInput | None = strawberry.field(default=strawberry.UNSET, description="Which money earns.")


def change_accrual(settings: ProgramSettings, given: AccrualPolicyInput) -> ProgramSettings:
    """Return the settings with a changed accrual policy. An absent field stays as it is. Refusal: InvalidInput."""
    path = "accrual"
    return replace(
        settings,
        stacking=choose_given(given.stacking, settings.stacking, path, "stacking"),
        earn_scope=choose_given(given.earn_scope, settings.earn_scope, path, "earn_scope"),
        weekday_of=choose_given(given.weekday_of, settings.weekday_of, path, "weekday_of"),
        accrual=_change_timing(settings.accrual, given),
        basis=_change_basis(settings.basis, given.basis),
    )


def _change_timing(policy: AccrualRules, given: AccrualPolicyInput) -> AccrualRules:
    path = "accrual"
    delay = choose_given(given.mature_delay, None, path, "mature_delay")
    slack = choose_given(given.mature_slack, None, path, "mature_slack")
    latest = choose_given(given.latest_report, None, path, "latest_report")
    return AccrualRules(
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
