"""``oauthClientRevoke``: end an OAuth client."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.oauth_client import end_oauth_client
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.oauth_client import OauthClient


@strawberry.input(description="Which client to end.")
class OauthClientRevokeInput:
    id: strawberry.ID = strawberry.field(description="The client.")


@strawberry.type(description="The ended client.")
class OauthClientRevokePayload:
    user_errors: UserErrors = user_errors_field()
    oauth_client: OauthClient | None = strawberry.field(
        default=None, description="The client, with the moment of its end."
    )


@guarded(
    Permission.TOKENS_MANAGE,
    description=(
        "End an OAuth client at once, with its access tokens and the customer tokens that were made with them; open "
        "sockets are closed within 5 seconds. Ending twice is no error."
    ),
    even_when_off=True,
)
async def oauth_client_revoke(
    info: Info,
    input: Annotated[OauthClientRevokeInput, strawberry.argument(description="The client to end.")],  # noqa: A002
) -> OauthClientRevokePayload:
    """End an OAuth client. If it has ended before, the first time stays."""

    async def work() -> Mapping[str, Any]:
        client_id = row_id_of(input.id, "OauthClient", "id")
        ended = await end_oauth_client(info.context.world, info.context.actor, client_id)
        info.context.loaders.clear()
        return {"oauth_client": ended}

    return await answer_mutation(OauthClientRevokePayload, work)
