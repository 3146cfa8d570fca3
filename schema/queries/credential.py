"""The credentials of a tenant: API tokens, OAuth clients, and the identity providers of its staff."""

from typing import Annotated

import strawberry

from loyalty.rules.listing import OrderDirection
from loyalty.services.api_token import count_api_tokens, list_api_tokens, page_api_tokens
from loyalty.services.oauth_client import count_oauth_clients, page_oauth_clients
from loyalty.services.oidc_issuer import count_oidc_issuers, page_oidc_issuers
from permissions.catalog import Permission
from schema.connections import Connection, Page
from schema.context import Info
from schema.fields import OLD_NAMES_GO_AFTER
from schema.guard import guarded
from schema.types.api_token import TOKEN_ORDER, ApiToken, TokenFilterInput, token_filter
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.listed import load_listed_page
from schema.types.node import show_rows
from schema.types.oauth_client import CLIENT_ORDER, OauthClient
from schema.types.oidc_issuer import ISSUER_ORDER, OidcIssuer

Filter = Annotated[TokenFilterInput | None, strawberry.argument(description="Which credentials to list.")]


@guarded(
    Permission.TOKENS_MANAGE,
    description="All API tokens, newest first, ended ones too. Their secrets are nowhere.",
    even_when_off=True,
    deprecation_reason=f"Use `tokens`, a list with pages. Goes after {OLD_NAMES_GO_AFTER}.",
)
async def api_tokens(info: Info) -> list[ApiToken]:
    """Return all API tokens. At most 200 of them have not ended."""
    return show_rows(ApiToken, await list_api_tokens(info.context.world, info.context.actor))


@guarded(
    Permission.TOKENS_MANAGE,
    description="API tokens by when they were made, by default newest first. Their secrets are nowhere.",
    even_when_off=True,
)
async def tokens(
    info: Info,
    filter: Filter = None,  # noqa: A002
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[ApiToken]:
    """A page of API tokens."""
    wanted, page = token_filter(filter), Page(first, after, last, before, direction)
    return await load_listed_page(info, TOKEN_ORDER, page, page_api_tokens, wanted, "created_at", count_api_tokens)


@guarded(
    Permission.TOKENS_MANAGE,
    description="OAuth clients by when they were made, by default newest first, ended ones too. Their secrets are "
    "nowhere.",
    even_when_off=True,
)
async def oauth_clients(
    info: Info,
    filter: Filter = None,  # noqa: A002
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[OauthClient]:
    """A page of OAuth clients."""
    wanted, page = token_filter(filter), Page(first, after, last, before, direction)
    return await load_listed_page(
        info, CLIENT_ORDER, page, page_oauth_clients, wanted, "created_at", count_oauth_clients
    )


@guarded(
    Permission.TOKENS_MANAGE,
    description="The identity providers that the tenant's staff sign in at, by when they were set first, by default "
    "the oldest first.",
    even_when_off=True,
)
async def oidc_issuers(
    info: Info,
    direction: NewestFirst = OrderDirection.ASCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[OidcIssuer]:
    """A page of providers."""
    page = Page(first, after, last, before, direction)
    return await load_listed_page(info, ISSUER_ORDER, page, page_oidc_issuers, None, "created_at", count_oidc_issuers)
