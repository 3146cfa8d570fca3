"""``tierDelete``: take a tier out of force."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.tier import remove_tier
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.job import Job


@strawberry.input(description="Which tier to delete.")
class TierDeleteInput:
    id: strawberry.ID = strawberry.field(description="The tier.")
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="What was deleted, and the job that moves its customers to the next lower tier.")
class TierDeletePayload:
    user_errors: UserErrors = user_errors_field()
    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="The id of the deleted tier.")
    job: Job | None = strawberry.field(default=None, description="Re-tiers all customers.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.LOYALTY_MANAGE, prepares=True, description="Delete a tier; its customers move to the next lower one."
)
async def tier_delete(
    info: Info,
    input: Annotated[TierDeleteInput, strawberry.argument(description="The tier to delete.")],  # noqa: A002
) -> TierDeletePayload:
    """Take a tier out of force. Old upgrades still show its name."""

    async def work() -> Mapping[str, Any]:
        tier_id: Any = row_id_of(input.id, "Tier", "id")
        changed = await remove_tier(info.context.world, info.context.actor, tier_id, key=input.idempotency_key)
        info.context.loaders.clear()
        return {"deleted_id": input.id, "job": changed.job, "replayed": changed.replayed}

    return await answer_mutation(TierDeletePayload, work)
