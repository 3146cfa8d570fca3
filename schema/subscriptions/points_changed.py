"""``pointsChanged``: every change of a balance, as it happens."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import fields
from typing import Annotated, NamedTuple, cast

import strawberry

from loyalty.log.events import decode_row
from loyalty.rules.event_codec import EVENT_CLASSES
from loyalty.rules.ids import CustomerId, EntryId
from loyalty.storage.events import EventRow
from permissions.catalog import Permission
from schema.context import Info
from schema.fields import computed
from schema.guard import guarded_stream
from schema.loaders import loaded
from schema.scalars import Cursor
from schema.subscriptions.stream import find_watched_customer, follow
from schema.types.customer import CustomerBy, PointsAccount
from schema.types.event import account_then
from schema.types.ledger import LedgerEntry
from schema.types.node import show_row

ENTRY = "entry_id"
OF_ENTRIES = frozenset(kind for kind, told in EVENT_CLASSES.items() if ENTRY in {field.name for field in fields(told)})
"""The kinds of events that tell about an entry of the ledger."""


class PointsChangedRow(NamedTuple):
    """A change of points as an event tells it."""

    cursor: str
    entry_id: EntryId
    customer_id: CustomerId
    numbers: Mapping[str, int]


@strawberry.type(description="A customer's points changed; streamed once for each entry of the ledger.")
class PointsChanged:
    cursor: Cursor = strawberry.field(description="Pass it as `after` to go on from here, without a gap.")
    entry: LedgerEntry = loaded("entries", "entry_id", description="The line of the ledger.")

    @computed(description="The account right after it; its value in money is that of the settings now.")
    async def points(self, info: strawberry.Info) -> PointsAccount:
        """The settings are read here: if that fails for a passing reason, the event is read again."""
        row = cast("PointsChangedRow", self)
        return await account_then(info, row.customer_id, row.numbers)


class WatchedPoints(NamedTuple):
    """Chooses the changes of points of a subscription."""

    customer_id: CustomerId | None

    def show(self, event: EventRow, cursor_at: Callable[[int], Cursor]) -> PointsChanged | None:
        """Return the change in an event, if the subscription shows it."""
        if event.kind not in OF_ENTRIES or self.customer_id not in (None, event.customer_id):
            return None
        logged = decode_row(event)
        if event.customer_id is None or logged.customer is None:
            return None
        entry_id: EntryId = getattr(logged.event, ENTRY)
        row = PointsChangedRow(cursor_at(logged.position), entry_id, event.customer_id, logged.customer.account)
        return show_row(PointsChanged, row)


@guarded_stream(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="Streams each entry of the ledger once, in order. Customers see only their own.",
)
async def points_changed(
    info: Info,
    customer: Annotated[CustomerBy | None, strawberry.argument(description="Only this customer's.")] = None,
    after: Annotated[Cursor | None, strawberry.argument(description="Go on after this event, without a gap.")] = None,
) -> AsyncGenerator[PointsChanged, None]:
    """The account is the one right after the entry. Its value in money follows the present settings."""
    watch = WatchedPoints(await find_watched_customer(info, customer))
    async with aclosing(follow(info, after, watch)) as changes:
        async for change in changes:
            yield change
