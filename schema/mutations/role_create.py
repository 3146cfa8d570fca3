"""``roleCreate``: create a role of the tenant from single permissions."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.role import RoleRequest, create_role
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, user_errors_field
from schema.scalars import Points
from schema.types.role import Role


@strawberry.input(description="A new role.")
class RoleCreateInput:
    name: str = strawberry.field(
        description="1 to 60 characters. No other role has it, without regard to case, built-in ones included."
    )
    permissions: list[Permission] = strawberry.field(description="What it may do; only what the caller may do too.")
    daily_points: Points = strawberry.field(
        default=Points(0),
        description="How many points a local day it may add and remove by hand, together: 1 or more with POINTS_ADJUST "
        "and without LOYALTY_ADJUST, else 0.",
    )
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The new role.")
class RoleCreatePayload:
    user_errors: UserErrors = user_errors_field()
    role: Role | None = strawberry.field(default=None, description="The role.")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.MEMBERS_MANAGE,
    description="Make a role of single permissions. Only a person of the team may. A tenant has at most 50.",
    even_when_off=True,
    for_people=True,
)
async def role_create(
    info: Info,
    input: Annotated[RoleCreateInput, strawberry.argument(description="The role.")],  # noqa: A002
) -> RoleCreatePayload:
    """Create a role. Refuses a role that may do more than the caller."""

    async def work() -> Mapping[str, Any]:
        request = RoleRequest(input.name, frozenset(input.permissions), input.daily_points, input.idempotency_key)
        created = await create_role(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return {"role": created.role, "replayed": created.replayed}

    return await answer_mutation(RoleCreatePayload, work)
