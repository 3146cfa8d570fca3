"""OAuth clients as the tenant sees them: everything but the secrets."""

from datetime import datetime

import strawberry

from loyalty.storage.oauth_clients import OAuthClientRow
from loyalty.storage.window import TimePlace
from permissions.catalog import Permission, parse_known_grants, sort_permissions
from schema.connections import Order, time_order
from schema.fields import computed
from schema.types.api_token import former_secret_field
from schema.types.node import Node, node_id, reads, row_of

CLIENT_ORDER: Order[TimePlace] = time_order("clients")


@strawberry.type(
    description="A partner system that changes its secret for access tokens (OAuth 2.0 client credentials) at "
    "`/oauth/token`. Its secret is shown once, when it is made or changed.",
)
class OauthClient(Node):
    is_type_of = reads(OAuthClientRow)

    id: strawberry.ID = node_id("OauthClient")
    name: str = strawberry.field(description="What it is for.")
    created_at: datetime = strawberry.field(description="When it was made.")
    created_by: str = strawberry.field(description="The actor who made the client.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; null for never.")
    revoked_at: datetime | None = strawberry.field(description="When it was ended by hand.")
    last_used_at: datetime | None = strawberry.field(
        description="When it, or one of its access tokens, was last seen, to the minute."
    )
    networks: list[str] | None = strawberry.field(
        description="The networks that it and its access tokens may be used from; null for everywhere."
    )
    former_secret_ends_at: datetime | None = former_secret_field()

    @computed(description="The `client_id` that it sends to `/oauth/token`.")
    def client_id(self) -> str:
        """Its own id, as a UUID."""
        row = row_of(OAuthClientRow, self)
        return str(row.id)

    @computed(description="What its access tokens may do at most; each is one scope.")
    def permissions(self) -> list[Permission]:
        """From the stored wire names."""
        row = row_of(OAuthClientRow, self)
        return sort_permissions(parse_known_grants(row.permissions))
