"""``apiTokenRevoke``: end a credential."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.services.api_token import end_api_token
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.api_token import ApiToken
from schema.types.oauth_client import OauthClient


@strawberry.input(description="Which token to end: give its id, or its secret.")
class ApiTokenRevokeInput:
    id: strawberry.ID | None = strawberry.field(default=None, description="The token.")
    token: str | None = strawberry.field(
        default=None,
        description="Its secret, such as one that was found where it should not be. An old one names its token too.",
    )


@strawberry.type(description="The ended token.")
class ApiTokenRevokePayload:
    user_errors: UserErrors = user_errors_field()
    api_token: ApiToken | None = strawberry.field(default=None, description="The token, with the moment of its end.")
    made_tokens: list[ApiToken] | None = strawberry.field(
        default=None, description="The API tokens that it had made, which ended with it now."
    )
    made_oauth_clients: list[OauthClient] | None = strawberry.field(
        default=None, description="The OAuth clients that it had made, which ended with it now."
    )


@guarded(
    Permission.TOKENS_MANAGE,
    description=(
        "End an API token at once, with the API tokens and customer tokens that it made; open sockets are closed "
        "within 5 seconds. Ending twice is no error."
    ),
    even_when_off=True,
)
async def api_token_revoke(
    info: Info,
    input: Annotated[ApiTokenRevokeInput, strawberry.argument(description="The token to revoke.")],  # noqa: A002
) -> ApiTokenRevokePayload:
    """End an API token. If it has ended before, the first time stays."""

    async def work() -> Mapping[str, Any]:
        world, actor = info.context.world, info.context.actor
        if (input.id is None) == (input.token is None):
            raise InvalidInput.one("id", reason="or else token must be given, and not both")
        if input.token is None:
            ended = await end_api_token(world, actor, row_id_of(input.id or "", "ApiToken", "id"))
        else:
            ended = await end_api_token(world, actor, None, info.context.services.hash_of_secret(input.token) or "")
        info.context.loaders.clear()
        return {"api_token": ended.token, "made_tokens": ended.made, "made_oauth_clients": ended.made_clients}

    return await answer_mutation(ApiTokenRevokePayload, work)
