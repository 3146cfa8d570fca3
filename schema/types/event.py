"""Parts that several types of events share: the account after the event, and a tier upgrade."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

import strawberry

from loyalty.rules.ids import CustomerId, TierId
from loyalty.rules.money import value_of
from loyalty.rules.tiers import TierChangeCause
from loyalty.storage.customers import PointsRow
from loyalty.storage.tiers import TierChangeRow
from schema.loaders import load, loaded
from schema.scalars import Points
from schema.types.customer import Customer, PointsAccount
from schema.types.tier import Tier


async def account_then(info: strawberry.Info, customer_id: CustomerId, numbers: Mapping[str, int]) -> PointsAccount:
    """Return a customer's account with the numbers in an event, valued with the present settings."""
    program = await load(info, "program", None)
    value = value_of(numbers["available"], program.settings.redemption.point_value)
    return cast("PointsAccount", PointsRow(**numbers, value=value, customer_id=customer_id))


@strawberry.type(description="A customer came into a higher tier.")
class TierUpgrade:
    customer: Customer = loaded("customers", "customer_id", description="The customer who came into the higher tier.")
    previous_tier: Tier | None = loaded(
        "tiers", "from_tier_id", description="The tier before; null when the customer was in no tier."
    )
    tier: Tier = loaded("tiers", "to_tier_id", description="The new tier.")
    cause: TierChangeCause = strawberry.field(description="Why the tier changed.")
    qualifying_points: Points = strawberry.field(description="The qualifying points at that moment.")
    occurred_at: datetime = strawberry.field(description="When it happened.")


class TierUpgradeRow(NamedTuple):
    """A tier upgrade in the answer of a mutation."""

    customer_id: CustomerId
    from_tier_id: TierId | None
    to_tier_id: TierId
    cause: TierChangeCause
    qualifying_points: int
    occurred_at: datetime


def tier_upgrade_of(change: TierChangeRow | None) -> Any:
    """Return the upgrade that a mutation caused; None if the tier stayed or went down."""
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
