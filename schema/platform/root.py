"""The whole schema of the platform: every root field, by the name clients call it."""

import strawberry

from schema.errors import IdempotencyConflict, InvalidInput, NotFound
from schema.executable import ExecutableSchema, build_schema
from schema.platform import queries, tenant_changes, tenants_create


@strawberry.type(name="Query", description="What the platform reads: its tenants, and what it has done.")
class PlatformQuery:
    tenants = queries.tenants
    tenant = queries.tenant
    actions = queries.actions


@strawberry.type(name="Mutation", description="What the platform does. Refusals are in `userErrors`.")
class PlatformMutation:
    tenants_create = tenants_create.tenants_create
    tenant_entitle = tenant_changes.tenant_entitle
    tenant_limit = tenant_changes.tenant_limit
    tenant_suspend = tenant_changes.tenant_suspend
    tenant_resume = tenant_changes.tenant_resume
    tenant_close = tenant_changes.tenant_close


def platform_schema(unavailable: tuple[type[Exception], ...] = ()) -> ExecutableSchema:
    """The executable API of the platform. ``unavailable`` are exceptions that mean "not now"."""
    return build_schema(
        PlatformQuery,
        PlatformMutation,
        types=(IdempotencyConflict, InvalidInput, NotFound),
        unavailable=unavailable,
    )
