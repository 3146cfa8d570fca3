"""The queries of the platform: its tenants, and its actions."""

from typing import Annotated
from uuid import UUID

import strawberry

from loyalty.rules.errors import InvalidInput
from loyalty.rules.text import is_storable, tidy_id
from loyalty.services.platform import count_tenants_of_platform, list_tenants_of_platform
from loyalty.services.platform_log import count_actions, list_actions
from schema.connections import Connection, Order, Page, connection_of, id_value, window_of
from schema.guard import guarded
from schema.platform.context import PlatformInfo
from schema.platform.types import PlatformAction, PlatformTenant, TenantState, parse_id, show_action, show_tenant
from schema.types.arguments import After, First
from tenancy.provisioning import TenantFilter

TENANTS: Order[UUID] = Order("platform tenants", lambda place: (str(place),), id_value)
ACTIONS: Order[UUID] = Order("platform actions", lambda place: (str(place),), id_value)


@guarded(description="All tenants, the oldest first.")
async def tenants(
    info: PlatformInfo,
    states: Annotated[
        list[TenantState] | None, strawberry.argument(description="Only tenants in one of these states.")
    ] = None,
    first: First = None,
    after: After = None,
) -> Connection[PlatformTenant]:
    """A page of the list."""
    context = info.context
    wanted = TenantFilter(states=None if states is None else [state.value for state in states])
    window = window_of(context.seal, Page(first, after, None, None), TENANTS)
    rows = await list_tenants_of_platform(context.world, wanted, window.limit, window.beyond)
    found = [(row.tenant_id, show_tenant(row)) for row in rows]
    return connection_of(
        context.seal, window, TENANTS, found, count=lambda: count_tenants_of_platform(context.world, wanted)
    )


@strawberry.input(one_of=True, name="TenantBy", description="One of the names of a tenant.")
class PlatformTenantBy:
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="The tenant's id.")
    external_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="What the platform's own system calls it."
    )


@guarded(description="One tenant; null where there is none.")
async def tenant(
    info: PlatformInfo, by: Annotated[PlatformTenantBy, strawberry.argument(description="The tenant to read.")]
) -> PlatformTenant | None:
    """Found by its id, or by that of the platform's own system."""
    wanted: TenantFilter | None = None
    if isinstance(by.external_id, str) and is_storable(by.external_id):
        wanted = TenantFilter(external_ids=[tidy_id(by.external_id)])
    elif (tenant_id := parse_id(str(by.id))) is not None:
        wanted = TenantFilter(ids=[tenant_id])
    rows = [] if wanted is None else await list_tenants_of_platform(info.context.world, wanted, 1)
    return show_tenant(rows[0]) if rows else None


@guarded(description="What the platform has done, the newest first.")
async def actions(
    info: PlatformInfo,
    tenant_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="Only what was done to this tenant.")
    ] = None,
    first: First = None,
    after: After = None,
) -> Connection[PlatformAction]:
    """A page of the log."""
    context = info.context
    asked = None if tenant_id is None else parse_id(tenant_id)
    if tenant_id is not None and asked is None:
        raise InvalidInput.one("tenant_id", reason="must be the id of a tenant")
    window = window_of(context.seal, Page(first, after, None, None), ACTIONS)
    rows = await list_actions(context.world, window.limit, before=window.beyond, tenant_id=asked)
    found = [(row.id, show_action(row)) for row in rows]
    return connection_of(
        context.seal, window, ACTIONS, found, count=lambda: count_actions(context.world, tenant_id=asked)
    )
