"""Events as they are stored in the outbox: ids and numbers, never names or addresses of people.

The payload of each kind is public and has a version. A member that a later version adds has a default, for payloads
that do not have it. No member is ever removed, or changes its type or its meaning.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple
from uuid import UUID

from loyalty.rules.archive import ArchiveCause
from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.erasure import ErasureCause
from loyalty.rules.ids import (
    AccrualId,
    AdjustmentId,
    CustomerId,
    CustomerMergeId,
    EntryId,
    HoldId,
    LotId,
    OpeningBalanceId,
    PurchaseId,
    RedemptionId,
    TierId,
)
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.tiers import TierChangeCause


class EventKind(DescribedEnum):
    """What an event tells. More kinds will come: ignore those you do not know."""

    POINTS_EARNED = "points.earned", "A purchase earned points that can be spent."
    POINTS_PENDING = "points.pending", "A purchase earned points that cannot be spent yet."
    POINTS_VOIDED = "points.voided", "Pending points will not come."
    POINTS_REVERSED = "points.reversed", "Earned points were taken back."
    POINTS_ADJUSTED = "points.adjusted", "Somebody corrected the points by hand."
    POINTS_HELD = "points.held", "Points were set aside at a checkout."
    POINTS_RELEASED = "points.released", "Points that were set aside came back."
    POINTS_REDEEMED = "points.redeemed", "Points were spent."
    POINTS_RETURNED = "points.returned", "Spent points were given back."
    POINTS_EXPIRING = "points.expiring", "Points will expire soon."
    POINTS_EXPIRED = "points.expired", "Points passed their date."
    POINTS_OPENED = "points.opened", "A customer brought points along."
    POINTS_MERGED = "points.merged", "Points moved when two customers became one."
    GIFT_CARD_BOUGHT = "gift_card.bought", "Points bought a gift card."
    GIFT_CARD_REFUNDED = "gift_card.refunded", "A bought gift card was cancelled, and its points came back."
    GIFT_CARD_ISSUED = "gift_card.issued", "A gift card was made, for a customer or for nobody yet."
    GIFT_CARD_HELD = "gift_card.held", "Money of a gift card was set aside at a checkout."
    GIFT_CARD_RELEASED = "gift_card.released", "Money of a gift card that was set aside came back."
    GIFT_CARD_SPENT = "gift_card.spent", "Money of a gift card was spent."
    GIFT_CARD_RETURNED = "gift_card.returned", "Money that was spent came back to a gift card."
    GIFT_CARD_EXPIRING = "gift_card.expiring", "A gift card will expire soon."
    GIFT_CARD_EXPIRED = "gift_card.expired", "The time of a gift card was over, and what was left of it is lost."
    GIFT_CARD_EXTENDED = "gift_card.extended", "A gift card got a later expiry."
    GIFT_CARD_VOIDED = "gift_card.voided", "A gift card was cancelled."
    GIFT_CARD_GIVEN = "gift_card.given", "A gift card was handed to somebody."
    GIFT_CARD_CLAIMED = "gift_card.claimed", "A customer took a gift card into their account."
    TIER_UPGRADED = "tier.upgraded", "A customer came into a higher tier."
    TIER_DOWNGRADED = "tier.downgraded", "A customer fell into a lower tier."
    CUSTOMER_ARCHIVED = "customer.archived", "A customer was archived."
    CUSTOMER_UNARCHIVED = "customer.unarchived", "An archived customer came back."
    CUSTOMER_ERASED = "customer.erased", "All that names the person was taken away; erase your copies, too."


class PurchaseThen(NamedTuple):
    """A purchase at the time of an event about its points. These are the last fields of such an event."""

    status: PurchaseStatus
    total_minor: int
    refunded_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class PointsEarned:
    """A purchase earned points. `available` are the customer's available points after it.

    The fields `purchase_…` say how the purchase was at that time.
    """

    kind: ClassVar[EventKind] = EventKind.POINTS_EARNED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int
    available: int
    purchase_status: PurchaseStatus | None = None
    purchase_total_minor: int | None = None
    purchase_refunded_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PointsPending:
    """A purchase earned points that cannot be spent yet; no entry exists for them."""

    kind: ClassVar[EventKind] = EventKind.POINTS_PENDING
    version: ClassVar[int] = 2

    customer_id: CustomerId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int
    purchase_status: PurchaseStatus | None = None
    purchase_total_minor: int | None = None
    purchase_refunded_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PointsVoided:
    """Pending points will not come: the purchase was called off."""

    kind: ClassVar[EventKind] = EventKind.POINTS_VOIDED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int
    purchase_status: PurchaseStatus | None = None
    purchase_total_minor: int | None = None
    purchase_refunded_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PointsReversed:
    """Earned points were taken back. `points` is negative; `available` are the customer's available points after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_REVERSED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    purchase_id: PurchaseId
    accrual_id: AccrualId
    points: int
    available: int
    purchase_status: PurchaseStatus | None = None
    purchase_total_minor: int | None = None
    purchase_refunded_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PointsAdjusted:
    """Somebody corrected points by hand. `points` is signed; `available` are the customer's points after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_ADJUSTED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    adjustment_id: AdjustmentId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsHeld:
    """Points were set aside at a checkout. They count as spent, and no entry exists for them yet."""

    kind: ClassVar[EventKind] = EventKind.POINTS_HELD
    version: ClassVar[int] = 2

    customer_id: CustomerId
    hold_id: HoldId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsReleased:
    """Points that were set aside came back: released, not captured, or their time was over."""

    kind: ClassVar[EventKind] = EventKind.POINTS_RELEASED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    hold_id: HoldId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsRedeemed:
    """Held points were spent. `points` is negative; `available` are the customer's available points after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_REDEEMED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    redemption_id: RedemptionId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsReturned:
    """Spent points were given back, to the lots they came from."""

    kind: ClassVar[EventKind] = EventKind.POINTS_RETURNED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    redemption_id: RedemptionId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsExpiring:
    """A notice: a lot will expire in so many days. There is one for each lot, date and number of days.

    `points` are the points that will expire, `expires_at` is an ISO 8601 instant. `marketing_consent` is the customer's
    consent at that time; an unknown consent is false.
    """

    kind: ClassVar[EventKind] = EventKind.POINTS_EXPIRING
    version: ClassVar[int] = 2

    customer_id: CustomerId
    lot_id: LotId
    points: int
    days_before: int
    expires_at: str
    marketing_consent: bool = False


