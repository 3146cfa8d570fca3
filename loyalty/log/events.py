"""An event at its position in the log, as the class that was written, with the customer at that moment."""

from datetime import datetime
from typing import NamedTuple

from loyalty.rules.event_codec import AnyEvent, CustomerThen, decode_customer, decode_event, read_version
from loyalty.storage.events import EventRow


class LoggedEvent(NamedTuple):
    """An event of the log."""

    position: int
    version: int
    """The version of the payload that was written."""
    event: AnyEvent
    customer: CustomerThen | None
    """The customer's numbers right after the event; None for an event about no customer."""
    occurred_at: datetime


def decode_row(row: EventRow) -> LoggedEvent:
    """Return the event of a row of the log. Raises UnknownEvent and UnreadableEvent."""
    return LoggedEvent(
        position=row.position,
        version=read_version(row.payload),
        event=decode_event(row.kind, row.payload),
        customer=decode_customer(row.payload),
        occurred_at=row.occurred_at,
    )
