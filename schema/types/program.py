"""The tenant, and the settings of its program: the types to read them, and the inputs to change them."""

from dataclasses import replace
from datetime import datetime

import strawberry

from loyalty.rules.expiry import ExpiryPolicy as ExpiryRules
from loyalty.rules.features import Feature, sort_features
from loyalty.rules.program import ProgramSettings
from loyalty.rules.program_checks import CheckCode
from loyalty.rules.trusted_document import DocumentRule
from loyalty.storage.programs import ProgramRow
from loyalty.storage.tenants import TenantRow
from permissions.actor import ActorKind
from permissions.catalog import Permission
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed, replaced_by, shows
from schema.loaders import load
from schema.mutations.given import choose_given
from schema.scalars import Color, CurrencyCode, Locale, TimeZone
from schema.types.accrual_policy import AccrualPolicy, AccrualPolicyInput, change_accrual
from schema.types.customer import Customer
from schema.types.expiry import ExpiryPolicy, ExpiryPolicyInput, policy_from
from schema.types.location import scope_field
from schema.types.member import Member
from schema.types.node import Node, node_id, reads, row_of, show_row
from schema.types.redemption_policy import RedemptionPolicy, RedemptionPolicyInput, change_redemption
from schema.types.role import Role
from schema.types.tier_policy import TierPolicy, TierPolicyInput, change_tiering


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

    @computed(
        description="Whom the tenant limits to trusted documents, as `documentRuleSet` keeps it. Null for somebody "
        "who does not hold LOYALTY_READ, such as a customer."
    )
    def document_rule(self, info: Info) -> DocumentRule | None:
        """For the team alone."""
        row = row_of(TenantRow, self)
        return row.document_rule if reads_internals(info.context.actor) else None


@strawberry.type(description="The session of a person who signed in with a browser at their own identity provider.")
class ViewerSession:
    started_at: datetime = strawberry.field(description="When the person signed in.")
    expires_at: datetime = strawberry.field(
        description="When the session ends by itself, 8 hours later. It ends earlier by signing out, here or at the "
        "provider, and with the membership or the provider."
    )


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
    locations: list[str] | None = scope_field("the caller is")
    session: ViewerSession | None = strawberry.field(
        description="The session of who signed in with a browser; null for every other credential."
    )


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


def change_settings(settings: ProgramSettings, given: ProgramUpdateInput) -> ProgramSettings:
    """Return the settings after a change. An absent field stays as it is. Refusal: InvalidInput."""
    enabled = choose_given(given.enabled, settings.enabled, "enabled")
    return replace(
        change_accrual(settings, given.accrual or AccrualPolicyInput()),
        enabled=enabled,
        expiry=_change_expiry(settings.expiry, given.expiry),
        notice_days=tuple(choose_given(given.notice_days, settings.notice_days, "notice_days")),
        tiering=change_tiering(settings.tiering, given.tiering),
        gift_card_color=choose_given(given.gift_card_color, settings.gift_card_color, "gift_card_color"),
        redemption=change_redemption(settings.redemption, given.redemption)
        if given.redemption
        else settings.redemption,
    )


def _change_expiry(policy: ExpiryRules, given: ExpiryPolicyInput | None) -> ExpiryRules:
    changed = choose_given(given, None, "expiry")
    return policy if changed is None else policy_from(changed)
