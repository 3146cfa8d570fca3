"""``pointsExpiring``: who is to be told that points will expire, as it becomes due."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, NamedTuple, cast

import strawberry

from loyalty.log.events import LoggedEvent, decode_row
from loyalty.rules.events import PointsExpiring as PointsExpiringEvent
from loyalty.rules.ids import CustomerId, LotId
from loyalty.storage.events import EventRow
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded_stream
from schema.loaders import loaded
from schema.scalars import Cursor, Points
from schema.subscriptions.stream import find_watched_customer, follow
from schema.types.customer import Customer, CustomerBy
from schema.types.expiry import PointsLot
from schema.types.node import show_row


class PointsExpiringRow(NamedTuple):
    """A notice that points will expire, as an event tells it."""

    cursor: str
    customer_id: CustomerId
    lot_id: LotId
    points: int
    days_before: int
    expires_at: datetime
    marketing_consent: bool
    occurred_at: datetime


@strawberry.type(
    description="A customer's points will expire soon: their owner should know. Treue itself tells nobody."
)
class PointsExpiring:
    cursor: Cursor = strawberry.field(description="Pass it as `after` to go on from here, without a gap.")
    customer: Customer = loaded("customers", "customer_id", description="The customer whose points they are.")
    lot: PointsLot = loaded("lots", "lot_id", description="Which points: the lot as it is now.")
    points: Points = strawberry.field(description="How many were left when the notice became due.")
    days_before: int = strawberry.field(description="Which of the program's `noticeDays` it is.")
    expires_at: datetime = strawberry.field(description="The first instant at which they cannot be spent.")
    marketing_consent: bool = strawberry.field(description="Whether the customer had agreed to marketing just then.")
    occurred_at: datetime = strawberry.field(description="When the notice became due and was written.")


class WatchedNotices(NamedTuple):
    """Chooses the notices of a subscription; with days, only notices with one of these numbers of days."""

    customer_id: CustomerId | None
    days_before: frozenset[int] | None

    def show(self, event: EventRow, cursor_at: Callable[[int], Cursor]) -> PointsExpiring | None:
        """Return the notice in an event, if the subscription shows it."""
        if event.kind != PointsExpiringEvent.kind or self.customer_id not in (None, event.customer_id):
            return None
        logged = decode_row(event)
        notice = cast("PointsExpiringEvent", logged.event)
        if self.days_before is not None and notice.days_before not in self.days_before:
            return None
        return show_row(PointsExpiring, _row(cursor_at(logged.position), logged, notice))


def _row(cursor: Cursor, logged: LoggedEvent, notice: PointsExpiringEvent) -> PointsExpiringRow:
    return PointsExpiringRow(
        cursor=cursor,
        customer_id=notice.customer_id,
        lot_id=notice.lot_id,
        points=notice.points,
        days_before=notice.days_before,
        expires_at=datetime.fromisoformat(notice.expires_at),
        marketing_consent=notice.marketing_consent,
        occurred_at=logged.occurred_at,
    )


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
    """The points and the consent are those at the moment when the notice became due."""
    days = None if days_before is None else frozenset(days_before)
    watch = WatchedNotices(await find_watched_customer(info, customer), days)
    async with aclosing(follow(info, after, watch)) as notices:
        async for notice in notices:
            yield notice
