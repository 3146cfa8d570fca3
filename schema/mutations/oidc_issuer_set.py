"""``oidcIssuerSet``: set an identity provider at which a tenant's staff sign in."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.services.oidc_issuer import OidcIssuerRequest, RoleValue, set_oidc_issuer
from permissions.catalog import Permission
from permissions.roles import TeamRole
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.given import sent
from schema.mutations.payload import UserErrors, user_errors_field
from schema.node_ids import row_id_of
from schema.types.oidc_issuer import OidcIssuer


@strawberry.input(description="A value of the provider's claim of roles, and the role that it stands for here.")
class OidcRoleInput:
    value: str = strawberry.field(description="The value, to the letter; 1 to 255 characters.")
    role: TeamRole | None = strawberry.field(
        default=None, description="A built-in role; null with `customRole`. It may do only what the caller may do too."
    )
    custom_role: strawberry.ID | None = strawberry.field(
        default=None, description="A role that the tenant has made; null with `role`."
    )


@strawberry.input(description="The provider. Setting the same issuer and audience again changes the mapping.")
class OidcIssuerSetInput:
    issuer: str = strawberry.field(
        description="The claim `iss` of its tokens, to the letter: an https address that is public."
    )
    audience: str = strawberry.field(
        description="The claim `aud` of its tokens: the id of your application at the provider; 1 to 255 characters. "
        "An issuer and audience belong to one tenant."
    )
    role_claim: str = strawberry.field(
        default="roles", description="The claim that tells roles: a text, or a list of texts. Default `roles`."
    )
    roles: list[OidcRoleInput] = strawberry.field(
        description="What the values of the claim stand for; 1 to 50. Who has none of them is let in only as a member."
    )
    sign_in_client_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The id of your application at the provider, by which staff sign in with a browser; 1 to 255 "
        "characters, often the same as `audience`. Left out it stays, null switches browser sign-in off. An issuer and "
        "client id belong to one tenant.",
    )
    sign_in_client_secret: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The secret of that application; 1 to 255 printable ASCII characters. It is kept encrypted and "
        "never shown. Left out it stays with its application, null is for an application without a secret.",
    )


@strawberry.type(description="The provider as it is set now.")
class OidcIssuerSetPayload:
    user_errors: UserErrors = user_errors_field()
    oidc_issuer: OidcIssuer | None = strawberry.field(default=None, description="The provider.")


@guarded(
    Permission.TOKENS_MANAGE,
    description=(
        "Let the tenant's staff sign in at an identity provider of their own (OpenID Connect): its ID tokens and JWT "
        "access tokens are bearer tokens. Only a person of the team may. At most 5 are set."
    ),
    even_when_off=True,
    for_people=True,
)
async def oidc_issuer_set(
    info: Info,
    input: Annotated[OidcIssuerSetInput, strawberry.argument(description="The provider.")],  # noqa: A002
) -> OidcIssuerSetPayload:
    """Set a provider. A member who signed in before gets the roles of the new mapping with the next request."""

    async def work() -> Mapping[str, Any]:
        request = OidcIssuerRequest(
            input.issuer,
            input.audience,
            input.role_claim,
            [_role_value(index, one) for index, one in enumerate(input.roles)],
            sent(input.sign_in_client_id),
            sent(input.sign_in_client_secret),
        )
        row = await set_oidc_issuer(info.context.world, info.context.actor, request)
        info.context.loaders.clear()
        return {"oidc_issuer": row}

    return await answer_mutation(OidcIssuerSetPayload, work)


def _role_value(index: int, one: OidcRoleInput) -> RoleValue:
    """Return the role for a value of the claim. Refusals: InvalidInput, NotFound."""
    path = ("roles", str(index))
    if (one.role is None) == (one.custom_role is None):
        raise InvalidInput.one(*path, "role", reason="or else customRole must be given, and not both")
    if one.role is not None:
        return RoleValue(one.value, one.role)
    return RoleValue(one.value, row_id_of(one.custom_role or "", "Role", *path, "custom_role"), "custom_role")
