"""Roles of the team: built-in ones, and those that the tenant has made."""

from typing import NamedTuple
from uuid import UUID

import strawberry

from loyalty.rules.errors import NotFound
from loyalty.services.role import list_roles
from loyalty.storage.window import Window
from permissions.catalog import Permission, sort_permissions
from permissions.roles import BUILT_IN_ROLES, HeldRole, TeamRole
from schema.connections import Connection, Order, Page, connection_of, id_value, whole_value, window_of
from schema.context import Info
from schema.fields import computed
from schema.node_ids import decode_id
from schema.scalars import Points
from schema.types.node import Node, node_id, reads, row_of

_BUILT_IN_PLACES = {role.id: place for place, role in enumerate(BUILT_IN_ROLES.values())}


class RolePlace(NamedTuple):
    """The place of a role in the list: built-in ones first, then by id, which is the order of creation."""

    rank: int
    id: UUID


ROLE_ORDER: Order[RolePlace] = Order(
    "roles", tuple, lambda rank, row_id: RolePlace(whole_value(rank), id_value(row_id))
)


@strawberry.type(description="What a person of the team may do: a set of permissions with a name.")
class Role(Node):
    is_type_of = reads(HeldRole)

    id: strawberry.ID = node_id("Role")
    name: str = strawberry.field(description="What people call it; a built-in role is called as in `builtIn`.")
    built_in: TeamRole | None = strawberry.field(
        description="Which built-in role it is; null for one that the tenant has made."
    )
    daily_points: Points = strawberry.field(
        description="How many points a local day it may add and remove by hand with POINTS_ADJUST, together. 0 without "
        "that permission, and with LOYALTY_ADJUST, which has no limit."
    )

    @computed(description="What it may do.")
    def permissions(self) -> list[Permission]:
        """In the order of the catalogue."""
        row = row_of(HeldRole, self)
        return sort_permissions(row.permissions)


@strawberry.input(description="Names a role in exactly one way.", one_of=True)
class RoleBy:
    built_in: TeamRole | None = strawberry.field(default=strawberry.UNSET, description="A built-in role.")
    id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="The global id of any role.")


def role_id_of(by: RoleBy, *path: str) -> UUID:
    """Return the id of a role. Refusal: NotFound."""
    if by.built_in:
        return BUILT_IN_ROLES[by.built_in].id
    found = decode_id(by.id or "")
    if found is None or found.type_name != "Role" or not isinstance(found.id, UUID):
        raise NotFound("role", path)
    return found.id


async def role_page(info: Info, page: Page) -> Connection[Role]:
    """Return a page of the roles. There are few, so all of them are read."""
    world, actor = info.context.world, info.context.actor
    found = await list_roles(world, actor)
    window = window_of(info.context.seal, page, ROLE_ORDER)

    async def count() -> int:
        return len(found)

    return connection_of(info.context.seal, window, ROLE_ORDER, _take_window(found, window), count=count)


def _take_window(roles: list[HeldRole], window: Window[RolePlace]) -> list[tuple[RolePlace, HeldRole]]:
    """Return the part of a whole list that a window selects, in reading direction."""
    descends = window.descends(by_default=False)
    placed = [(RolePlace(_BUILT_IN_PLACES.get(role.id, len(_BUILT_IN_PLACES)), role.id), role) for role in roles]
    placed.sort(reverse=descends, key=lambda one: one[0])
    beyond = window.beyond
    if beyond is not None:
        placed = [one for one in placed if (one[0] < beyond if descends else one[0] > beyond)]
    return placed[: window.limit]
