"""Identity providers that a tenant's staff sign in at."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import strawberry

from loyalty.rules.ids import TenantId
from loyalty.rules.sign_in import SignInAddress
from loyalty.storage.oidc_issuers import OidcIssuerRow
from loyalty.storage.window import TimePlace
from permissions.roles import TeamRole
from schema.connections import Order, time_order
from schema.context import Info
from schema.fields import computed
from schema.loaders import loaded
from schema.types.node import Node, node_id, reads, row_of
from schema.types.role import Role

ISSUER_ORDER: Order[TimePlace] = time_order("identity providers")


@strawberry.type(description="A value of the provider's claim of roles, and the role that it stands for here.")
class OidcRole:
    value: str = strawberry.field(description="The value, to the letter.")
    role: TeamRole | None = strawberry.field(description="The built-in role; null for a role that the tenant has made.")
    custom_role: Role | None = loaded(
        "roles", "custom_role_id", description="The role that the tenant has made; null for a built-in one."
    )
    custom_role_id: strawberry.Private[UUID | None]


@strawberry.type(
    description="An identity provider (OpenID Connect) whose tokens the tenant's staff may send as bearer tokens."
)
class OidcIssuer(Node):
    is_type_of = reads(OidcIssuerRow)

    id: strawberry.ID = node_id("OidcIssuer")
    issuer: str = strawberry.field(description="The claim `iss`, to the letter. Its keys are found by discovery.")
    audience: str = strawberry.field(description="The claim `aud`: the tenant's application at the provider.")
    role_claim: str = strawberry.field(description="The claim that tells roles: a text, or a list of texts.")
    created_at: datetime = strawberry.field(description="When it was set first.")
    changed_at: datetime = strawberry.field(description="When it was set last.")
    changed_by: str = strawberry.field(description="The actor who changed the provider last.")

    @computed(
        description="The id of the tenant's application, by which staff sign in with a browser; null where they do not."
    )
    def sign_in_client_id(self) -> str | None:
        """From the row."""
        return row_of(OidcIssuerRow, self).client_id

    @computed(description="Whether the application has a secret, which is shown nowhere.")
    def has_sign_in_client_secret(self) -> bool:
        """From the sealed secret."""
        return row_of(OidcIssuerRow, self).client_secret is not None

    @computed(
        description="Where signing in with a browser begins; `returnTo` in its query is the path to come back to. Null "
        "without a client id, and where the operator has set no public address (`TREUE_PUBLIC_URL`)."
    )
    def sign_in_url(self, info: Info) -> str | None:
        """From the address of the service."""
        return _show_address(self, info, SignInAddress.sign_in_url)

    @computed(
        description="The redirect URI to register at the provider, to the letter. Null where `signInUrl` is null."
    )
    def redirect_uri(self, info: Info) -> str | None:
        """From the address of the service."""
        return _show_address(self, info, SignInAddress.redirect_uri)

    @computed(
        description="The back-channel logout URI to register at the provider, so that signing out there ends sessions "
        "here. Null where `signInUrl` is null."
    )
    def back_channel_logout_uri(self, info: Info) -> str | None:
        """From the address of the service."""
        return _show_address(self, info, SignInAddress.back_channel_logout_uri)

    @computed(description="What the values of the claim stand for. Who has none of them is let in only as a member.")
    def roles(self) -> list[OidcRole]:
        """From the stored names of roles."""
        row = row_of(OidcIssuerRow, self)
        return [_show_role(one) for one in row.roles]


def _show_address(
    shown: OidcIssuer, info: Info, address_of: Callable[[SignInAddress, TenantId, UUID], str]
) -> str | None:
    row, address = row_of(OidcIssuerRow, shown), info.context.services.sign_in
    if row.client_id is None or address is None:
        return None
    return address_of(address, info.context.actor.tenant_id, row.id)


def _show_role(one: dict[str, str]) -> OidcRole:
    custom_id = UUID(one["role_id"]) if "role_id" in one else None
    return OidcRole(value=one["value"], role=None if custom_id else TeamRole[one["role"]], custom_role_id=custom_id)
