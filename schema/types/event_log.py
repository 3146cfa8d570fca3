"""The tenant's log of events, as it is polled: one type for events of every kind."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson
import strawberry

from loyalty.log.events import decode_row
from loyalty.rules.errors import InvalidInput
from loyalty.rules.event_subjects import EventSubject, find_subject
from loyalty.rules.events import EventKind
from loyalty.rules.ids import CustomerId
from loyalty.rules.money import Money as Amount
from loyalty.rules.purchase import PurchaseStatus
from loyalty.storage.events import EventRow
from schema.fields import computed
from schema.loaders import loaded
from schema.node_ids import encode_id
from schema.scalars import Cursor, Points
from schema.types.customer import Customer, PointsAccount
from schema.types.event import account_then
from schema.types.event_payload import show_payload
from schema.types.expiry import PointsLot
from schema.types.gift_card import GiftCard
from schema.types.ledger import Adjustment, LedgerEntry
from schema.types.money import Money
from schema.types.node import show_row
from schema.types.purchase import Purchase
from schema.types.redemption import Hold, Redemption
from schema.types.tier import Tier


class LoggedEventRow(NamedTuple):
    """An event of the log, with the rows that its payload names. A row that its kind does not have is None."""

    cursor: str
    kind: EventKind
    version: int
    stored: Mapping[str, Any]
    subject: EventSubject
    subject_row_id: UUID
    customer_id: CustomerId | None
    occurred_at: datetime
    points: int | None
    numbers: Mapping[str, int] | None
    entry_id: UUID | None
    purchase_id: UUID | None
    adjustment_id: UUID | None
    hold_id: UUID | None
    redemption_id: UUID | None
    lot_id: UUID | None
    previous_tier_id: UUID | None
    tier_id: UUID | None
    gift_card_id: UUID | None
    amount_minor: int | None
    currency: str | None
    previous_tier_name: str | None
    tier_name: str | None
    purchase_status: PurchaseStatus | None
    purchase_total_minor: int | None


@strawberry.type(
    description="A fact of the tenant's log. Which of the objects it names depends on its kind; the others are null. "
    "Objects are shown as they are now; `payload`, and fields that say so, tell what was so then."
)
class Event:
    cursor: Cursor = strawberry.field(description="Pass it as `after` to go on from here, without a gap.")
    kind: EventKind = strawberry.field(description="What happened. More kinds will come: ignore those you do not know.")
    version: int = strawberry.field(
        description="The version of the payload: which members it has. It is raised when a kind gets more of them."
    )
    subject: EventSubject = strawberry.field(description="What kind of object it is about. More may come.")
    customer: Customer | None = loaded(
        "customers",
        "customer_id",
        description="Whom it is about. For a gift card it is who had it then, else who bought it; null for a card that "
        "belonged to nobody.",
    )
    occurred_at: datetime = strawberry.field(description="When it happened.")
    points: Points | None = strawberry.field(
        description="How many points it is about, signed; null for tiers, and for money of gift cards."
    )
    entry: LedgerEntry | None = loaded("entries", "entry_id", description="The line of the ledger, where it made one.")
    purchase: Purchase | None = loaded(
        "purchases", "purchase_id", description="The purchase that earned or lost the points."
    )
    adjustment: Adjustment | None = loaded("adjustments", "adjustment_id", description="The correction by hand.")
    hold: Hold | None = loaded("holds", "hold_id", description="The points that were set aside or came back.")
    redemption: Redemption | None = loaded("redemptions", "redemption_id", description="The points that were spent.")
    lot: PointsLot | None = loaded("lots", "lot_id", description="The points that expired, or will.")
    previous_tier: Tier | None = loaded("tiers", "previous_tier_id", description="The tier before a change.")
    tier: Tier | None = loaded("tiers", "tier_id", description="The tier after a change.")
    previous_tier_name: str | None = strawberry.field(
        description="The name that the tier before the change had then; null in payloads of version 1."
    )
    tier_name: str | None = strawberry.field(
        description="The name that the tier after the change had then; null in payloads of version 1."
    )
    purchase_status: PurchaseStatus | None = strawberry.field(
        description="The status of the purchase then; null in payloads of version 1."
    )
    gift_card: GiftCard | None = loaded("gift_cards", "gift_card_id", description="The gift card that it is about.")

    @computed(description="How much money of a gift card it is about, signed; null for all else.")
    def amount(self) -> Money | None:
        """In the currency of the card."""
        row = cast("LoggedEventRow", self)
        if row.amount_minor is None or row.currency is None:
            return None
        return show_row(Money, Amount(row.amount_minor, row.currency))

    @computed(description="The total of the purchase then; null in payloads of version 1.")
    def purchase_total(self) -> Money | None:
        """In the currency of the program."""
        row = cast("LoggedEventRow", self)
        if row.purchase_total_minor is None or row.currency is None:
            return None
        return show_row(Money, Amount(row.purchase_total_minor, row.currency))

    @computed(
        description="What was so then, as a JSON object. Its members are those of the kind and the version: see the "
        "reference of events. More members may come with a later version; ignore those you do not know."
    )
    def payload(self) -> str:
        """Written when it is asked for."""
        return orjson.dumps(show_payload(cast("LoggedEventRow", self).stored)).decode()

    @computed(description="The global id of what it is about.")
    def subject_id(self) -> strawberry.ID:
        """Made from the kind of the subject and the id of its row."""
        row = cast("LoggedEventRow", self)
        return encode_id(NODE_OF_SUBJECT[row.subject], row.subject_row_id)

    @computed(
        description="The customer's account right after it, null without a customer; its value in money is that of the "
        "settings now."
    )
    async def account(self, info: strawberry.Info) -> PointsAccount | None:
        """The settings are read once for the whole page."""
        row = cast("LoggedEventRow", self)
        if row.customer_id is None or row.numbers is None:
            return None
        return await account_then(info, row.customer_id, row.numbers)


@strawberry.type(description="The next events of the tenant's log, in order.")
class EventPage:
    nodes: list[Event] = strawberry.field(description="The events.")
    end_cursor: Cursor = strawberry.field(
        description="Where to go on: pass it as `after`. It moves on even when no event of the page fits the filter."
    )
    has_next_page: bool = strawberry.field(description="Whether the log goes on already; else ask again later.")


NODE_OF_SUBJECT = {EventSubject.CUSTOMER: "Customer", EventSubject.GIFT_CARD: "GiftCard"}
"""The type of each kind of subject."""
_TOLD = (
    *("points", "entry_id", "purchase_id", "adjustment_id", "hold_id", "redemption_id", "lot_id", "previous_tier_id"),
    *("tier_id", "gift_card_id", "amount_minor", "currency", "previous_tier_name", "tier_name", "purchase_status"),
    "purchase_total_minor",
)
"""The fields of the classes of events. An event without such a field shows null."""


def check_kinds(kinds: Sequence[EventKind] | None) -> None:
    """Refuse a filter that fits no event. Raises InvalidInput."""
    if kinds is not None and not kinds:
        raise InvalidInput.one("kinds", reason="must name at least one kind; leave it out for all")


def show_event(row: EventRow, cursor: str) -> LoggedEventRow:
    """Return an event as the log shows it."""
    logged = decode_row(row)
    subject = find_subject(logged.event)
    return LoggedEventRow(
        cursor=cursor,
        kind=logged.event.kind,
        version=logged.version,
        stored=row.payload,
        subject=subject.kind,
        subject_row_id=subject.id,
        customer_id=logged.event.customer_id,
        occurred_at=logged.occurred_at,
        numbers=logged.customer and logged.customer.account,
        **{name: getattr(logged.event, name, None) for name in _TOLD},
    )
