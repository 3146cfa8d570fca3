"""``oidcIssuerRemove``: remove an identity provider, so that its tokens are refused."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.oidc_issuer import remove_oidc_issuer
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.oidc_issuer import OidcIssuer


@strawberry.input(description="Which provider to remove.")
class OidcIssuerRemoveInput:
    id: strawberry.ID = strawberry.field(description="The provider.")


@strawberry.type(description="The removed provider.")
class OidcIssuerRemovePayload:
    user_errors: UserErrors = user_errors_field()
    oidc_issuer: OidcIssuer | None = strawberry.field(default=None, description="The provider as it was.")


@guarded(
    Permission.TOKENS_MANAGE,
    description=(
        "Remove an identity provider: its tokens are refused at once, and open sockets are closed within 5 seconds. "
        "The secret of its application is forgotten. Its issuer and audience stay the tenant's own, so that nobody "
        "else can take them."
    ),
    even_when_off=True,
)
async def oidc_issuer_remove(
    info: Info,
    input: Annotated[OidcIssuerRemoveInput, strawberry.argument(description="The provider to remove.")],  # noqa: A002
) -> OidcIssuerRemovePayload:
    """Remove a provider. Removing it again is no error."""

    async def work() -> Mapping[str, Any]:
        issuer_id = row_id_of(input.id, "OidcIssuer", "id")
        row = await remove_oidc_issuer(info.context.world, info.context.actor, issuer_id)
        info.context.loaders.clear()
        return {"oidc_issuer": row}

    return await answer_mutation(OidcIssuerRemovePayload, work)
