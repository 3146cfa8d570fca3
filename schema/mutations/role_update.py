"""``roleUpdate``: change a role that the tenant has made."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.role import RoleChange, update_role
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.given import choose_given, sent
from schema.mutations.payload import UserErrors, user_errors_field
from schema.mutations.team_payload import ended_api_tokens_field, ended_oauth_clients_field, show_ended
from schema.node_ids import row_id_of
from schema.scalars import Points
from schema.types.api_token import ApiToken
from schema.types.oauth_client import OauthClient
from schema.types.role import Role


@strawberry.input(description="A change of a role. What is left out stays as it is.")
class RoleUpdateInput:
    id: strawberry.ID = strawberry.field(description="The role; no built-in one, and not the caller's own.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="1 to 60 characters.")
    permissions: list[Permission] | None = strawberry.field(
        default=strawberry.UNSET, description="All that it may do from now on; only what the caller may do too."
    )
    daily_points: Points | None = strawberry.field(
        default=strawberry.UNSET,
        description="How many points a local day it may add and remove by hand, together: 1 or more with POINTS_ADJUST "
        "and without LOYALTY_ADJUST, else 0.",
    )


@strawberry.type(description="The role as it is now.")
class RoleUpdatePayload:
    user_errors: UserErrors = user_errors_field()
    role: Role | None = strawberry.field(default=None, description="The role.")
    ended_api_tokens: list[ApiToken] | None = ended_api_tokens_field()
    ended_oauth_clients: list[OauthClient] | None = ended_oauth_clients_field()


@guarded(
    Permission.MEMBERS_MANAGE,
    description=(
        "Change a role that the tenant has made. It counts with the next request of who has it, by membership or by a "
        "claim, and their sockets are closed within 5 seconds."
    ),
    even_when_off=True,
    for_people=True,
)
async def role_update(
    info: Info,
    input: Annotated[RoleUpdateInput, strawberry.argument(description="The role to change, and the change.")],  # noqa: A002
) -> RoleUpdatePayload:
    """Change a role. Refuses a role that the caller has, and one that may do more than the caller."""

    async def work() -> Mapping[str, Any]:
        permissions = choose_given(input.permissions, None, "permissions")
        change = RoleChange(
            id=row_id_of(input.id, "Role", "id"),
            name=sent(choose_given(input.name, strawberry.UNSET, "name")),
            permissions=sent(strawberry.UNSET if permissions is None else frozenset(permissions)),
            daily_points=sent(choose_given(input.daily_points, strawberry.UNSET, "daily_points")),
        )
        changed = await update_role(info.context.world, info.context.actor, change)
        info.context.loaders.clear()
        return {"role": changed.role, **show_ended(changed.ended)}

    return await answer_mutation(RoleUpdatePayload, work)
