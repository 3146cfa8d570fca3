"""Every permission, with its name in tokens.

These names (`loyalty:read`) stand in API tokens and JWTs. A new permission must be given to a role or left out of it:
else the printed matrix in tests/permissions fails.
"""

from collections.abc import Iterable
from types import MappingProxyType

from loyalty.rules.described_enum import DescribedEnum


class Permission(DescribedEnum):
    """One thing a caller may do inside its own tenant. A token carries the wire names, such as `loyalty:read`.

    The name is what GraphQL shows, the value is the wire name.
    """

    LOYALTY_READ = "loyalty:read", "Read program, rules, tiers, customers, purchases and ledger (`loyalty:read`)."
    LOYALTY_MANAGE = "loyalty:manage", "Change program, rules, tiers and catalogue (`loyalty:manage`)."
    LOYALTY_ADJUST = (
        "loyalty:adjust",
        "Add and remove points by hand, set tiers, merge customers, bring balances along (`loyalty:adjust`).",
    )
    POINTS_ADJUST = (
        "points:adjust",
        "Add and remove points by hand, up to the points a day of one's role (`points:adjust`).",
    )
    LOYALTY_REPORT = "loyalty:report", "Read reports over all customers (`loyalty:report`)."
    PURCHASES_RECORD = "purchases:record", "Record purchases and their status (`purchases:record`)."
    REDEMPTIONS_MANAGE = "redemptions:manage", "Let any customer spend points at the checkout (`redemptions:manage`)."
    GIFT_CARDS_READ = "gift_cards:read", "Read gift cards and their products; codes stay hidden (`gift_cards:read`)."
    GIFT_CARDS_MANAGE = (
        "gift_cards:manage",
        "Change products of gift cards; extend, cancel and void cards (`gift_cards:manage`).",
    )
    GIFT_CARDS_ISSUE = (
        "gift_cards:issue",
        "Issue gift cards that were sold for money or given for goodwill (`gift_cards:issue`).",
    )
    GIFT_CARDS_SPEND = (
        "gift_cards:spend",
        "Look gift cards up by their codes and spend them at the checkout (`gift_cards:spend`).",
    )
    TOKENS_MANAGE = (
        "tokens:manage",
        "Create and revoke API tokens, and revoke tokens of people and customers (`tokens:manage`).",
    )
    CUSTOMERS_SIGN_IN = (
        "customers:sign_in",
        "Sign customers in and out: create tokens that read as any customer, and end them (`customers:sign_in`).",
    )
    CUSTOMERS_EXPORT = (
        "customers:export",
        "Export everything that is stored about a customer (`customers:export`).",
    )
    CUSTOMERS_ERASE = (
        "customers:erase",
        "Erase all that names a customer, for good (`customers:erase`).",
    )
    MEMBERS_READ = "members:read", "Read who belongs to the team, and its roles (`members:read`)."
    MEMBERS_MANAGE = (
        "members:manage",
        "Add, change and remove members of the team and roles, up to what one may do oneself (`members:manage`).",
    )
    OWNERS_MANAGE = (
        "owners:manage",
        "Add, change and remove owners, and members by their identity at a provider (`owners:manage`).",
    )
    AUDIT_READ = "audit:read", "Read who changed which part of the configuration, and when (`audit:read`)."
    SELF_READ = "self:read", "Read one's own points, tier and history, as a customer (`self:read`)."
    SELF_REDEEM = (
        "self:redeem",
        "Set one's own points aside at a checkout and take them back, as a customer (`self:redeem`).",
    )


LOYALTY_ALL = "loyalty:*"
"""The coarse grant: the whole loyalty module, also the parts that come later."""

