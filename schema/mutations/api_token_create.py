"""``apiTokenCreate``: a credential for a partner system, shown once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from loyalty.services.api_token import ApiTokenRequest, create_api_token_once
from permissions.catalog import Permission
from schema.context import API_TOKEN, Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, optional_key_field, replayed_field, secret_field, user_errors_field
from schema.node_ids import row_id_of
from schema.types.api_token import ApiToken, networks_field
from schema.types.location import scope_input


@strawberry.input(description="A new API token.")
class ApiTokenCreateInput:
    name: str = strawberry.field(description="What it is for; 1 to 120 characters.")
    permissions: list[Permission] = strawberry.field(description="What it may do; only what the caller may do too.")
    expires_at: datetime | None = strawberry.field(
        default=None,
        description="When it ends by itself; null for never. A token that an API token makes ends when its maker does.",
    )
    replaces: strawberry.ID | None = strawberry.field(
        default=None,
        description=(
            "The token whose place it takes. The new one shares its idempotency keys, so that a retry after the change "
            "is still found. The replaced token goes on working until it is revoked."
        ),
    )
    idempotency_key: str | None = optional_key_field()
    networks: list[str] | None = networks_field()
    locations: list[str] | None = scope_input()


@strawberry.type(description="The new token with its secret, which is never shown again.")
class ApiTokenCreatePayload:
    user_errors: UserErrors = user_errors_field()
    api_token: ApiToken | None = strawberry.field(default=None, description="The token.")
    secret: str | None = secret_field("bearer credential")
    replayed: bool | None = replayed_field()


@guarded(
    Permission.TOKENS_MANAGE,
    description="Make an API token for a partner system. Only a hash of its secret is kept.",
    even_when_off=True,
)
async def api_token_create(
    info: Info,
    input: Annotated[ApiTokenCreateInput, strawberry.argument(description="The token.")],  # noqa: A002
) -> ApiTokenCreatePayload:
    """Make an API token. Refuses more than 200 tokens that have not ended."""

    async def work() -> Mapping[str, Any]:
        secret, sha256 = info.context.services.make_secret(API_TOKEN)
        created = await create_api_token_once(
            info.context.world,
            info.context.actor,
            ApiTokenRequest(
                name=input.name,
                permissions=frozenset(input.permissions),
                expires_at=input.expires_at,
                replaces=None if input.replaces is None else row_id_of(input.replaces, "ApiToken", "replaces"),
                idempotency_key=input.idempotency_key,
                networks=input.networks,
                locations=input.locations,
            ),
            sha256,
        )
        info.context.loaders.clear()
        shown = None if created.replayed else secret
        return {"api_token": created.token, "secret": shown, "replayed": created.replayed}

    return await answer_mutation(ApiTokenCreatePayload, work)
