"""Every permission there is, with its wire name.

Enum names are what GraphQL shows; wire names (`loyalty:read`) stand in API tokens and JWTs. Adding a permission here
without deciding which role has it fails the printed matrix in tests/permissions.
"""

import enum
from collections.abc import Iterable
from types import MappingProxyType


class Permission(enum.StrEnum):
    """One thing an actor may do inside its own tenant."""

    LOYALTY_READ = "LOYALTY_READ"
    """Read the program, rules, tiers, customers, purchases and ledger."""
    LOYALTY_MANAGE = "LOYALTY_MANAGE"
    """Change the program, earning rules, tiers and catalogue."""
    LOYALTY_ADJUST = "LOYALTY_ADJUST"
    """Add or remove points by hand."""
    LOYALTY_REPORT = "LOYALTY_REPORT"
    """Read reports over all customers."""
    PURCHASES_RECORD = "PURCHASES_RECORD"
    """Record purchases and their status."""
    REDEMPTIONS_MANAGE = "REDEMPTIONS_MANAGE"
    """Quote, hold, capture, release and give back points at the checkout, for any customer."""
    TOKENS_MANAGE = "TOKENS_MANAGE"
    """Create and revoke API tokens, and revoke tokens of people and customers."""
    CUSTOMERS_SIGN_IN = "CUSTOMERS_SIGN_IN"
    """Create customer tokens, which may do at most what their maker may do for that customer."""
    SELF_READ = "SELF_READ"
    """A customer reads their own points, tier and history."""
    SELF_REDEEM = "SELF_REDEEM"
    """A customer sets their own points aside at a checkout, and takes them back."""

    @property
    def wire_name(self) -> str:
        """The name in tokens and JWTs, such as `loyalty:read`."""
        area, _, verb = self.value.lower().partition("_")
        return f"{area}:{verb}"


LOYALTY_ALL = "loyalty:*"
"""The coarse grant: the whole loyalty module, also the parts that come later."""

LOYALTY_PERMISSIONS = frozenset(permission for permission in Permission if permission.name.startswith("LOYALTY_"))

SELF_PERMISSIONS = frozenset(permission for permission in Permission if permission.name.startswith("SELF_"))
"""What a customer may do, to themselves only."""

NEEDED_TO_GRANT = MappingProxyType(
    {
        Permission.SELF_READ: Permission.LOYALTY_READ,
        Permission.SELF_REDEEM: Permission.REDEMPTIONS_MANAGE,
    }
)
"""What the maker of a customer token must hold, to give the customer each permission: the same for any customer."""

_BY_WIRE_NAME = {permission.wire_name: frozenset({permission}) for permission in Permission} | {
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


def known_grants(grants: Iterable[str]) -> frozenset[Permission]:
    """Like `parse_grants`, but leaves unknown names out: for credentials issued by a newer version of the service."""
    permissions: frozenset[Permission] = frozenset()
    for grant in grants:
        permissions |= _BY_WIRE_NAME.get(grant, frozenset())
    return permissions


def to_grants(permissions: Iterable[Permission]) -> tuple[str, ...]:
    """The wire names of permissions, in catalogue order, never the coarse one."""
    wanted = frozenset(permissions)
    return tuple(permission.wire_name for permission in Permission if permission in wanted)
