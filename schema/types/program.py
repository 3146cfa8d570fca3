"""The tenant and the settings of its program."""

from datetime import datetime
from typing import Any

import strawberry

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import EvaluateOn, MatureOn, Revalue
from loyalty.rules.basis import TaxBasis
from loyalty.rules.durations import format_minutes
from loyalty.rules.earning import EarnScope, Stacking, WeekdayOf
from loyalty.rules.expiry import Period
from loyalty.rules.features import Feature, sort_features
from loyalty.rules.money import Money as Amount
from loyalty.rules.program import ProgramSettings
from loyalty.rules.program_checks import CheckCode
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import DiscountMethod, RestorePolicy
from loyalty.rules.refund import RefundPolicy
from loyalty.rules.tiers import Downgrade, TierBasis
from loyalty.storage.programs import ProgramRow
from loyalty.storage.tenants import TenantRow
from permissions.actor import ActorKind
from permissions.catalog import Permission
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed, replaced_by, shows
from schema.loaders import load
from schema.scalars import Color, CurrencyCode, Duration, Locale, Points, TimeZone
from schema.types.customer import Customer
from schema.types.expiry import ExpiryPolicy
from schema.types.member import Member
from schema.types.money import Money
from schema.types.node import Node, node_id, reads, row_of, show_row
from schema.types.role import Role


@strawberry.type(description="A business on the platform.")
class Tenant(Node):
    is_type_of = reads(TenantRow)

    id: strawberry.ID = node_id("Tenant")
    name: str = strawberry.field(description="The name of the business.")
    currency: CurrencyCode = strawberry.field(description="The currency its program counts in.")
    time_zone: TimeZone = strawberry.field(description="The zone of its days, where no location says otherwise.")
    default_locale: Locale = shows("locale", description="The language of the business.")
    locale: Locale = strawberry.field(
        description="The language of the business.", deprecation_reason=replaced_by("defaultLocale")
    )
    loyalty_entitled: bool = strawberry.field(
        description="Whether the platform grants the loyalty module; `program.enabled` tells whether it is on as well."
    )
    sandbox: bool = strawberry.field(description="Whether it is there to try things in, with a clock of its own.")

    @computed(description="What the tenant's clock shows: the real time, or further in a sandbox.")
    def now(self, info: Info) -> datetime:
        """The process's clock, and how far the sandbox is ahead."""
        row = row_of(TenantRow, self)
        return info.context.world.clock() + row.clock_advance

    @computed(
        description="The modules of the business that are on, as `featureSet` keeps them, the program among them. Null "
        "for who does not hold LOYALTY_READ, such as a customer."
    )
    def features(self, info: Info) -> list[Feature] | None:
        """For the team alone."""
        row = row_of(TenantRow, self)
        return sort_features(row.features) if reads_internals(info.context.actor) else None

    @computed(
        description="The origins of browser pages that may call, as `allowedOriginsSet` keeps them. Null for somebody "
        "who does not hold LOYALTY_READ, such as a customer."
    )
    def allowed_origins(self, info: Info) -> list[str] | None:
        """For the team alone."""
        row = row_of(TenantRow, self)
        return row.allowed_origins if reads_internals(info.context.actor) else None


@strawberry.type(description="Who is calling, as the credential tells.")
class Viewer:
    kind: ActorKind = strawberry.field(description="What sort of caller.")
    name: str = strawberry.field(description="The name in the credential.")
    tenant: Tenant = strawberry.field(description="The tenant, which only the credential names.")
    permissions: list[Permission] = strawberry.field(description="What the caller may do.")
    customer: Customer | None = strawberry.field(description="The customer, when a customer is calling.")
    roles: list[Role] = strawberry.field(
        description="The roles of a person of the team: that of a member, else all that a claim stands for."
    )
    role: Role | None = strawberry.field(
        description="The role of a person of the team who has one alone; null for several, and for everybody else."
    )
    member: Member | None = strawberry.field(description="The caller as a member of the team; null for everybody else.")


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
    weekday_of: WeekdayOf = strawberry.field(description="Whose weekday a weekday condition looks at.")

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

    @computed(description="Whether a purchase that changes after its evaluation is valued anew.")
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


