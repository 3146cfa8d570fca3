"""``pointsExpiring``: who is to be told that points will expire, as it becomes due."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from loyalty.rules.events import EventKind
from loyalty.rules.ids import LotId
from loyalty.storage.events import EventRow
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded_stream
from schema.scalars import Cursor
from schema.subscriptions.stream import event_cursor, follow, watched_customer
from schema.types.customer import CustomerBy
from schema.types.event import PointsExpiring, PointsExpiringRow


@guarded_stream(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="Streams each notice that points will expire, once for each lot, date and number of days. Customers "
    "see only their own.",
)
async def points_expiring(
    info: Info,
    customer: Annotated[CustomerBy | None, strawberry.argument(description="Only this customer's.")] = None,
    days_before: Annotated[
        list[int] | None, strawberry.argument(description="Only notices of one of these numbers of days.")
    ] = None,
    after: Annotated[Cursor | None, strawberry.argument(description="Go on after this event, without a gap.")] = None,
) -> AsyncGenerator[PointsExpiring, None]:
    """The points and the consent are those of the moment at which the notice became due."""
    watched = await watched_customer(info, customer)
    async with aclosing(follow(info, after, watched)) as events:
        async for event in events:
            if (
                event.kind == EventKind.POINTS_EXPIRING
                and watched in (None, event.customer_id)
                and (days_before is None or event.payload["days_before"] in days_before)
            ):
                yield _row(info, event)


def _row(info: Info, event: EventRow) -> Any:
    payload = event.payload
    return PointsExpiringRow(
        cursor=event_cursor(info, event),
        customer_id=event.customer_id,
        lot_id=LotId(UUID(payload["lot_id"])),
        points=payload["points"],
        days_before=payload["days_before"],
        expires_at=datetime.fromisoformat(payload["expires_at"]),
        marketing_consent=payload["marketing_consent"],
        occurred_at=event.occurred_at,
    )
