"""Events of gift cards, as they are stored in the outbox: ids and numbers, never codes, names or addresses.

The customer of an event is the holder of the card at that time, else its buyer; None for a card with neither. Amounts
are in minor units of the card's currency.
"""

from dataclasses import dataclass
from typing import ClassVar

from loyalty.rules.events import EventKind
from loyalty.rules.ids import CustomerId, EntryId, GiftCardGiftId, GiftCardHoldId, GiftCardId


@dataclass(frozen=True, slots=True)
class GiftCardBought:
    """Points bought a gift card. `points` is negative, `available` is the customer's after it."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_BOUGHT
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    gift_card_id: GiftCardId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class GiftCardRefunded:
    """A bought gift card was cancelled, and its points came back. `available` is the customer's after it."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_REFUNDED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    entry_id: EntryId
    gift_card_id: GiftCardId
    points: int
    available: int


@dataclass(frozen=True, slots=True)
class GiftCardIssued:
    """A gift card was made with so much money."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_ISSUED
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    amount_minor: int
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class GiftCardHeld:
    """Money of a card was set aside. It counts as spent, and no entry exists for it yet."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_HELD
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    gift_card_hold_id: GiftCardHoldId
    amount_minor: int
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class GiftCardReleased:
    """Money that was set aside came back: released, not captured, or the time of the hold was over."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_RELEASED
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    gift_card_hold_id: GiftCardHoldId
    amount_minor: int
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class GiftCardSpent:
    """Money of a card was spent. `amount_minor` is negative."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_SPENT
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    gift_card_hold_id: GiftCardHoldId
    amount_minor: int
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class GiftCardReturned:
    """Money that was spent came back to the card."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_RETURNED
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    gift_card_hold_id: GiftCardHoldId
    amount_minor: int
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class GiftCardExpiring:
    """A notice: a card will expire in so many days. There is one for each card, expiry and number of days.

    `amount_minor` is the spendable money of the card, `expires_at` an ISO 8601 instant. `marketing_consent` is the
    customer's consent at that time; an unknown consent is false.
    """

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_EXPIRING
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    amount_minor: int
    currency: str
    balance_minor: int
    days_before: int
    expires_at: str
    marketing_consent: bool = False


@dataclass(frozen=True, slots=True)
class GiftCardExpired:
    """The validity of a card was over. `amount_minor` is the lost money, below zero."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_EXPIRED
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    amount_minor: int
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class GiftCardExtended:
    """A card got a later expiry. `amount_minor` had expired and came back, `expires_at` is an ISO 8601 instant."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_EXTENDED
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    amount_minor: int
    currency: str
    balance_minor: int
    expires_at: str


@dataclass(frozen=True, slots=True)
class GiftCardVoided:
    """A card was cancelled. `amount_minor` is the money that it lost, 0 or below."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_VOIDED
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    amount_minor: int
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class GiftCardGiven:
    """A card was handed to somebody. The customer of the event gave it; the gift names the receiver."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_GIVEN
    version: ClassVar[int] = 2

    customer_id: CustomerId | None
    gift_card_id: GiftCardId
    gift_id: GiftCardGiftId
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class GiftCardClaimed:
    """A customer took a card into their account."""

    kind: ClassVar[EventKind] = EventKind.GIFT_CARD_CLAIMED
    version: ClassVar[int] = 2

    customer_id: CustomerId
    gift_card_id: GiftCardId
    currency: str
    balance_minor: int


GiftCardEvent = (
    GiftCardBought
    | GiftCardRefunded
    | GiftCardIssued
    | GiftCardHeld
    | GiftCardReleased
    | GiftCardSpent
    | GiftCardReturned
    | GiftCardExpiring
    | GiftCardExpired
    | GiftCardExtended
    | GiftCardVoided
    | GiftCardGiven
    | GiftCardClaimed
)
