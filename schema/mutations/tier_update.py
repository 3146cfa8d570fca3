"""``tierUpdate``: change a tier."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.tier import change_tier
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.given import choose_given, read_given_fields
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.scalars import Color, Decimal, Points
from schema.types.job import Job
from schema.types.tier import Tier, factor_from


@strawberry.input(description="A change of a tier. What is left out stays as it is.")
class TierUpdateInput:
    id: strawberry.ID = strawberry.field(description="The tier.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="1 to 60 characters.")
    color: Color | None = strawberry.field(default=strawberry.UNSET, description="#RRGGBB.")
    min_points: Points | None = strawberry.field(default=strawberry.UNSET, description="0 or more.")
    earning_factor: Decimal | None = strawberry.field(
        default=strawberry.UNSET, description="1 to 100, at most 4 decimals; counts from the next purchase on."
    )
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The tier as it is now, and the job that puts everybody where they belong.")
class TierUpdatePayload:
    user_errors: UserErrors = user_errors_field()
    tier: Tier | None = strawberry.field(default=None, description="The tier.")
    job: Job | None = strawberry.field(default=None, description="Re-tiers all customers.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.LOYALTY_MANAGE,
    prepares=True,
    description="Change a tier; all customers are put into the right tier after it.",
)
async def tier_update(
    info: Info,
    input: Annotated[TierUpdateInput, strawberry.argument(description="The tier to change, and the change.")],  # noqa: A002
) -> TierUpdatePayload:
    """Change a tier. Refuses the name or the minimum of another tier."""

    async def work() -> Mapping[str, Any]:
        changes = read_given_fields(input, "name", "color", "min_points")
        factor = choose_given(input.earning_factor, None, "earning_factor")
        if factor is not None:
            changes["factor"] = factor_from(factor)
        tier_id: Any = row_id_of(input.id, "Tier", "id")
        world, actor = info.context.world, info.context.actor
        changed = await change_tier(
            world,
            actor,
            tier_id,
            lambda tier: tier._replace(**changes),
            key=input.idempotency_key,
            identity=_identity(changes),
        )
        info.context.loaders.clear()
        return {"tier": changed.tier, "job": changed.job, "replayed": changed.replayed}

    return await answer_mutation(TierUpdatePayload, work)


def _identity(changes: Mapping[str, Any]) -> list[Any]:
    """Return the values of a change that its fingerprint covers."""
    given = dict(changes)
    if "factor" in given:
        given["factor"] = given["factor"] and [given["factor"].numerator, given["factor"].denominator]
    return [[name, given[name]] for name in sorted(given)]
