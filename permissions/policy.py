"""The question every service asks first: whether this actor may do that."""

from loyalty.rules.errors import FeatureDisabled, PermissionDenied
from permissions.actor import Actor
from permissions.catalog import Permission

LOYALTY = "LOYALTY"


def allows(actor: Actor, permission: Permission) -> bool:
    """Whether the actor holds the permission."""
    return permission in actor.permissions


def require(actor: Actor, permission: Permission, *, even_when_off: bool = False) -> None:
    """Raise `PermissionDenied` unless the actor holds the permission, and `FeatureDisabled` while the program is off.

    `even_when_off` is for what must work then too: reading and changing the settings, and credentials.
    """
    require_any(actor, permission, even_when_off=even_when_off)


def require_any(actor: Actor, *permissions: Permission, even_when_off: bool = False) -> None:
    """Like `require`, satisfied by any one of the permissions; the first is the one a refusal names."""
    if not actor.permissions.intersection(permissions):
        raise PermissionDenied(permissions[0].name)
    if not (actor.loyalty_enabled or even_when_off):
        raise FeatureDisabled(LOYALTY)