@dataclass(frozen=True, slots=True)
class PointsExpired:
    """The remaining points of a lot expired. `points` is negative; `available` are the customer's points after it."""

    kind: ClassVar[EventKind] = EventKind.POINTS_EXPIRED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    lot_id: LotId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsOpened:
    """A customer came with points from elsewhere."""

    kind: ClassVar[EventKind] = EventKind.POINTS_OPENED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    opening_balance_id: OpeningBalanceId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class PointsMerged:
    """A merge moved points from the source to the target. `points` is negative for the source."""

    kind: ClassVar[EventKind] = EventKind.POINTS_MERGED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    merge_id: CustomerMergeId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class TierUpgraded:
    """A customer came into a higher tier, or into a first one (no previous tier)."""

    kind: ClassVar[EventKind] = EventKind.TIER_UPGRADED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    previous_tier_id: TierId | None
    tier_id: TierId
    cause: TierChangeCause
    qualifying_points: int
    previous_tier_name: str | None = None
    tier_name: str | None = None


@dataclass(frozen=True, slots=True)
class TierDowngraded:
    """A customer fell into a lower tier, or out of all of them (no tier)."""

    kind: ClassVar[EventKind] = EventKind.TIER_DOWNGRADED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    previous_tier_id: TierId
    tier_id: TierId | None
    cause: TierChangeCause
    qualifying_points: int
    previous_tier_name: str | None = None
    tier_name: str | None = None


@dataclass(frozen=True, slots=True)
class CustomerArchived:
    """A customer was archived."""

    kind: ClassVar[EventKind] = EventKind.CUSTOMER_ARCHIVED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    archiving_id: UUID
    cause: ArchiveCause


@dataclass(frozen=True, slots=True)
class CustomerUnarchived:
    """An archived customer came back."""

    kind: ClassVar[EventKind] = EventKind.CUSTOMER_UNARCHIVED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    archiving_id: UUID
    cause: ArchiveCause


@dataclass(frozen=True, slots=True)
class CustomerErased:
    """All that names the person was taken away."""

    kind: ClassVar[EventKind] = EventKind.CUSTOMER_ERASED
    version: ClassVar[int] = 3

    customer_id: CustomerId
    cause: ErasureCause = ErasureCause.CALL


Event = (
    PointsEarned
    | PointsPending
    | PointsVoided
    | PointsReversed
    | PointsAdjusted
    | PointsHeld
    | PointsReleased
    | PointsRedeemed
    | PointsReturned
    | PointsExpiring
    | PointsExpired
    | PointsOpened
    | PointsMerged
    | TierUpgraded
    | TierDowngraded
    | CustomerArchived
    | CustomerUnarchived
    | CustomerErased
)
