"""An event at its place in the log, as the class that was written, with what was so just then."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from loyalty.rules.event_codec import AnyEvent, decode_event
from loyalty.storage.events import EventRow


class LoggedEvent(NamedTuple):
    """An event of the log."""

    position: int
    event: AnyEvent
    account: Mapping[str, int]
    """The numbers of the customer's account right after it."""
    locale: str | None
    """The customer's language just then."""
    occurred_at: datetime


def decode_row(row: EventRow) -> LoggedEvent:
    """Return the event that a row of the log holds. Raises UnknownEvent and UnreadableEvent."""
    return LoggedEvent(
        position=row.position,
        event=decode_event(row.kind, row.payload),
        account=row.payload["account"],
        locale=row.payload.get("locale"),
        occurred_at=row.occurred_at,
    )
