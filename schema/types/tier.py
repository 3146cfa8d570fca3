"""Tiers, and the way from one to the next."""

import asyncio
from collections.abc import Sequence
from typing import Any

import strawberry

from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.ids import TierId
from loyalty.storage.customers import TierProgressRow
from loyalty.storage.tiers import TierRow
from permissions.catalog import Permission
from permissions.policy import allows
from schema.context import Info
from schema.fields import computed
from schema.loaders import load
from schema.node_ids import row_id_of
from schema.scalars import Color, Points
from schema.types.node import Node, node_id, reads

MAX_TIER_IDS = 100


@strawberry.type(description="A level that customers reach with qualifying points.")
class Tier(Node):
    is_type_of = reads(TierRow)

    id: strawberry.ID = node_id("Tier")
    name: str = strawberry.field(description="Free label, unique in the program.")
    color: Color = strawberry.field(description="How the tier is marked, #RRGGBB.")
    min_points: Points = strawberry.field(description="The first number of qualifying points that belongs to it.")

    @computed(description="How many customers stand in the tier; null for customers, who may not know.")
    async def customer_count(self, info: Info) -> int | None:
        """Counted in one statement for all tiers of a list."""
        may_know = allows(info.context.actor, Permission.LOYALTY_READ)
        return (await load(info, "tier_counts", _row_id(self)) or 0) if may_know else None


@strawberry.type(description="How far a customer is on the way from the current tier to the next.")
class TierProgress:
    is_type_of = reads(TierProgressRow)

    current: Tier | None = strawberry.field(description="Null below the first tier.")
    next: Tier | None = strawberry.field(description="Null at the top, and when there are no tiers.")
    points_to_next: Points | None = strawberry.field(description="Qualifying points that are missing; null at the top.")
    percent: int = strawberry.field(
        description="0 to 100, whole, rounded down, between the minimum of the current tier and that of the next; "
        "100 at the top.",
    )
    unlimited: bool = strawberry.field(description="True at the top: show ∞.")


async def known_tier_id(info: Any, text: str, *path: str) -> TierId:
    """The tier that an argument names, deleted ones too; NotFound for malformed, unknown and foreign ids alike."""
    tier_id = TierId(row_id_of(text, "Tier", *path))
    if await load(info, "tiers", tier_id) is None:
        raise NotFound("tier", path)
    return tier_id


async def known_tier_ids(info: Any, texts: Sequence[str], *path: str) -> set[TierId]:
    """The tiers that an argument names, found in one statement; at most ``MAX_TIER_IDS``."""
    if len(texts) > MAX_TIER_IDS:
        raise InvalidInput.one(*path, reason=f"must have at most {MAX_TIER_IDS} ids")
    return set(await asyncio.gather(*(known_tier_id(info, text, *path) for text in texts)))


def _row_id(row: Any) -> Any:
    return row.id
