"""``auditLog``: who changed which part of the configuration."""

from typing import Annotated

import strawberry

from loyalty.rules.listing import OrderDirection
from permissions.catalog import Permission
from schema.connections import Connection, Page
from schema.context import Info
from schema.guard import guarded
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.audit import AuditEntry, AuditFilterInput, audit_page


@guarded(
    Permission.AUDIT_READ,
    description="Every change of settings, rules, tiers, catalogue, credentials and origins, by default newest first.",
    even_when_off=True,
)
async def audit_log(
    info: Info,
    filter: Annotated[AuditFilterInput | None, strawberry.argument(description="Which changes to list.")] = None,  # noqa: A002
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[AuditEntry]:
    """A page of the log."""
    return await audit_page(info, filter, Page(first, after, last, before, direction))
