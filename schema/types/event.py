"""Events that subscriptions stream: facts as they were, with a cursor to go on from."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol, cast

import strawberry

from loyalty.rules.ids import CustomerId, EntryId, LotId, TierId
from loyalty.rules.money import value_of
from loyalty.rules.tiers import TierChangeCause
from loyalty.storage.customers import PointsRow
from loyalty.storage.tiers import TierChangeRow
from schema.fields import computed
from schema.loaders import load, loaded
from schema.scalars import Cursor, Points
from schema.types.customer import Customer, PointsAccount
from schema.types.expiry import PointsLot
from schema.types.ledger import LedgerEntry
from schema.types.tier import Tier


class TierUpgradedRow(NamedTuple):
    """A tier upgrade as an event tells it."""

    cursor: str
    customer_id: CustomerId
    from_tier_id: TierId | None
    to_tier_id: TierId
    cause: TierChangeCause
    qualifying_points: int
    occurred_at: datetime


class PointsChangedRow(NamedTuple):
    """A change of points as an event tells it."""

    cursor: str
    entry_id: EntryId
    customer_id: CustomerId
    numbers: Mapping[str, int]


class AccountThen(Protocol):
    """What tells an account as it was."""

    @property
    def customer_id(self) -> CustomerId:
        """Whose account it is."""
        ...

    @property
    def numbers(self) -> Mapping[str, int]:
        """Its numbers just then."""
        ...


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


async def account_then(info: strawberry.Info, event: AccountThen) -> PointsAccount:
    """The account as an event tells it, valued by the settings now."""
    program = await load(info, "program", None)
    value = value_of(event.numbers["available"], program.settings.redemption.point_value)
    return cast("PointsAccount", PointsRow(**event.numbers, value=value, customer_id=event.customer_id))


@strawberry.type(description="A customer came into a higher tier.")
class TierUpgrade:
    customer: Customer = loaded("customers", "customer_id", description="Who came up.")
    previous_tier: Tier | None = loaded("tiers", "from_tier_id", description="Null when there was none before.")
    tier: Tier = loaded("tiers", "to_tier_id", description="The new tier.")
    cause: TierChangeCause = strawberry.field(description="What moved the points.")
    qualifying_points: Points = strawberry.field(description="The qualifying points just then.")
    occurred_at: datetime = strawberry.field(description="When it happened.")


@strawberry.type(description="A customer came into a higher tier; streamed once for each real upgrade.")
class TierUpgraded(TierUpgrade):
    cursor: Cursor = strawberry.field(description="Pass it as `after` to go on from here, without a gap.")


@strawberry.type(description="A customer's points changed; streamed once for each entry of the ledger.")
class PointsChanged:
    cursor: Cursor = strawberry.field(description="Pass it as `after` to go on from here, without a gap.")
    entry: LedgerEntry = loaded("entries", "entry_id", description="The line of the ledger.")

    @computed(description="The account right after it; its value in money is that of the settings now.")
    async def points(self, info: strawberry.Info) -> PointsAccount:
        """The settings are read here, so that an event whose settings cannot be read is tried again."""
        return await account_then(info, cast("PointsChangedRow", self))


@strawberry.type(
    description="A customer's points will expire soon: their owner should know. Treue itself tells nobody."
)
class PointsExpiring:
    cursor: Cursor = strawberry.field(description="Pass it as `after` to go on from here, without a gap.")
    customer: Customer = loaded("customers", "customer_id", description="Whose points they are.")
    lot: PointsLot = loaded("lots", "lot_id", description="Which points: the lot as it is now.")
    points: Points = strawberry.field(description="How many were left when the notice became due.")
    days_before: int = strawberry.field(description="Which of the program's `noticeDays` it is.")
    expires_at: datetime = strawberry.field(description="The first instant at which they cannot be spent.")
    marketing_consent: bool = strawberry.field(description="Whether the customer had agreed to marketing just then.")
    occurred_at: datetime = strawberry.field(description="When the notice became due and was written.")


class TierUpgradeRow(NamedTuple):
    """A tier upgrade as a mutation answers it."""

    customer_id: CustomerId
    from_tier_id: TierId | None
    to_tier_id: TierId
    cause: TierChangeCause
    qualifying_points: int
    occurred_at: datetime


def tier_upgrade_of(change: TierChangeRow | None) -> Any:
    """The upgrade that a mutation caused, or None when the tier stayed or went down."""
    if change is None or not change.upgraded or change.to_tier_id is None:
        return None
    return TierUpgradeRow(
        change.customer_id,
        change.from_tier_id,
        change.to_tier_id,
        change.cause,
        change.qualifying,
        change.changed_at,
    )
