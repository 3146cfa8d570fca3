"""The roles and their permissions.

A role is a set of permissions with a name, and the points a day that it may adjust.
"""

import enum
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from loyalty.rules.described_enum import DescribedEnum
from permissions.catalog import LOYALTY_PERMISSIONS, Permission


class Role(enum.StrEnum):
    """The part a credential plays in its tenant."""

    OWNER = "OWNER"
    """Runs the business: everything, owners included."""
    ADMIN = "ADMIN"
    """Runs it for the owners: everything, except to decide about owners and to erase people."""
    MANAGER = "MANAGER"
    """Runs the loyalty program, but hands out no credentials."""
    STAFF = "STAFF"
    """Works at the counter: looks up, records, lets points and gift cards be spent, adjusts up to a limit."""
    READER = "READER"
    """Looks customers and reports up, changes nothing."""
    CUSTOMER = "CUSTOMER"
    """Collects and spends points: only their own."""
    INTEGRATION = "INTEGRATION"
    """A booking system or shop: reads, records purchases, lets points and gift cards be spent, issues gift cards."""


class TeamRole(DescribedEnum):
    """A built-in role of a person of the tenant's team. Each is a set of permissions."""

    OWNER = "OWNER", "Runs the business: everything, owners included."
    ADMIN = (
        "ADMIN",
        "Runs it for the owners: all, credentials and members included, but decides about no owner and erases nobody.",
    )
    MANAGER = "MANAGER", "Runs the loyalty program, but hands out no credentials."
    STAFF = (
        "STAFF",
        "Works at the counter: looks up, records, lets points and gift cards be spent, adjusts up to 500 points a day.",
    )
    READER = "READER", "Looks customers and reports up, changes nothing."


CHECKOUT_PERMISSIONS = frozenset({Permission.PURCHASES_RECORD, Permission.REDEMPTIONS_MANAGE})
"""The permissions of a system in which customers book and pay."""

CREDENTIAL_PERMISSIONS = frozenset(
    {
        Permission.TOKENS_MANAGE,
        Permission.CUSTOMERS_SIGN_IN,
        Permission.MEMBERS_READ,
        Permission.MEMBERS_MANAGE,
        Permission.OWNERS_MANAGE,
    }
)
"""The permissions to decide who is let in."""

_READING = frozenset({Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.GIFT_CARDS_READ})
_PRIVACY = frozenset({Permission.CUSTOMERS_EXPORT, Permission.CUSTOMERS_ERASE})
_OWNING = LOYALTY_PERMISSIONS | CHECKOUT_PERMISSIONS | CREDENTIAL_PERMISSIONS | _PRIVACY | {Permission.AUDIT_READ}

ROLE_PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.OWNER: _OWNING,
        Role.ADMIN: _OWNING - {Permission.OWNERS_MANAGE, Permission.CUSTOMERS_ERASE},
        Role.MANAGER: LOYALTY_PERMISSIONS
        | CHECKOUT_PERMISSIONS
        | {Permission.CUSTOMERS_EXPORT, Permission.AUDIT_READ, Permission.MEMBERS_READ},
        Role.STAFF: _READING | CHECKOUT_PERMISSIONS | {Permission.POINTS_ADJUST, Permission.GIFT_CARDS_SPEND},
        Role.READER: _READING,
        Role.CUSTOMER: frozenset({Permission.SELF_READ, Permission.SELF_REDEEM}),
        Role.INTEGRATION: CHECKOUT_PERMISSIONS
        | {
            Permission.LOYALTY_READ,
            Permission.GIFT_CARDS_READ,
            Permission.GIFT_CARDS_ISSUE,
            Permission.GIFT_CARDS_SPEND,
        },
    }
)

SYSTEM_PERMISSIONS: frozenset[Permission] = LOYALTY_PERMISSIONS | CHECKOUT_PERMISSIONS
"""The permissions of background work in the tenant that it works for: none over credentials."""


STAFF_DAILY_POINTS = 500
"""Points that a person with the role STAFF may add and remove by hand in a local day, both counted as positive."""


class HeldRole(NamedTuple):
    """A role that a person holds: a built-in one, or one that the tenant has made.

    ``daily_points`` is how many points a day it may adjust with ``points:adjust``; 0 if it does not hold that
    permission.
    """

    id: UUID
    name: str
    permissions: frozenset[Permission]
    daily_points: int = 0
    built_in: TeamRole | None = None


def _build_role(role: TeamRole) -> HeldRole:
    """Build the role that people of a team hold, for a built-in role. Its id is the same in every tenant."""
    role_id = uuid5(NAMESPACE_URL, f"urn:treue:role:{role.name}")
    daily_points = STAFF_DAILY_POINTS if role is TeamRole.STAFF else 0
    return HeldRole(role_id, role.name, ROLE_PERMISSIONS[Role(role.name)], daily_points, role)


BUILT_IN_ROLES: Mapping[TeamRole, HeldRole] = MappingProxyType({role: _build_role(role) for role in TeamRole})
BUILT_IN_BY_ID: Mapping[UUID, HeldRole] = MappingProxyType({role.id: role for role in BUILT_IN_ROLES.values()})
OWNER_ROLE_ID = BUILT_IN_ROLES[TeamRole.OWNER].id


def team_roles_of(role: Role) -> tuple[HeldRole, ...]:
    """Return the role of a person of the team for the role in a token; none for customers and partner systems."""
    return (BUILT_IN_ROLES[TeamRole[role.name]],) if role.name in TeamRole.__members__ else ()


def join_permissions(roles: Collection[HeldRole]) -> frozenset[Permission]:
    """Return the permissions of several roles together."""
    return frozenset().union(*(role.permissions for role in roles))


def most_daily_points(roles: Collection[HeldRole]) -> int:
    """Return how many points a day a person with several roles may adjust: the largest number of one role."""
    return max((role.daily_points for role in roles), default=0)


def permission_matrix() -> str:
    """Return the table of roles and permissions as text, for the documentation and the test that compares it."""
    roles = tuple(Role)
    rows = [("permission", *roles)]
    rows += [
        (permission.value, *("yes" if permission in ROLE_PERMISSIONS[role] else "-" for role in roles))
        for permission in Permission
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"
