"""``oauthClientRotateSecret``: give an OAuth client a new secret, while the present one still works for a time."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.secret_change import SecretChange, change_client_secret
from permissions.catalog import Permission
from schema.context import CLIENT_SECRET, Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, secret_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.api_token import overlap_field
from schema.types.oauth_client import OauthClient


@strawberry.input(description="Whose secret to change.")
class OauthClientRotateSecretInput:
    id: strawberry.ID = strawberry.field(description="The client.")
    overlap_minutes: int = overlap_field()
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The client with its new secret, which is never shown again.")
class OauthClientRotateSecretPayload:
    user_errors: UserErrors = user_errors_field()
    oauth_client: OauthClient | None = strawberry.field(default=None, description="The client.")
    secret: str | None = secret_field("new `client_secret`")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.TOKENS_MANAGE,
    description=(
        "Give an OAuth client another secret. Access tokens end with the secret that they were got for. The client "
        "also ends with the credential that changed its secret. Of a third secret the first stops at once. You must "
        "hold what it holds."
    ),
    even_when_off=True,
)
async def oauth_client_rotate_secret(
    info: Info,
    input: Annotated[OauthClientRotateSecretInput, strawberry.argument(description="The client to give a new secret.")],  # noqa: A002
) -> OauthClientRotateSecretPayload:
    """Give an OAuth client a new secret. Refuses a client that may do more than the caller."""

    async def work() -> Mapping[str, Any]:
        secret, sha256 = info.context.services.make_secret(CLIENT_SECRET)
        change = SecretChange(row_id_of(input.id, "OauthClient", "id"), input.overlap_minutes, input.idempotency_key)
        changed = await change_client_secret(info.context.world, info.context.actor, change, sha256)
        info.context.loaders.clear()
        shown = None if changed.replayed else secret
        return {"oauth_client": changed.client, "secret": shown, "replayed": changed.replayed}

    return await answer_mutation(OauthClientRotateSecretPayload, work)
