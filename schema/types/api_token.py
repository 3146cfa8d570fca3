"""API tokens as the tenant sees them: everything but the secret."""

from datetime import datetime
from typing import Any

import strawberry

from loyalty.storage.api_token_lists import TokenFilter
from loyalty.storage.api_tokens import ApiTokenRow
from loyalty.storage.window import TimePlace
from permissions.catalog import Permission, parse_known_grants, sort_permissions
from schema.connections import Order, time_order
from schema.fields import computed, shows
from schema.types.activity import check_text_filters
from schema.types.location import scope_field
from schema.types.node import Node, node_id, reads, row_of

DEFAULT_OVERLAP_MINUTES = 1_440


def networks_field() -> Any:
    """The networks of a new credential."""
    return strawberry.field(
        default=None,
        description=(
            "The networks that it may be used from, as `203.0.113.0/24` or `2001:db8::/32`; 1 to 20. Null: from "
            "everywhere, or from the networks of the token that makes it."
        ),
    )


def overlap_field() -> Any:
    """The ``overlapMinutes`` of a mutation that changes a secret."""
    return strawberry.field(
        default=DEFAULT_OVERLAP_MINUTES,
        description="How long the present secret goes on working: 0 to 10,080 minutes; default 1,440, which is a day. "
        "0 ends it at once.",
    )


def former_secret_field() -> Any:
    """Declare the time at which the former secret ends."""
    return shows(
        "former_ends_at",
        description="When the secret before the present one stops working, or stopped; null when there was none.",
    )


@strawberry.type(description="A credential of a partner system. Its secret is shown once, when it is made.")
class ApiToken(Node):
    is_type_of = reads(ApiTokenRow)

    id: strawberry.ID = node_id("ApiToken")
    name: str = strawberry.field(description="What it is for.")
    created_at: datetime = strawberry.field(description="When it was made.")
    created_by: str = strawberry.field(description="The actor who made the token.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; null for never.")
    revoked_at: datetime | None = strawberry.field(description="When it was ended by hand.")
    last_used_at: datetime | None = strawberry.field(description="When it was last seen, to the minute.")
    networks: list[str] | None = strawberry.field(
        description="The networks that it may be used from; null for everywhere."
    )
    former_secret_ends_at: datetime | None = former_secret_field()
    locations: list[str] | None = scope_field("it is")

    @computed(description="What it may do.")
    def permissions(self) -> list[Permission]:
        """From the stored wire names."""
        row = row_of(ApiTokenRow, self)
        return sort_permissions(parse_known_grants(row.permissions))


@strawberry.input(description="Which API tokens or OAuth clients; everything that is given must hold.")
class TokenFilterInput:
    live: bool | None = strawberry.field(
        default=None,
        description="True: only credentials that work. False: only credentials that have expired or were revoked.",
    )
    search: str | None = strawberry.field(
        default=None,
        description="Only credentials with this text in the name, without regard to case: 1 to 200 characters.",
    )


TOKEN_ORDER: Order[TimePlace] = time_order("tokens")


def token_filter(given: TokenFilterInput | None) -> TokenFilter:
    """Return the filter for the input. Refusal: InvalidInput."""
    if given is None:
        return TokenFilter()
    check_text_filters(given, "search")
    return TokenFilter(live=given.live, search=given.search)
