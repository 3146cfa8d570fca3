"""``tierUpgraded``: who came into a higher tier, as it happens."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, NamedTuple, cast

import strawberry

from loyalty.log.events import LoggedEvent, decode_row
from loyalty.rules.events import TierUpgraded as TierUpgradedEvent
from loyalty.rules.ids import CustomerId, TierId
from loyalty.rules.tiers import TierChangeCause
from loyalty.rules.zones import correct_locale, locale_matches
from loyalty.storage.events import EventRow
from permissions.catalog import Permission
from schema.context import Info
from schema.guard import guarded_stream
from schema.scalars import Cursor, Locale
from schema.subscriptions.stream import find_watched_customer, follow
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


class WatchedUpgrades(NamedTuple):
    """Chooses the tier upgrades of a subscription. A field that is None leaves nothing out."""

    customer_id: CustomerId | None
    tiers: frozenset[TierId] | None
    locale: str | None
    causes: frozenset[TierChangeCause]

    def show(self, event: EventRow, cursor_at: Callable[[int], Cursor]) -> TierUpgraded | None:
        """Return the upgrade in an event, if the subscription shows it."""
        if event.kind != TierUpgradedEvent.kind or self.customer_id not in (None, event.customer_id):
            return None
        logged = decode_row(event)
        upgrade = cast("TierUpgradedEvent", logged.event)
        language = logged.customer and logged.customer.locale
        is_wanted = (
            upgrade.cause in self.causes
            and (self.tiers is None or upgrade.tier_id in self.tiers)
            and (self.locale is None or (language and locale_matches(self.locale, language)))
        )
        return show_row(TierUpgraded, _row(cursor_at(logged.position), logged, upgrade)) if is_wanted else None


def _row(cursor: Cursor, logged: LoggedEvent, upgrade: TierUpgradedEvent) -> TierUpgradedRow:
    return TierUpgradedRow(
        cursor=cursor,
        customer_id=upgrade.customer_id,
        from_tier_id=upgrade.previous_tier_id,
        to_tier_id=upgrade.tier_id,
        cause=upgrade.cause,
        qualifying_points=upgrade.qualifying_points,
        occurred_at=logged.occurred_at,
    )


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
    """The filters use the tier and the language at the time of the event: later changes do not count."""
    watched = await find_watched_customer(info, customer)
    wanted = None if tiers is None else frozenset(await find_known_tier_ids(info, tiers, "tiers"))
    language = None if locale is None else correct_locale(locale)
    allowed = frozenset({TierChangeCause.ACCRUAL} if causes is None else causes)
    async with aclosing(follow(info, after, WatchedUpgrades(watched, wanted, language, allowed))) as upgrades:
        async for upgrade in upgrades:
            yield upgrade
