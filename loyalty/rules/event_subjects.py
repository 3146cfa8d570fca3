"""The subject of an event: each family of events has one kind of subject, and one field with the subject's id."""

from collections.abc import Mapping
from typing import NamedTuple, cast, get_args
from uuid import UUID

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.event_codec import AnyEvent
from loyalty.rules.events import Event
from loyalty.rules.gift_card_events import GiftCardEvent


class EventSubject(DescribedEnum):
    """What an event is about. More may come."""

    CUSTOMER = "CUSTOMER", "A customer: points, tiers and the customer themself."
    GIFT_CARD = "GIFT_CARD", "A gift card, whoever has it; also one that belongs to nobody."


class Subject(NamedTuple):
    """A subject of events."""

    kind: EventSubject
    id: UUID


_FAMILIES = ((Event, EventSubject.CUSTOMER, "customer_id"), (GiftCardEvent, EventSubject.GIFT_CARD, "gift_card_id"))
_NAMED_BY: Mapping[type, tuple[EventSubject, str]] = {
    known: (kind, field) for family, kind, field in _FAMILIES for known in get_args(family)
}


def find_subject(event: AnyEvent) -> Subject:
    """Return the subject of an event."""
    kind, field = _NAMED_BY[type(event)]
    return Subject(kind, cast("UUID", getattr(event, field)))
