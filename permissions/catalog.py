"""Every permission there is, with its wire name.

Wire names (`loyalty:read`) stand in API tokens and JWTs. Adding a permission here
without deciding which role has it fails the printed matrix in tests/permissions.
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
        "Export everything that is held about a customer (`customers:export`).",
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
"""What the coarse grant gives."""

SELF_PERMISSIONS = frozenset({Permission.SELF_READ, Permission.SELF_REDEEM})
"""What a customer may do, to themselves only."""

PEOPLE_PERMISSIONS = frozenset({Permission.POINTS_ADJUST, Permission.MEMBERS_MANAGE, Permission.OWNERS_MANAGE})
"""What only people of the team may hold: partner systems have no role whose limit counts, and outlive their makers."""

NEEDS_READING = frozenset({Permission.LOYALTY_MANAGE, Permission.LOYALTY_ADJUST, Permission.POINTS_ADJUST})
"""What goes with ``loyalty:read`` only: what is changed is shown in the answer."""

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
"""What can be limited to locations: the work at a counter. Everything else is about the whole business."""

NEEDED_TO_GRANT = MappingProxyType(
    {
        Permission.SELF_READ: Permission.CUSTOMERS_SIGN_IN,
        Permission.SELF_REDEEM: Permission.REDEMPTIONS_MANAGE,
    }
)
"""What the maker of a customer token must hold, to give the customer each permission: the same for any customer."""

_BY_WIRE_NAME = {permission.value: frozenset({permission}) for permission in Permission} | {
    LOYALTY_ALL: LOYALTY_PERMISSIONS
}

WIRE_NAMES: tuple[str, ...] = tuple(_BY_WIRE_NAME)
"""Every grant a token may carry, the coarse one last."""


class UnknownGrant(ValueError):
    """A wire name that names no permission."""

    def __init__(self, grant: str) -> None:
        self.grant = grant
        super().__init__(f"Unknown permission {grant[:60]!r}; known are {', '.join(WIRE_NAMES)}")


def parse_grants(grants: Iterable[str]) -> frozenset[Permission]:
    """The permissions that wire names stand for.

    Raises `UnknownGrant` at the first unknown name: a typo must not narrow silently.
    """
    permissions: frozenset[Permission] = frozenset()
    for grant in grants:
        if grant not in _BY_WIRE_NAME:
            raise UnknownGrant(grant)
        permissions |= _BY_WIRE_NAME[grant]
    return permissions


def parse_known_grants(grants: Iterable[str]) -> frozenset[Permission]:
    """Like `parse_grants`, but leaves unknown names out: for credentials issued by a newer version of the service."""
    permissions: frozenset[Permission] = frozenset()
    for grant in grants:
        permissions |= _BY_WIRE_NAME.get(grant, frozenset())
    return permissions


def sort_permissions(permissions: Iterable[Permission]) -> list[Permission]:
    """Permissions in the order of the catalogue."""
    wanted = frozenset(permissions)
    return [permission for permission in Permission if permission in wanted]


def to_grants(permissions: Iterable[Permission]) -> tuple[str, ...]:
    """The wire names of permissions, in catalogue order, never the coarse one."""
    return tuple(permission.value for permission in sort_permissions(permissions))


def join_names(permissions: Iterable[Permission]) -> str:
    """The names that GraphQL shows of permissions, for a sentence, in catalogue order."""
    return ", ".join(permission.name for permission in sort_permissions(permissions))
