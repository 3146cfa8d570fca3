"""``tenantsCreate``: up to 1,000 tenants in one call, each of them once."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.rules.errors import InvalidInput, LoyaltyError
from loyalty.rules.platform import MAX_TENANTS_AT_ONCE
from loyalty.services.tenant import CreatedTenant, TenantRequest, create_tenants
from schema.errors import answer_mutation, user_errors
from schema.guard import guarded
from schema.input_values import unreadable_problems
from schema.mutations.payload import UserErrors, user_errors_field
from schema.platform.context import PlatformInfo
from schema.platform.types import PlatformTenant, show_tenant


@strawberry.input(description="A business that joins the platform.")
class TenantCreateInput:
    external_id: str = strawberry.field(
        description="What the platform's own system calls it, 1 to 255 characters. A tenant is created once for each: "
        "a retry is answered with the tenant that is there."
    )
    name: str = strawberry.field(description="The name of the business, 1 to 120 characters.")
    currency: str = strawberry.field(description="ISO 4217, such as EUR.")
    time_zone: str = strawberry.field(description="IANA zone, such as Europe/Berlin.")
    locale: str = strawberry.field(default="en", description="Language of the business (BCP 47).")
    sandbox: bool = strawberry.field(default=False, description="Whether it is to try things in.")
    allowed_origins: list[str] = strawberry.field(
        default_factory=list, description="Origins whose browser pages may call, such as https://salon.example."
    )
    loyalty_entitled: bool = strawberry.field(default=True, description="Whether the loyalty module is granted.")


@strawberry.input(description="Tenants to create.")
class TenantsCreateInput:
    tenants: list[TenantCreateInput] = strawberry.field(description=f"1 to {MAX_TENANTS_AT_ONCE:,} tenants.")


@strawberry.type(description="What became of one tenant of the call.")
class TenantCreateResult:
    user_errors: UserErrors = strawberry.field(description="Why it was not created; empty when it is there.")
    tenant: PlatformTenant | None = strawberry.field(default=None, description="The tenant, as it is now.")
    replayed: bool | None = strawberry.field(
        default=None, description="True when an earlier call had created it: nothing happened this time."
    )


@strawberry.type(description="One result for each tenant, in their order.")
class TenantsCreatePayload:
    user_errors: UserErrors = user_errors_field()
    results: list[TenantCreateResult] | None = strawberry.field(
        default=None, description="What became of each; a wrong one harms no other."
    )


@guarded(
    description=f"Create up to {MAX_TENANTS_AT_ONCE:,} tenants, each with its first program. An external id with other "
    "details than before is an IdempotencyConflict.",
    batch="tenants",
)
async def tenants_create(
    info: PlatformInfo,
    input: Annotated[TenantsCreateInput, strawberry.argument(description="The tenants.")],  # noqa: A002
) -> TenantsCreatePayload:
    """Create tenants, each in its own transaction."""

    async def work() -> Mapping[str, Any]:
        requests = [_read(one, ("tenants", str(place))) for place, one in enumerate(input.tenants)]
        created = await create_tenants(info.context.world, info.context.platform, requests)
        return {"results": [_show(one) for one in created]}

    return await answer_mutation(TenantsCreatePayload, work)


def _read(given: TenantCreateInput, path: tuple[str, ...]) -> TenantRequest | InvalidInput:
    problems = unreadable_problems(given, path)
    if problems:
        return InvalidInput(problems)
    return TenantRequest(
        name=given.name,
        currency=given.currency,
        time_zone=given.time_zone,
        locale=given.locale,
        sandbox=given.sandbox,
        allowed_origins=tuple(given.allowed_origins),
        loyalty_entitled=given.loyalty_entitled,
        external_id=given.external_id,
    )


def _show(one: CreatedTenant | LoyaltyError) -> TenantCreateResult:
    if isinstance(one, LoyaltyError):
        return TenantCreateResult(user_errors=user_errors(one))
    return TenantCreateResult(user_errors=[], tenant=show_tenant(one.tenant), replayed=one.replayed)
