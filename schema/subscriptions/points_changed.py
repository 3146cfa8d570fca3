"""``pointsChanged``: every change of a balance, as it happens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import fields
from typing import Annotated

import strawberry

from loyalty.log.events import decode_row
from loyalty.rules.event_codec import EVENT_CLASSES
from loyalty.rules.ids import EntryId
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded_stream
from schema.scalars import Cursor
from schema.subscriptions.stream import event_cursor, follow, watched_customer
from schema.types.customer import CustomerBy
from schema.types.event import PointsChanged, PointsChangedRow
from schema.types.node import shown

ENTRY = "entry_id"
OF_ENTRIES = frozenset(kind for kind, told in EVENT_CLASSES.items() if ENTRY in {field.name for field in fields(told)})
"""The kinds of events that tell of an entry of the ledger."""


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
    """The account is the one right after the entry; its value in money is that of the settings now."""
    watched = await watched_customer(info, customer)
    async with aclosing(follow(info, after, watched)) as events:
        async for event in events:
            if event.kind not in OF_ENTRIES or watched not in (None, event.customer_id):
                continue
            logged = decode_row(event)
            entry_id: EntryId = getattr(logged.event, ENTRY)
            row = PointsChangedRow(event_cursor(info, logged), entry_id, event.customer_id, logged.account)
            yield shown(PointsChanged, row)
