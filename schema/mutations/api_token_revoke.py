"""``apiTokenRevoke``: end a credential."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.api_token import end_api_token
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.api_token import ApiToken


@strawberry.input(description="Which token to end.")
class ApiTokenRevokeInput:
    id: strawberry.ID = strawberry.field(description="The token.")


@strawberry.type(description="The ended token.")
class ApiTokenRevokePayload:
    user_errors: UserErrors = user_errors_field()
    api_token: ApiToken | None = strawberry.field(default=None, description="The token, with the moment of its end.")
    made_tokens: list[ApiToken] | None = strawberry.field(
        default=None, description="The API tokens that it had made, which ended with it now."
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
    input: Annotated[ApiTokenRevokeInput, strawberry.argument(description="Which one.")],  # noqa: A002
) -> ApiTokenRevokePayload:
    """The first moment counts."""

    async def work() -> Mapping[str, Any]:
        token_id: Any = row_id_of(input.id, "ApiToken", "id")
        ended = await end_api_token(info.context.world, info.context.actor, token_id)
        info.context.loaders.clear()
        return {"api_token": ended.token, "made_tokens": ended.made}

    return await answer_mutation(ApiTokenRevokePayload, work)
