"""``memberRemove``: remove a person from the team."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.member import end_membership
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.mutations.team_payload import (
    ended_api_tokens_field,
    ended_oauth_clients_field,
    keep_credentials_field,
    show_ended,
)
from schema.node_ids import row_id_of
from schema.types.api_token import ApiToken
from schema.types.member import Member
from schema.types.oauth_client import OauthClient
from schema.types.oidc_issuer import OidcIssuer


@strawberry.input(description="The member to remove.")
class MemberRemoveInput:
    id: strawberry.ID = strawberry.field(description="The member.")
    keep_credentials: bool = keep_credentials_field()


@strawberry.type(description="The removed member, and what ended with them.")
class MemberRemovePayload:
    user_errors: UserErrors = user_errors_field()
    member: Member | None = strawberry.field(default=None, description="The member, with the moment of the removal.")
    ended_api_tokens: list[ApiToken] | None = ended_api_tokens_field()
    ended_oauth_clients: list[OauthClient] | None = ended_oauth_clients_field()
    set_oidc_issuers: list[OidcIssuer] | None = strawberry.field(
        default=None,
        description="The identity providers that the person has set last. They stay, since others sign in there: look "
        "at what their values stand for.",
    )


@guarded(
    Permission.MEMBERS_MANAGE,
    description=(
        "Remove a member: their next request is refused, whatever a claim says, and their sockets are closed within 5 "
        "seconds. Their customer tokens end as well. Removing twice is no error."
    ),
    even_when_off=True,
    for_people=True,
)
async def member_remove(
    info: Info,
    input: Annotated[MemberRemoveInput, strawberry.argument(description="The member to remove.")],  # noqa: A002
) -> MemberRemovePayload:
    """Remove a member. Refuses to remove the last owner who has signed in."""

    async def work() -> Mapping[str, Any]:
        removed = await end_membership(
            info.context.world,
            info.context.actor,
            row_id_of(input.id, "Member", "id"),
            keep_credentials=input.keep_credentials,
        )
        info.context.loaders.clear()
        return {
            "member": removed.member,
            "set_oidc_issuers": list(removed.issuers),
            **show_ended(removed.ended),
        }

    return await answer_mutation(MemberRemovePayload, work)
