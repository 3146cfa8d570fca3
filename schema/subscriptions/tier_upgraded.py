"""``tierUpgraded``: who came into a higher tier, as it happens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, NamedTuple, cast

import strawberry

from loyalty.log.events import LoggedEvent, decode_row
from loyalty.rules.events import TierUpgraded as TierUpgradedEvent
from loyalty.rules.ids import CustomerId, TierId
from loyalty.rules.tiers import TierChangeCause
from loyalty.rules.zones import locale_matches
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded_stream
from schema.scalars import Cursor, Locale
from schema.subscriptions.stream import event_cursor, find_watched_customer, follow
from schema.types.customer import CustomerBy
from schema.types.event import TierUpgrade
from schema.types.node import show_row
from schema.types.tier import find_known_tier_ids


class TierUpgradedRow(NamedTuple):
    """A tier upgrade as an event tells it."""

    cursor: str
    customer_id: CustomerId
    from_tier_id: TierId | None
    to_tier_id: TierId
    cause: TierChangeCause
    qualifying_points: int
    occurred_at: datetime


@strawberry.type(description="A customer came into a higher tier; streamed once for each real upgrade.")
class TierUpgraded(TierUpgrade):
    cursor: Cursor = strawberry.field(description="Pass it as `after` to go on from here, without a gap.")


@guarded_stream(
    Permission.LOYALTY_READ,
    Permission.SELF_READ,
    description="Streams each real tier upgrade once, in order. Customers see only their own.",
)
async def tier_upgraded(
    info: Info,
    customer: Annotated[CustomerBy | None, strawberry.argument(description="Only this customer's.")] = None,
    tiers: Annotated[
        list[strawberry.ID] | None, strawberry.argument(description="Only upgrades into one of these tiers.")
    ] = None,
    locale: Annotated[
        Locale | None, strawberry.argument(description="Only customers who read this language: de takes de-AT too.")
    ] = None,
    causes: Annotated[
        list[TierChangeCause] | None,
        strawberry.argument(description="Only these causes; by default collected points alone (ACCRUAL)."),
    ] = None,
    after: Annotated[Cursor | None, strawberry.argument(description="Go on after this event, without a gap.")] = None,
) -> AsyncGenerator[TierUpgraded, None]:
    """Filters look at the event as it was when it happened."""
    watched = await find_watched_customer(info, customer)
    wanted = None if tiers is None else await find_known_tier_ids(info, tiers, "tiers")
    allowed = {TierChangeCause.ACCRUAL} if causes is None else set(causes)
    async with aclosing(follow(info, after, watched)) as events:
        async for event in events:
            if event.kind != TierUpgradedEvent.kind or watched not in (None, event.customer_id):
                continue
            logged = decode_row(event)
            upgrade = cast("TierUpgradedEvent", logged.event)
            if (
                upgrade.cause in allowed
                and (wanted is None or upgrade.tier_id in wanted)
                and (locale is None or (logged.customer.locale and locale_matches(locale, logged.customer.locale)))
            ):
                yield show_row(TierUpgraded, _row(info, logged, upgrade))


def _row(info: Info, logged: LoggedEvent, upgrade: TierUpgradedEvent) -> TierUpgradedRow:
    return TierUpgradedRow(
        cursor=event_cursor(info, logged),
        customer_id=upgrade.customer_id,
        from_tier_id=upgrade.previous_tier_id,
        to_tier_id=upgrade.tier_id,
        cause=upgrade.cause,
        qualifying_points=upgrade.qualifying_points,
        occurred_at=logged.occurred_at,
    )
