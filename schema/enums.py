"""Publish the enums of the rules in the contract, with a description for each value."""

import strawberry

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualState, EvaluateOn, MatureOn, Revalue
from loyalty.rules.adjustment import AdjustmentReason, Direction
from loyalty.rules.archive import ArchiveCause
from loyalty.rules.audit import AuditAction, AuditSubject
from loyalty.rules.basis import TaxBasis
from loyalty.rules.catalog import CatalogEarning
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.earning import CatalogKind, ConditionKind, EarnScope, Outcome, Stacking, Weekday, WeekdayOf
from loyalty.rules.entry import DisplayColor, EntryKind
from loyalty.rules.event_subjects import EventSubject
from loyalty.rules.events import EventKind
from loyalty.rules.expiry import ExpiryKind, Period
from loyalty.rules.features import Feature
from loyalty.rules.gift_card import GiftCardState
from loyalty.rules.gift_card_product import ValidityKind
from loyalty.rules.job import JobKind, JobState
from loyalty.rules.listing import OrderDirection, PointsSign
from loyalty.rules.nothing_earned import NothingReason
from loyalty.rules.payments import PaymentKind
from loyalty.rules.presets import Preset
from loyalty.rules.profile_history import ProfileField
from loyalty.rules.program_checks import CheckCode
from loyalty.rules.purchase import LineKind, PurchaseKind, PurchaseStatus
from loyalty.rules.reassignment import ReassignmentObstacle
from loyalty.rules.redemption import CaptureOn, DiscountLimit, DiscountMethod, HoldState, PointsReason, RestorePolicy
from loyalty.rules.refund import RefundPolicy
from loyalty.rules.refund_points import ReturnPoints
from loyalty.rules.rounding import Rounding
from loyalty.rules.tiers import Downgrade, TierBasis, TierChangeCause
from loyalty.rules.trusted_document import DocumentRule
from loyalty.rules.warning import WarningCode
from loyalty.storage.customers import CustomerOrder, PointsFilter
from permissions.actor import ActorKind
from permissions.catalog import Permission
from permissions.roles import TeamRole

_GRAPHQL_NAMES: dict[type[DescribedEnum], str] = {
    LineKind: "PurchaseLineKind",
    Period: "CalendarPeriod",
    Preset: "ProgramPreset",
    Outcome: "EarningOutcome",
    ConditionKind: "EarningConditionKind",
    EntryKind: "LedgerEntryKind",
    Direction: "AdjustmentDirection",
    CheckCode: "ProgramCheckCode",
    ValidityKind: "GiftCardValidityKind",
}
"""The enums with longer names in the contract, where all names stand side by side."""

_PUBLISHED: tuple[type[DescribedEnum], ...] = (
    ActorKind,
    Permission,
    EvaluateOn,
    MatureOn,
    TaxBasis,
    RefundPolicy,
    LineKind,
    PaymentKind,
    ExpiryKind,
    Period,
    Preset,
    PurchaseKind,
    PurchaseStatus,
    Weekday,
    Rounding,
    Stacking,
    EarnScope,
    WeekdayOf,
    Outcome,
    ConditionKind,
    CatalogEarning,
    CatalogKind,
    CheckCode,
    EntryKind,
    EventKind,
    EventSubject,
    DisplayColor,
    Revalue,
    AccrualState,
    AdjustmentReason,
    Direction,
    Overdraft,
    ArchiveCause,
    ProfileField,
    TierChangeCause,
    TierBasis,
    Downgrade,
    DiscountMethod,
    CaptureOn,
    DiscountLimit,
    GiftCardState,
    PointsReason,
    HoldState,
    RestorePolicy,
    ReturnPoints,
    ReassignmentObstacle,
    AuditSubject,
    AuditAction,
    PointsFilter,
    CustomerOrder,
    JobKind,
    JobState,
    WarningCode,
    OrderDirection,
    PointsSign,
    ValidityKind,
    NothingReason,
    TeamRole,
    Feature,
    DocumentRule,
)


CLOSED: frozenset[type[DescribedEnum]] = frozenset({Weekday, OrderDirection, PointsSign, Direction})
"""The enums that never get further values."""
MORE_MAY_COME = "More values may come: give every branch over them a default."


def describe_enum(kind: type[DescribedEnum]) -> str:
    """Describe an enum for clients. The text says if further values may come."""
    described = kind.describe_whole()
    grows = kind not in CLOSED and not any(f" {word} come" in described for word in ("may", "will"))
    return f"{described} {MORE_MAY_COME}" if grows else described


def publish_enum(kind: type[DescribedEnum]) -> None:
    """Publish an enum of the rules with the descriptions of the enum and its values."""
    strawberry.enum(kind, name=_GRAPHQL_NAMES.get(kind), description=describe_enum(kind))
    definition = kind.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = kind[value.name].description


for _kind in _PUBLISHED:
    publish_enum(_kind)
