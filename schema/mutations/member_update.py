"""``memberUpdate``: change the name or the role of a member."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.member import MemberChange, update_member
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.given import choose_given, sent
from schema.mutations.payload import UserErrors, user_errors_field
from schema.mutations.team_payload import (
    ended_api_tokens_field,
    ended_oauth_clients_field,
    keep_credentials_field,
    show_ended,
)
from schema.node_ids import row_id_of
from schema.types.api_token import ApiToken
from schema.types.location import scope_input
from schema.types.member import Member
from schema.types.oauth_client import OauthClient
from schema.types.role import RoleBy, role_id_of


@strawberry.input(description="A change of a member. What is left out stays as it is.")
class MemberUpdateInput:
    id: strawberry.ID = strawberry.field(description="The member.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="1 to 120 characters.")
    role: RoleBy | None = strawberry.field(
        default=strawberry.UNSET, description="What they may do from now on; no more than the caller may do."
    )
    locations: list[str] | None = scope_input(default=strawberry.UNSET)
    keep_credentials: bool = keep_credentials_field()


@strawberry.type(description="The member as they are now.")
class MemberUpdatePayload:
    user_errors: UserErrors = user_errors_field()
    member: Member | None = strawberry.field(default=None, description="The member.")
    ended_api_tokens: list[ApiToken] | None = ended_api_tokens_field()
    ended_oauth_clients: list[OauthClient] | None = ended_oauth_clients_field()


@guarded(
    Permission.MEMBERS_MANAGE,
    description=(
        "Give a member another name, role or locations. Role and locations count with their next request, and their "
        "sockets are closed within 5 seconds. Nobody changes a member who may do more than they."
    ),
    even_when_off=True,
    for_people=True,
)
async def member_update(
    info: Info,
    input: Annotated[MemberUpdateInput, strawberry.argument(description="The member to change, and the change.")],  # noqa: A002
) -> MemberUpdatePayload:
    """Change a member. Refuses to take the role from the last owner who has signed in."""

    async def work() -> Mapping[str, Any]:
        role = choose_given(input.role, None, "role")
        change = MemberChange(
            id=row_id_of(input.id, "Member", "id"),
            name=sent(choose_given(input.name, strawberry.UNSET, "name")),
            role_id=sent(strawberry.UNSET if role is None else role_id_of(role, "role")),
            locations=sent(input.locations),
            keep_credentials=input.keep_credentials,
        )
        changed = await update_member(info.context.world, info.context.actor, change)
        info.context.loaders.clear()
        return {"member": changed.member, **show_ended(changed.ended)}

    return await answer_mutation(MemberUpdatePayload, work)
