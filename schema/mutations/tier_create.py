"""``tierCreate``: a new tier."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.tier import create_tier
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.scalars import Color, Decimal, Points
from schema.types.job import Job
from schema.types.tier import Tier, factor_from


@strawberry.input(description="A new tier.")
class TierCreateInput:
    name: str = strawberry.field(description="1 to 60 characters, unique in the program.")
    color: Color = strawberry.field(description="#RRGGBB.")
    min_points: Points = strawberry.field(description="0 or more, unique in the program.")
    earning_factor: Decimal = strawberry.field(
        default=Decimal("1"),
        description="The points that rules give to its customers are multiplied by it: 1 to 100, at most 4 decimals.",
    )
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The new tier, and the job that puts everybody where they belong.")
class TierCreatePayload:
    user_errors: UserErrors = user_errors_field()
    tier: Tier | None = strawberry.field(default=None, description="The tier.")
    job: Job | None = strawberry.field(default=None, description="Re-tiers all customers.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Create a tier; all customers are put into the right tier after it.",
)
async def tier_create(
    info: Info,
    input: Annotated[TierCreateInput, strawberry.argument(description="The tier.")],  # noqa: A002
) -> TierCreatePayload:
    """Create a tier. Refuses more than 50 tiers in a program."""

    async def work() -> Mapping[str, Any]:
        factor = factor_from(input.earning_factor)
        world, actor = info.context.world, info.context.actor
        changed = await create_tier(
            world, actor, input.name, input.color, input.min_points, factor, key=input.idempotency_key
        )
        info.context.loaders.clear()
        return {"tier": changed.tier, "job": changed.job, "replayed": changed.replayed}

    return await answer_mutation(TierCreatePayload, work)
