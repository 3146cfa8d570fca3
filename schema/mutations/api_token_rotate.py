"""``apiTokenRotate``: give an API token a new secret, while the present one still works for a time."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.secret_change import SecretChange, change_token_secret
from permissions.catalog import Permission
from schema.context import API_TOKEN, Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, secret_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.api_token import ApiToken, overlap_field


@strawberry.input(description="Whose secret to change.")
class ApiTokenRotateInput:
    id: strawberry.ID = strawberry.field(description="The token.")
    overlap_minutes: int = overlap_field()
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The token with its new secret, which is never shown again.")
class ApiTokenRotatePayload:
    user_errors: UserErrors = user_errors_field()
    api_token: ApiToken | None = strawberry.field(default=None, description="The token.")
    secret: str | None = secret_field("bearer credential")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.TOKENS_MANAGE,
    description=(
        "Give an API token another secret. It stays the same token: its idempotency keys, what it made, its end. It "
        "also ends with the credential that changed its secret. Of a third secret the first stops at once. You must "
        "hold what it holds."
    ),
    even_when_off=True,
)
async def api_token_rotate(
    info: Info,
    input: Annotated[ApiTokenRotateInput, strawberry.argument(description="The token to give a new secret.")],  # noqa: A002
) -> ApiTokenRotatePayload:
    """Give an API token a new secret. Refuses a token that may do more than the caller."""

    async def work() -> Mapping[str, Any]:
        secret, sha256 = info.context.services.make_secret(API_TOKEN)
        change = SecretChange(row_id_of(input.id, "ApiToken", "id"), input.overlap_minutes, input.idempotency_key)
        changed = await change_token_secret(info.context.world, info.context.actor, change, sha256)
        info.context.loaders.clear()
        shown = None if changed.replayed else secret
        return {"api_token": changed.token, "secret": shown, "replayed": changed.replayed}

    return await answer_mutation(ApiTokenRotatePayload, work)
