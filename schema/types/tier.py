"""Tiers, and the progress from one to the next."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import strawberry

from loyalty.rules.errors import InvalidInput, NotFound
from loyalty.rules.ids import TierId
from loyalty.rules.money import Ratio, format_factor, parse_factor
from loyalty.rules.tiers import TierChangeCause
from loyalty.storage.customers import TierLockRow, TierProgressRow
from loyalty.storage.tiers import TierChangeRow, TierRow
from permissions.actor import ActorKind
from permissions.catalog import Permission
from permissions.policy import allows
from permissions.visibility import reads_internals
from schema.context import Info
from schema.fields import computed
from schema.loaders import load, loaded
from schema.node_ids import row_id_of
from schema.scalars import Color, Decimal, Points
from schema.types.node import Node, node_id, reads, row_of
from schema.types.who import known_actor_kind

MAX_TIER_IDS = 100


@strawberry.type(description="A level that customers reach with qualifying points.")
class Tier(Node):
    is_type_of = reads(TierRow)

    id: strawberry.ID = node_id("Tier")
    name: str = strawberry.field(description="Free label, unique in the program.")
    color: Color = strawberry.field(description="How the tier is marked, #RRGGBB.")
    min_points: Points = strawberry.field(description="The first number of qualifying points that belongs to it.")

    @computed(description="Multiplies the points that rules give to its customers, rounded down; 1 for no benefit.")
    def earning_factor(self) -> Decimal:
        """The benefit of the tier."""
        row = row_of(TierRow, self)
        return Decimal("1" if row.factor is None else format_factor(row.factor))

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


@strawberry.type(
    description="A move from one tier to another. A tier set by hand counts too, even if it is the same tier."
)
class TierChange:
    is_type_of = reads(TierChangeRow)

    previous_tier: Tier | None = loaded("tiers", "from_tier_id", description="The tier before; null for no tier.")
    tier: Tier | None = loaded("tiers", "to_tier_id", description="The tier after it; null for no tier.")
    cause: TierChangeCause = strawberry.field(description="Why the tier changed, or was set.")
    changed_at: datetime = strawberry.field(description="When the tier changed, or was set.")

    @computed(description="The standing of the customer at that moment, in points.")
    def qualifying_points(self) -> Points:
        """The points at the time of the change."""
        row = row_of(TierChangeRow, self)
        return Points(row.qualifying)

    @computed(description="What somebody who set it by hand has noted; null for customers.")
    def note(self, info: Info) -> str | None:
        """For the team only."""
        row = row_of(TierChangeRow, self)
        return row.note if reads_internals(info.context.actor) else None

    @computed(
        description="Who or what has changed it, by the name in the credential, or by its subject before names were "
        "kept; null for customers."
    )
    def actor(self, info: Info) -> str | None:
        """For the team only."""
        row = row_of(TierChangeRow, self)
        return (row.actor_name or row.actor) if reads_internals(info.context.actor) else None

    actor_kind: ActorKind | None = known_actor_kind("actor_kind", did="changed it")


@strawberry.type(description="A tier that was set by hand: the rules change nothing while it is locked.")
class TierLock:
    is_type_of = reads(TierLockRow)

    until: datetime | None = strawberry.field(description="When the rules take over again; null for not by itself.")


def factor_from(text: str) -> Ratio | None:
    """Return the earning factor of a tier; None for a factor of 1, which changes nothing."""
    factor = parse_factor(text, ("earning_factor",))
    return None if factor.numerator == factor.denominator else factor


async def find_known_tier_id(info: Any, text: str, *path: str) -> TierId:
    """Return the id of the tier in an argument, also of a deleted one. Raises NotFound for every other id alike."""
    tier_id = TierId(row_id_of(text, "Tier", *path))
    if await load(info, "tiers", tier_id) is None:
        raise NotFound("tier", path)
    return tier_id


async def find_known_tier_ids(info: Any, texts: Sequence[str], *path: str) -> set[TierId]:
    """Return the ids of the tiers in an argument, found in one statement; at most ``MAX_TIER_IDS``."""
    if len(texts) > MAX_TIER_IDS:
        raise InvalidInput.one(*path, reason=f"must have at most {MAX_TIER_IDS} ids")
    return set(await asyncio.gather(*(find_known_tier_id(info, text, *path) for text in texts)))


def _row_id(row: Any) -> Any:
    return row.id