LOYALTY_PERMISSIONS = frozenset(
    {
        Permission.LOYALTY_READ,
        Permission.LOYALTY_MANAGE,
        Permission.LOYALTY_ADJUST,
        Permission.POINTS_ADJUST,
        Permission.LOYALTY_REPORT,
        Permission.GIFT_CARDS_READ,
        Permission.GIFT_CARDS_MANAGE,
        Permission.GIFT_CARDS_ISSUE,
        Permission.GIFT_CARDS_SPEND,
    }
)
"""The permissions of the coarse grant."""

SELF_PERMISSIONS = frozenset({Permission.SELF_READ, Permission.SELF_REDEEM})
"""The permissions of a customer, only over their own data."""

PEOPLE_PERMISSIONS = frozenset({Permission.POINTS_ADJUST, Permission.MEMBERS_MANAGE, Permission.OWNERS_MANAGE})
"""Permissions for people of the team only. A partner system has no role with a daily limit, and outlives its maker."""

NEEDS_READING = frozenset({Permission.LOYALTY_MANAGE, Permission.LOYALTY_ADJUST, Permission.POINTS_ADJUST})
"""Permissions that need ``loyalty:read`` as well, because the answer shows what was changed."""

SCOPED_PERMISSIONS = frozenset(
    {
        Permission.LOYALTY_READ,
        Permission.LOYALTY_REPORT,
        Permission.POINTS_ADJUST,
        Permission.PURCHASES_RECORD,
        Permission.REDEMPTIONS_MANAGE,
        Permission.GIFT_CARDS_READ,
        Permission.GIFT_CARDS_SPEND,
    }
)
"""Permissions that can be limited to locations: the work at a counter. All others are about the whole business."""

NEEDED_TO_GRANT = MappingProxyType(
    {
        Permission.SELF_READ: Permission.CUSTOMERS_SIGN_IN,
        Permission.SELF_REDEEM: Permission.REDEMPTIONS_MANAGE,
    }
)
"""For each permission of a customer the permission that the maker of a customer token needs to grant it."""

_BY_WIRE_NAME = {permission.value: frozenset({permission}) for permission in Permission} | {
    LOYALTY_ALL: LOYALTY_PERMISSIONS
}

WIRE_NAMES: tuple[str, ...] = tuple(_BY_WIRE_NAME)
"""Every grant that a token may carry, the coarse one last."""


class UnknownGrant(ValueError):
    """A grant has the name of no permission."""

    def __init__(self, grant: str) -> None:
        self.grant = grant
        super().__init__(f"Unknown permission {grant[:60]!r}; known are {', '.join(WIRE_NAMES)}")


def parse_grants(grants: Iterable[str]) -> frozenset[Permission]:
    """Return the permissions for these grants.

    Raises `UnknownGrant` at the first unknown name: a misspelt name must not be left out in silence.
    """
    permissions: frozenset[Permission] = frozenset()
    for grant in grants:
        if grant not in _BY_WIRE_NAME:
            raise UnknownGrant(grant)
        permissions |= _BY_WIRE_NAME[grant]
    return permissions


def parse_known_grants(grants: Iterable[str]) -> frozenset[Permission]:
    """Return the permissions like `parse_grants`, without unknown names.

    A newer version of the service may have issued the credential.
    """
    permissions: frozenset[Permission] = frozenset()
    for grant in grants:
        permissions |= _BY_WIRE_NAME.get(grant, frozenset())
    return permissions


def sort_permissions(permissions: Iterable[Permission]) -> list[Permission]:
    """Return the permissions in the order of the catalogue."""
    wanted = frozenset(permissions)
    return [permission for permission in Permission if permission in wanted]


def to_grants(permissions: Iterable[Permission]) -> tuple[str, ...]:
    """Return the grants for permissions, in the order of the catalogue, never the coarse one."""
    return tuple(permission.value for permission in sort_permissions(permissions))


def join_names(permissions: Iterable[Permission]) -> str:
    """Join the GraphQL names of permissions for a sentence, in the order of the catalogue."""
    return ", ".join(permission.name for permission in sort_permissions(permissions))
