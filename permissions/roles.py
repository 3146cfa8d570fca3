"""The roles and what each may do. A role is a default set of permissions, nothing more."""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from loyalty.rules.described_enum import DescribedEnum
from permissions.catalog import LOYALTY_PERMISSIONS, Permission


class Role(enum.StrEnum):
    """The part a credential plays in its tenant."""

    OWNER = "OWNER"
    """Runs the business: everything, API tokens included."""
    MANAGER = "MANAGER"
    """Runs the loyalty program, but hands out no credentials."""
    STAFF = "STAFF"
    """Works at the counter: looks customers and reports up, changes nothing."""
    CUSTOMER = "CUSTOMER"
    """Collects and spends points: only their own."""
    INTEGRATION = "INTEGRATION"
    """A booking system or shop: reads, records purchases, lets points and gift cards be spent, issues gift cards."""


class TeamRole(DescribedEnum):
    """The role of a person of the tenant's team. Each is a set of permissions."""

    OWNER = "OWNER", "Runs the business: everything, credentials included."
    MANAGER = "MANAGER", "Runs the loyalty program, but hands out no credentials."
    STAFF = "STAFF", "Works at the counter: looks customers and reports up, changes nothing."


CHECKOUT_PERMISSIONS = frozenset({Permission.PURCHASES_RECORD, Permission.REDEMPTIONS_MANAGE})
"""What the system does where customers book and pay."""

CREDENTIAL_PERMISSIONS = frozenset({Permission.TOKENS_MANAGE, Permission.CUSTOMERS_SIGN_IN})
"""Handing out credentials."""

ROLE_PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.OWNER: LOYALTY_PERMISSIONS
        | CHECKOUT_PERMISSIONS
        | CREDENTIAL_PERMISSIONS
        | {Permission.CUSTOMERS_EXPORT, Permission.CUSTOMERS_ERASE, Permission.AUDIT_READ},
        Role.MANAGER: LOYALTY_PERMISSIONS | CHECKOUT_PERMISSIONS | {Permission.CUSTOMERS_EXPORT, Permission.AUDIT_READ},
        Role.STAFF: frozenset({Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.GIFT_CARDS_READ}),
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
"""What background work may do inside the tenant it works for: no credentials."""


def permission_matrix() -> str:
    """The table of roles and permissions as text, for the documentation and the test that keeps it."""
    roles = tuple(Role)
    rows = [("permission", *roles)]
    rows += [
        (permission.value, *("yes" if permission in ROLE_PERMISSIONS[role] else "-" for role in roles))
        for permission in Permission
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"
