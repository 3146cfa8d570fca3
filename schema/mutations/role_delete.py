"""``roleDelete``: delete a role that nobody has."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.role import remove_role
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.role import Role


@strawberry.input(description="Which role.")
class RoleDeleteInput:
    id: strawberry.ID = strawberry.field(description="The role; no built-in one, and not the caller's own.")


@strawberry.type(description="The deleted role.")
class RoleDeletePayload:
    user_errors: UserErrors = user_errors_field()
    role: Role | None = strawberry.field(default=None, description="The role as it was.")


@guarded(
    Permission.MEMBERS_MANAGE,
    description="Delete a role that no member has and no claim of a provider stands for.",
    even_when_off=True,
    for_people=True,
)
async def role_delete(
    info: Info,
    input: Annotated[RoleDeleteInput, strawberry.argument(description="The role to delete.")],  # noqa: A002
) -> RoleDeletePayload:
    """Delete a role. Its name is free again."""

    async def work() -> Mapping[str, Any]:
        role = await remove_role(info.context.world, info.context.actor, row_id_of(input.id, "Role", "id"))
        info.context.loaders.clear()
        return {"role": role}

    return await answer_mutation(RoleDeletePayload, work)
