"""``pointsChanged``: every change of a balance, as it happens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

import strawberry

from loyalty.rules.ids import EntryId
from loyalty.storage.events import EventRow
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded_stream
from schema.scalars import Cursor
from schema.subscriptions.stream import event_cursor, follow, watched_customer
from schema.types.customer import CustomerBy
from schema.types.event import PointsChanged, PointsChangedRow


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
            if "entry_id" in event.payload and watched in (None, event.customer_id):
                yield _row(info, event)


def _row(info: Info, event: EventRow) -> Any:
    return PointsChangedRow(
        cursor=event_cursor(info, event),
        entry_id=EntryId(UUID(event.payload["entry_id"])),
        customer_id=event.customer_id,
        numbers=event.payload["account"],
    )
