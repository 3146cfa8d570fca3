"""The platform's changes of one tenant: its state, its module, its budget."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.budget import BudgetLimits
from loyalty.rules.errors import InvalidInput, NotFound, TenantClosed
from loyalty.rules.ids import TenantId
from loyalty.services.tenant import close_tenant, entitle_tenant, limit_tenant, resume_tenant, suspend_tenant
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.platform.context import PlatformInfo
from schema.platform.types import PlatformTenant, parse_id, show_tenant
from tenancy.provisioning import ListedTenant


@strawberry.type(description="The tenant as it is now.")
class TenantPayload:
    user_errors: UserErrors = user_errors_field()
    tenant: PlatformTenant | None = strawberry.field(default=None, description="The tenant.")


@strawberry.input(description="Which tenant.")
class TenantInput:
    id: strawberry.ID = strawberry.field(description="The tenant's id.")


@strawberry.input(description="Whether a tenant has the loyalty module.")
class TenantEntitleInput:
    id: strawberry.ID = strawberry.field(description="The tenant's id.")
    loyalty: bool = strawberry.field(description="True to grant the module, false to take it back.")


@strawberry.input(description="A budget for a tenant, in points of cost; both numbers, or null for both.")
class TenantLimitInput:
    id: strawberry.ID = strawberry.field(description="The tenant's id.")
    points: int | None = strawberry.field(
        description="Points that may be spent at once, 20,000 at least. Null lets the budget of the settings count."
    )
    per_second: int | None = strawberry.field(description="Points that come back each second, 1 at least.")


TenantArgument = Annotated[TenantInput, strawberry.argument(description="Which tenant.")]


@guarded(
    description="Refuse every credential of a tenant until it is resumed. Open sockets close within 5 seconds. Points "
    "keep their dates. Suspending twice is no error."
)
async def tenant_suspend(info: PlatformInfo, input: TenantArgument) -> TenantPayload:  # noqa: A002
    """Suspend a tenant: its credentials are refused, and nothing else stops."""
    context = info.context
    return await _change(input.id, lambda tenant_id: suspend_tenant(context.world, tenant_id, context.platform))


@guarded(description="Let the credentials of a suspended tenant work again.")
async def tenant_resume(info: PlatformInfo, input: TenantArgument) -> TenantPayload:  # noqa: A002
    """Resume a tenant: its credentials work again, unless they have ended."""
    context = info.context
    return await _change(input.id, lambda tenant_id: resume_tenant(context.world, tenant_id, context.platform))


@guarded(
    description="Refuse every credential of a tenant for good. Open sockets close within 5 seconds. What the tenant "
    "held is kept, and nothing opens it again."
)
async def tenant_close(info: PlatformInfo, input: TenantArgument) -> TenantPayload:  # noqa: A002
    """Close a tenant. Closing it again is no error."""
    context = info.context
    return await _change(input.id, lambda tenant_id: close_tenant(context.world, tenant_id, context.platform))


@guarded(
    description="Grant the loyalty module to a tenant, or take it back: then everything but credentials is refused. "
    "The tenant's own switch stays as it is."
)
async def tenant_entitle(
    info: PlatformInfo,
    input: Annotated[TenantEntitleInput, strawberry.argument(description="Which tenant, and what.")],  # noqa: A002
) -> TenantPayload:
    """Grant the loyalty module or take it back. Granting it again is no error."""
    context = info.context
    return await _change(
        input.id,
        lambda tenant_id: entitle_tenant(context.world, tenant_id, context.platform, loyalty=input.loyalty),
    )


@guarded(description="Give a tenant a budget of its own. Servers know of it within seconds of its traffic.")
async def tenant_limit(
    info: PlatformInfo,
    input: Annotated[TenantLimitInput, strawberry.argument(description="Which tenant, and how much.")],  # noqa: A002
) -> TenantPayload:
    """Give a tenant its own budget. Null takes it away."""
    context = info.context

    async def limit(tenant_id: TenantId) -> ListedTenant:
        if (input.points is None) != (input.per_second is None):
            missing = "points" if input.points is None else "per_second"
            raise InvalidInput.one(missing, reason="must be a number where the other one is")
        own = None if input.points is None or input.per_second is None else BudgetLimits(input.points, input.per_second)
        return await limit_tenant(context.world, tenant_id, own, context.platform)

    return await _change(input.id, limit)


async def _change(sent_id: str, change: Callable[[TenantId], Awaitable[ListedTenant]]) -> TenantPayload:
    async def work() -> Mapping[str, Any]:
        tenant_id = parse_id(sent_id)
        if tenant_id is None:
            raise NotFound("tenant", ("id",))
        try:
            return {"tenant": show_tenant(await change(TenantId(tenant_id)))}
        except TenantClosed:
            raise InvalidInput.one("id", reason="must not be a tenant that is closed for good") from None

    return await answer_mutation(TenantPayload, work)
