"""``oauthClientCreate``: create an OAuth client for a partner system."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from loyalty.services.oauth_client import OAuthClientRequest, create_oauth_client
from permissions.catalog import Permission
from schema.context import CLIENT_SECRET, Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, secret_field, user_errors_field
from schema.types.api_token import networks_field
from schema.types.oauth_client import OauthClient


@strawberry.input(description="A new OAuth client.")
class OauthClientCreateInput:
    name: str = strawberry.field(description="What it is for; 1 to 120 characters.")
    permissions: list[Permission] = strawberry.field(
        description="What its access tokens may do at most; only what the caller may do too, and never TOKENS_MANAGE."
    )
    expires_at: datetime | None = strawberry.field(
        default=None,
        description="When it ends by itself; null for never. What an API token makes ends when the token does.",
    )
    networks: list[str] | None = networks_field()
    idempotency_key: str | None = optional_key_field()


@strawberry.type(description="The new client with its secret, which is never shown again.")
class OauthClientCreatePayload:
    user_errors: UserErrors = user_errors_field()
    oauth_client: OauthClient | None = strawberry.field(default=None, description="The client.")
    secret: str | None = secret_field("`client_secret`")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.TOKENS_MANAGE,
    description=(
        "Make an OAuth client for a partner system (OAuth 2.0 client credentials, RFC 6749). Only a hash of its secret "
        "is kept. At most 200 are live."
    ),
    even_when_off=True,
)
async def oauth_client_create(
    info: Info,
    input: Annotated[OauthClientCreateInput, strawberry.argument(description="The client.")],  # noqa: A002
) -> OauthClientCreatePayload:
    """Create an OAuth client. It ends with the credential that makes it."""

    async def work() -> Mapping[str, Any]:
        secret, sha256 = info.context.services.make_secret(CLIENT_SECRET)
        request = OAuthClientRequest(
            name=input.name,
            permissions=frozenset(input.permissions),
            expires_at=input.expires_at,
            networks=input.networks,
            idempotency_key=input.idempotency_key,
        )
        created = await create_oauth_client(info.context.world, info.context.actor, request, sha256)
        info.context.loaders.clear()
        shown = None if created.replayed else secret
        return {"oauth_client": created.client, "secret": shown, "replayed": created.replayed}

    return await answer_mutation(OauthClientCreatePayload, work)
