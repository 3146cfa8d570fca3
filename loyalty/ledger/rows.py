"""Rows of a posting that no code reads back in this form. Each field is a column of its table.

Other rows of a posting are row classes of `loyalty.storage`, for example ``HoldRow``. `loyalty.ledger.parts` says how a
class is written; a class of this module without a part there fails at import.
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
    """A whole stored entry: the fields that clients see (``EntryRow``), its cause and phase, and its hash."""

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
    """How many points an entry took from a lot; below zero if it gave points back."""

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
    """An activity of a customer: open lots with so many ``inactivity_days`` now expire at ``expires_at``."""

    customer_id: CustomerId
    inactivity_days: int
    expires_at: datetime
    notice_at: datetime | None
    active_at: datetime


class ExpiryNotice(NamedTuple):
    """A notice to the customer that points of a lot will expire."""

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
    active_at: datetime | None
    updated_at: datetime


class TierMove(NamedTuple):
    """A whole stored tier change: the fields that clients see (``TierChangeRow``), and the minima of both tiers."""

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
    """An event that the relay will give a position. If ``subject_id`` is None, the customer is the subject."""

    id: EventId
    kind: str
    subject_kind: EventSubject
    subject_id: UUID | None
    customer_id: CustomerId | None
    entry_id: EntryId | None
    payload: dict[str, Any]
    occurred_at: datetime


class PurchaseFact(NamedTuple):
    """A fact of a purchase: the content of one report. The report made this version of the purchase."""

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
    """The checkout of a purchase, at the version that a new hold makes. Only one hold can make a version."""

    purchase_kind: PurchaseKind
    purchase_external_id: str
    version: int
    opened_at: datetime


class SeenCheckout(NamedTuple):
    """The version of a checkout at the decision; 0 if there was no checkout. It is compared, and nothing is written."""

    purchase_kind: PurchaseKind
    purchase_external_id: str
    version: int


class UnrecordedPurchase(NamedTuple):
    """A purchase that was not recorded at the decision. It is checked again, and nothing is written."""

    purchase_kind: PurchaseKind
    purchase_external_id: str


class ProductSale(NamedTuple):
    """A change of the number of sold cards of a product: above zero for a sale, below zero for a cancellation.

    A sale needs the product's ``version`` at the decision, and enough stock. A cancellation needs neither; its version
    is None.
    """

    product_id: GiftCardProductId
    cards: int
    version: int | None = None


class HeldLot(NamedTuple):
    """The ``points`` of a lot that a hold sets aside, and how many of them were freed early (``lowered_points``)."""

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
    """A change of one field of a customer's profile."""

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
    """A word by which the search finds a customer."""

    customer_id: CustomerId
    word: str


class CustomerIdentifier(NamedTuple):
    """A folded identifier of a customer.

    It can pass to another customer only if its ``IdentifierOwner`` is in the posting.
    """

    customer_id: CustomerId
    type: str
    value: str


class IdentifierOwner(NamedTuple):
    """A customer who gets exactly the identifiers of this posting."""

    id: CustomerId


class CustomerTag(NamedTuple):
    """A folded tag by which a filter finds a customer."""

    customer_id: CustomerId
    tag: str


class TagOwner(NamedTuple):
    """A customer who gets exactly the tags of this posting."""

    id: CustomerId


class SearchMark(NamedTuple):
    """The digest of a customer's indexed words, identifiers and tags, and the last state of their histories."""

    id: CustomerId
    search_mark: str
    consent_kept: bool | None
    profile_kept: dict[str, Any]
