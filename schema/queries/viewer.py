"""The caller, and objects by their global id."""

import asyncio
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.services.customer import get_me
from loyalty.services.program import get_program, get_tenant
from permissions.actor import Actor
from permissions.catalog import Permission, sort_permissions
from permissions.policy import allows, find_held
from schema.context import Info
from schema.guard import guarded
from schema.loaders import load
from schema.node_ids import decode_id
from schema.types.customer import Customer
from schema.types.member import Member
from schema.types.node import Node, show_row, show_row_if_any, show_rows
from schema.types.program import Tenant, Viewer, ViewerSession
from schema.types.role import Role

MAX_NODES = 100

_LOADERS = {
    "Customer": "customers",
    "Purchase": "purchases",
    "Accrual": "accruals_by_id",
    "Adjustment": "adjustments",
    "Hold": "holds",
    "CustomerMerge": "merges",
    "OpeningBalance": "opening_balances",
    "PointsLot": "lots",
    "Redemption": "redemptions",
    "LedgerEntry": "entries",
    "Tier": "tiers",
    "EarningRule": "earning_rules",
    "Job": "jobs",
    "ApiToken": "api_tokens",
    "OauthClient": "oauth_clients",
    "OidcIssuer": "oidc_issuers",
    "Member": "members",
    "Role": "roles",
    "BrowserSession": "browser_sessions",
    "PointsAccount": "points_accounts",
    "CatalogItem": "catalog_items",
    "GiftCardProduct": "gift_card_products",
    "GiftCardGift": "gift_card_gifts",
    "GiftCard": "gift_cards",
    "GiftCardHold": "gift_card_holds",
    "GiftCardEntry": "gift_card_entries",
    "AuditEntry": "audit_entries",
}
_OWN = ("Tenant", "Program")
NODE_TYPES = frozenset((*_LOADERS, *_OWN))
"""Every type that ``node`` finds; a test compares them with the types that have a global id."""
_TEAM_ONLY = {
    "EarningRule": Permission.LOYALTY_READ,
    "Job": Permission.LOYALTY_READ,
    "CatalogItem": Permission.LOYALTY_READ,
    "ApiToken": Permission.TOKENS_MANAGE,
    "OauthClient": Permission.TOKENS_MANAGE,
    "AuditEntry": Permission.AUDIT_READ,
    "OidcIssuer": Permission.TOKENS_MANAGE,
}


@guarded(description="Who is calling. Works with every credential, also while the program is off.", even_when_off=True)
async def viewer(info: Info) -> Viewer:
    """Return the facts about the caller's credential."""
    actor = info.context.actor
    return Viewer(
        kind=actor.kind,
        name=actor.display,
        tenant=show_row(Tenant, await get_tenant(info.context.world, actor)),
        permissions=sort_permissions(find_held(actor)),
        customer=show_row_if_any(Customer, await _customer(info)),
        roles=show_rows(Role, list(actor.roles)),
        role=show_row_if_any(Role, actor.roles[0] if len(actor.roles) == 1 else None),
        member=show_row_if_any(Member, await load(info, "members", actor.member_id) if actor.member_id else None),
        locations=None if actor.locations is None else sorted(actor.locations),
        session=_show_session(actor),
    )


@guarded(
    Permission.SELF_READ,
    Permission.LOYALTY_READ,
    description="The customer who is calling; null for everybody else.",
)
async def me(info: Info) -> Customer | None:
    """Return the customer of the credential."""
    return show_row_if_any(Customer, await get_me(info.context.world, info.context.actor))


@guarded(description="An object by its global id; null when there is none, or not for this caller.")
async def node(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="The global id.")],  # noqa: A002 - Relay's name
) -> Node | None:
    """Return one object."""
    return show_row_if_any(Node, await _load_node(info, id))


@guarded(description="Objects by their global ids, in the same order; null where there is none.")
async def nodes(
    info: Info,
    ids: Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 global ids.")],
) -> list[Node | None]:
    """Return several objects, with one statement for each type of object."""
    if len(ids) > MAX_NODES:
        raise InvalidInput.one("ids", reason=f"must have at most {MAX_NODES} ids")
    return [show_row_if_any(Node, row) for row in await asyncio.gather(*(_load_node(info, one) for one in ids))]


async def _load_node(info: Info, text: str) -> Any:
    found = decode_id(text)
    if found is None:
        return None
    actor = info.context.actor
    if found.type_name in _OWN:
        return await _load_own(info, found.type_name) if found.id == actor.tenant_id else None
    needed = _TEAM_ONLY.get(found.type_name)
    if found.type_name not in _LOADERS or (needed and not allows(actor, needed)):
        return None
    return await load(info, _LOADERS[found.type_name], found.id)


async def _load_own(info: Info, type_name: str) -> Any:
    """Load the caller's own tenant, or the program of this tenant."""
    if type_name == "Tenant":
        return await get_tenant(info.context.world, info.context.actor)
    return await get_program(info.context.world, info.context.actor)


def _show_session(actor: Actor) -> ViewerSession | None:
    if actor.session is None or actor.expires_at is None:
        return None
    return ViewerSession(started_at=actor.session.started_at, expires_at=actor.expires_at)


async def _customer(info: Info) -> Any:
    actor = info.context.actor
    reads_self = allows(actor, Permission.SELF_READ) and actor.loyalty_enabled
    return await load(info, "customers", actor.customer_id) if reads_self else None
