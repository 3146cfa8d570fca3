"""Facts that happened, as they are stored in the outbox: ids and numbers, never names or addresses of people."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar

from loyalty.rules.ids import AccrualId, AdjustmentId, CustomerId, EntryId, PurchaseId, TierId
from loyalty.rules.tiers import TierChangeCause

JsonObject = dict[str, str | int | None]


class EventKind(StrEnum):
    """The public name of an event: what it is about, then what happened to it."""

    POINTS_EARNED = "points.earned"
    POINTS_PENDING = "points.pending"
    POINTS_VOIDED = "points.voided"
    POINTS_REVERSED = "points.reversed"
    POINTS_ADJUSTED = "points.adjusted"
    TIER_UPGRADED = "tier.upgraded"
    TIER_DOWNGRADED = "tier.downgraded"


@dataclass(frozen=True, slots=True)
class PointsEarned:
    """A purchase earned points. `available` is the customer's after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_EARNED

    customer_id: CustomerId
    entry_id: EntryId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsPending:
    """A purchase earned points that cannot be spent yet; no entry exists for them."""

    kind: ClassVar[EventKind] = EventKind.POINTS_PENDING

    customer_id: CustomerId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int


@dataclass(frozen=True, slots=True)
class PointsVoided:
    """Pending points will not come: the purchase was called off."""

    kind: ClassVar[EventKind] = EventKind.POINTS_VOIDED

    customer_id: CustomerId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int


@dataclass(frozen=True, slots=True)
class PointsReversed:
    """Earned points were taken back. `points` is negative, `available` is the customer's after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_REVERSED

    customer_id: CustomerId
    entry_id: EntryId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsAdjusted:
    """Somebody corrected points by hand. `points` is signed, `available` is the customer's after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_ADJUSTED

    customer_id: CustomerId
    entry_id: EntryId
    adjustment_id: AdjustmentId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class TierUpgraded:
    """A customer came into a higher tier, or into a first one (no previous tier)."""

    kind: ClassVar[EventKind] = EventKind.TIER_UPGRADED

    customer_id: CustomerId
    previous_tier_id: TierId | None
    tier_id: TierId
    cause: TierChangeCause
    qualifying_points: int


@dataclass(frozen=True, slots=True)
class TierDowngraded:
    """A customer fell into a lower tier, or out of all of them (no tier)."""

    kind: ClassVar[EventKind] = EventKind.TIER_DOWNGRADED

    customer_id: CustomerId
    previous_tier_id: TierId
    tier_id: TierId | None
    cause: TierChangeCause
    qualifying_points: int


Event = PointsEarned | PointsPending | PointsVoided | PointsReversed | PointsAdjusted | TierUpgraded | TierDowngraded


def event_payload(event: Event) -> JsonObject:
    """Return what is stored of an event beside its kind: its fields, ids as text."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return {name: value if value is None or isinstance(value, int) else str(value) for name, value in values.items()}
