"""Rows of a posting that nobody reads back in this shape. Each field is a column of its table.

Other rows of a posting are the row classes of `loyalty.storage`, for example ``HoldRow``. How a class is written
stands in `loyalty.ledger.parts`; a class of this module without a part there fails at import.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from loyalty.rules.event_subjects import EventSubject
from loyalty.rules.ids import (
    AccrualId,
    CustomerId,
    EntryId,
    EventId,
    GiftCardProductId,
    HoldId,
    LotId,
    PurchaseId,
    TierId,
)
from loyalty.rules.lots import LotState
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.tiers import TierChangeCause


class LedgerEntry(NamedTuple):
    """An entry with all that is stored of it: what clients see (``EntryRow``), its cause and phase, and its hash."""

    id: EntryId
    customer_id: CustomerId
    sequence: int
    kind: str
    points: int
    balance_after: int
    reference_kind: str
    reference_id: UUID
    occurred_at: datetime
    actor_kind: str
    actor: str
    actor_name: str | None
    reason: str | None
    cause_id: UUID
    phase: str
    hash: str


class LotAllocation(NamedTuple):
    """How many points an entry took from a lot; below zero where it gives them back."""

    entry_id: EntryId
    lot_id: LotId
    settled_by: UUID
    customer_id: CustomerId
    points: int
    taken_at: datetime


class OpenedLot(NamedTuple):
    """A lot that this posting opens."""

    id: LotId
    customer_id: CustomerId
    entry_id: EntryId
    cause_id: UUID
    original: int
    remaining: int
    held: int
    expired: int
    state: LotState
    opened_at: datetime
    expires_at: datetime | None
    opened_expires_at: datetime | None
    notice_at: datetime | None
    inactivity_days: int | None


class ChangedLot(NamedTuple):
    """A stored lot as it is after this posting. A lot changes only under the lock of its account."""

    id: LotId
    remaining: int
    held: int
    expired: int
    state: LotState
    expires_at: datetime | None
    notice_at: datetime | None


class PutOff(NamedTuple):
    """The customer was active: the expiry of open lots with so many ``inactivity_days`` moves to ``expires_at``."""

    customer_id: CustomerId
    inactivity_days: int
    expires_at: datetime
    notice_at: datetime | None
    active_at: datetime


class ExpiryNotice(NamedTuple):
    """The customer was told that points of a lot will expire."""

    lot_id: LotId
    expires_at: datetime
    days_before: int
    told_at: datetime


class ChangedAccount(NamedTuple):
    """An account as it is after this posting. An account changes only under its lock."""

    customer_id: CustomerId
    available: int
    pending: int
    held: int
    debt: int
    lifetime_earned: int
    qualifying: int
    tier_id: TierId | None
    sequence: int
    chain: str
    window_started_at: datetime | None
    window_points: int
    previous_window_points: int
    standing: int
    standing_by: str
    tier_review_at: datetime | None
    tier_locked: bool
    tier_locked_until: datetime | None
    closed: bool
    archived_at: datetime | None
    updated_at: datetime


class TierMove(NamedTuple):
    """A tier change with all that is stored of it: what clients see (``TierChangeRow``), and where the tiers began."""

    id: UUID
    customer_id: CustomerId
    from_tier_id: TierId | None
    to_tier_id: TierId | None
    upgraded: bool
    cause: TierChangeCause
    cause_id: UUID | None
    qualifying: int
    actor: str
    note: str | None
    changed_at: datetime
    actor_kind: str | None
    actor_name: str | None
    from_min_points: int | None
    to_min_points: int | None


class OutboxEvent(NamedTuple):
    """An event that the relay will give a position. The subject is the customer where ``subject_id`` is None."""

    id: EventId
    kind: str
    subject_kind: EventSubject
    subject_id: UUID | None
    customer_id: CustomerId | None
    entry_id: EntryId | None
    payload: dict[str, Any]
    occurred_at: datetime


class PurchaseFact(NamedTuple):
    """What a report told about a purchase, at the version that the report made."""

    purchase_id: PurchaseId
    version: int
    fingerprint: str
    status: PurchaseStatus
    facts: dict[str, Any]
    recorded_at: datetime
    recorded_by: str
    report_key: str | None = None
    report_client: str | None = None
    state_mark: str | None = None
    actor_kind: str | None = None
    actor_name: str | None = None


class FormerValuation(NamedTuple):
    """A valuation of an accrual that another one replaces."""

    accrual_id: AccrualId
    number: int
    points: int
    breakdown: list[dict[str, Any]]
    points_paid_minor: int | None
    cards_paid_minor: int | None
    replaced_at: datetime
    replaced_by: str


class CheckoutVersion(NamedTuple):
    """The checkout of a purchase at the version that a new hold makes. Only one of two holds can make a version."""

    purchase_kind: PurchaseKind
    purchase_external_id: str
    version: int
    opened_at: datetime


class SeenCheckout(NamedTuple):
    """The version of a checkout that the decision was made with; 0 where there was none. Nothing is written."""

    purchase_kind: PurchaseKind
    purchase_external_id: str
    version: int


class UnrecordedPurchase(NamedTuple):
    """A purchase that was not recorded when the decision was made. Nothing is written."""

    purchase_kind: PurchaseKind
    purchase_external_id: str


class ProductSale(NamedTuple):
    """So many more cards of a product, or fewer where one was cancelled.

    A sale happens only at the version of the product that it was decided with, and within its stock; null for a
    cancellation, which may always happen.
    """

    product_id: GiftCardProductId
    cards: int
    version: int | None = None


class HeldLot(NamedTuple):
    """The points of a lot that a hold sets aside, and the points of them that went back early."""

    hold_id: HoldId
    lot_id: LotId
    customer_id: CustomerId
    points: int
    lowered_points: int = 0


class CustomerConsent(NamedTuple):
    """A consent that was given or withdrawn."""

    id: UUID
    customer_id: CustomerId
    granted: bool
    source: str | None
    told_at: datetime
    recorded_at: datetime
    actor_kind: str
    actor: str


class ProfileChange(NamedTuple):
    """A field of a customer that was told otherwise."""

    id: UUID
    customer_id: CustomerId
    field: str
    before: Any
    after: Any
    told_at: datetime
    recorded_at: datetime
    actor_kind: str
    actor: str


class CustomerWord(NamedTuple):
    """A word that the search finds a customer by."""

    customer_id: CustomerId
    word: str


class CustomerIdentifier(NamedTuple):
    """A folded identifier that leads to a customer. It moves only from an ``IdentifierOwner`` of the same posting."""

    customer_id: CustomerId
    type: str
    value: str


class IdentifierOwner(NamedTuple):
    """A customer who has the identifiers of this posting and no others."""

    id: CustomerId


class CustomerTag(NamedTuple):
    """A folded tag that a filter finds a customer by."""

    customer_id: CustomerId
    tag: str


class TagOwner(NamedTuple):
    """A customer who has the tags of this posting and no others."""

    id: CustomerId


class SearchMark(NamedTuple):
    """Which words, identifiers and tags lead to a customer from now on, and what the histories end with."""

    id: CustomerId
    search_mark: str
    consent_kept: bool | None
    profile_kept: dict[str, Any]
