"""``members``, ``roles`` and ``browserSessions``: the team, its permissions, and where people are signed in."""

from typing import Annotated

import strawberry

from loyalty.rules.listing import OrderDirection
from permissions.catalog import Permission
from schema.connections import Connection, Page
from schema.context import Info
from schema.guard import guarded
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.browser_session import BrowserSession, BrowserSessionFilterInput, session_page
from schema.types.member import Member, MemberFilterInput, member_page
from schema.types.role import Role, role_page


@guarded(
    Permission.MEMBERS_READ,
    description="Members of the team by when they were added, by default newest first; invited and removed ones too.",
    even_when_off=True,
)
async def members(
    info: Info,
    filter: Annotated[MemberFilterInput | None, strawberry.argument(description="Which members to list.")] = None,  # noqa: A002
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Member]:
    """A page of members."""
    return await member_page(info, filter, Page(first, after, last, before, direction))


@guarded(
    Permission.MEMBERS_READ,
    description="The roles that people may have: the built-in ones first, then those of the tenant, the oldest first.",
    even_when_off=True,
)
async def roles(
    info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
) -> Connection[Role]:
    """A page of roles."""
    return await role_page(info, Page(first, after, last, before))


@guarded(
    description="Browser sessions that have not ended, by when they began, by default newest first: the caller's own, "
    "with MEMBERS_MANAGE those of the whole team.",
    even_when_off=True,
)
async def browser_sessions(
    info: Info,
    filter: Annotated[  # noqa: A002
        BrowserSessionFilterInput | None, strawberry.argument(description="Which sessions to list.")
    ] = None,
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[BrowserSession]:
    """A page of browser sessions."""
    return await session_page(info, filter, Page(first, after, last, before, direction))