@strawberry.type(description="How tiers are reached and lost. All but `basis` do nothing with LIFETIME_EARNED.")
class TierPolicy:
    basis: TierBasis = strawberry.field(description="Which points lead to a tier.")
    window: Period = strawberry.field(description="Which part of the calendar a window is, where the tenant is.")
    downgrade: Downgrade = strawberry.field(description="Whether time may lower a tier.")
    grace_days: int = strawberry.field(description="How many days after a window a tier stays.")


@strawberry.type(description="One thing that the program still lacks before it earns and pays.")
class ProgramCheck:
    code: CheckCode = strawberry.field(description="What it lacks. More codes may come.")
    message: str = strawberry.field(description="A sentence for people, in English.")
    path: list[str] = strawberry.field(
        description="Where it is set: a field of the program, `earningRules`, `tiers`, or `catalogItems` with kind and "
        "external id."
    )


@strawberry.type(description="The tenant's loyalty settings; every edit is a new version.")
class Program(Node):
    is_type_of = reads(ProgramRow)

    id: strawberry.ID = node_id("Program", "tenant_id")
    version: int = strawberry.field(description="Counts edits of the settings.")
    currency: CurrencyCode = strawberry.field(description="The currency the program counts in.")

    @computed(description="Whether the program runs. Off, nothing is earned, redeemed or shown.")
    def enabled(self) -> bool:
        """From the settings."""
        return row_of(ProgramRow, self).settings.enabled

    @computed(description="How purchases are turned into points.")
    def accrual_policy(self) -> AccrualPolicy:
        """From the settings."""
        return show_row(AccrualPolicy, row_of(ProgramRow, self).settings)

    @computed(
        description="What the program still lacks, also while it is off; empty for one that earns and pays, and for "
        "customers."
    )
    async def checks(self, info: Info) -> list[ProgramCheck]:
        """Settings, rules, tiers and catalogue are read for it."""
        return await load(info, "program_checks", None) or []

    @computed(description="When points expire, unless their rule says otherwise.")
    def expiry_policy(self) -> ExpiryPolicy:
        """From the settings."""
        return show_row(ExpiryPolicy, row_of(ProgramRow, self).settings.expiry)

    @computed(description="How points become a discount at checkout.")
    def redemption_policy(self) -> RedemptionPolicy:
        """From the settings."""
        return show_row(RedemptionPolicy, row_of(ProgramRow, self).settings.redemption)

    @computed(description="How purchases are turned into points.", deprecation_reason=replaced_by("accrualPolicy"))
    def accrual(self) -> AccrualPolicy:
        """From the settings."""
        return show_row(AccrualPolicy, row_of(ProgramRow, self).settings)

    @computed(
        description="When points expire, unless their rule says otherwise.",
        deprecation_reason=replaced_by("expiryPolicy"),
    )
    def expiry(self) -> ExpiryPolicy:
        """From the settings."""
        return show_row(ExpiryPolicy, row_of(ProgramRow, self).settings.expiry)

    @computed(description="How many days before the expiry of points their owner is told.")
    def notice_days(self) -> list[int]:
        """From the settings, most days first."""
        return sorted(row_of(ProgramRow, self).settings.notice_days, reverse=True)

    @computed(description="The colour of printed gift cards; the text on it is black or white, whichever reads better.")
    def gift_card_color(self) -> Color:
        """From the settings."""
        return Color(row_of(ProgramRow, self).settings.gift_card_color)

    @computed(description="How tiers are reached and lost.")
    def tiering(self) -> TierPolicy:
        """From the settings."""
        return show_row(TierPolicy, row_of(ProgramRow, self).settings.tiering)

    @computed(
        description="How points become a discount at checkout.", deprecation_reason=replaced_by("redemptionPolicy")
    )
    def redemption(self) -> RedemptionPolicy:
        """From the settings."""
        return show_row(RedemptionPolicy, row_of(ProgramRow, self).settings.redemption)
