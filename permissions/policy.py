"""The checks that every service makes first: whether this actor may do that."""

from collections.abc import Collection

from loyalty.rules.errors import FeatureDisabled, NotEntitled, PermissionDenied, Problem
from permissions.actor import Actor, ActorKind
from permissions.catalog import NEEDS_READING, SCOPED_PERMISSIONS, SELF_PERMISSIONS, Permission, join_names
from permissions.roles import CREDENTIAL_PERMISSIONS, HeldRole

LOYALTY = "LOYALTY"
READS = frozenset({Permission.LOYALTY_READ, Permission.LOYALTY_REPORT, Permission.GIFT_CARDS_READ})
"""The team may use these permissions while the program is off, beside preparing it. Customers read nothing then."""


def allows(actor: Actor, permission: Permission) -> bool:
    """Return whether the actor holds the permission."""
    return allows_any(actor, permission)


def allows_any(actor: Actor, *permissions: Permission) -> bool:
    """Return whether the actor holds one of the permissions."""
    return bool(find_held(actor).intersection(permissions))


def find_held(actor: Actor) -> frozenset[Permission]:
    """Return the permissions of the actor that count. Permissions over oneself count only for customers.

    Nobody else has points of their own. So a check of such a permission lets only customers pass, who see only their
    own data.
    """
    return actor.permissions if actor.kind is ActorKind.CUSTOMER else actor.permissions - SELF_PERMISSIONS


def require(actor: Actor, permission: Permission, *, even_when_off: bool = False) -> None:
    """Raise `PermissionDenied` unless the actor holds the permission, and `FeatureDisabled` while the program is off.

    `even_when_off` is for work that must be possible then: preparing the program, and credentials. The team may also
    read.
    """
    require_any(actor, permission, even_when_off=even_when_off)


def require_any(actor: Actor, *permissions: Permission, even_when_off: bool = False) -> None:
    """Require one of the permissions, like `require`. A refusal names the first of them.

    Raises `NotEntitled` if the platform does not grant the module, except for permissions over credentials.
    """
    if not allows_any(actor, *permissions):
        raise PermissionDenied(permissions[0].name)
    if not (actor.loyalty_entitled or CREDENTIAL_PERMISSIONS.issuperset(permissions)):
        raise NotEntitled(LOYALTY)
    if not (actor.loyalty_enabled or even_when_off or _reads_as_team(actor, permissions)):
        raise FeatureDisabled(LOYALTY)


def require_person(actor: Actor, permission: Permission) -> None:
    """Require a permission over credentials like `require`, and refuse an actor who is not a person of the team.

    A partner system's decision about who is let in would outlive the partner system.
    """
    require(actor, permission, even_when_off=True)
    if actor.kind is not ActorKind.STAFF:
        raise PermissionDenied(permission.name)


def require_whole_business(actor: Actor, permission: Permission) -> None:
    """Require a permission like `require`, and refuse an actor who is limited to locations."""
    require(actor, permission)
    if actor.locations is not None:
        raise PermissionDenied(permission.name, "This is about the whole business; you are limited to locations.")


def require_running(
    actor: Actor, *permissions: Permission, even_when_off: bool = False, prepares: bool = False
) -> None:
    """Require one of the permissions like `require_any`; while the program is off, refuse even what only reads.

    `even_when_off` allows the work for everybody while the program is off, `prepares` for the team only. Root fields
    and quotes call this function.
    """
    require_any(actor, *permissions, even_when_off=True)
    if not (actor.loyalty_enabled or even_when_off or (prepares and actor.kind is not ActorKind.CUSTOMER)):
        raise FeatureDisabled(LOYALTY)


def check_grantable(
    permissions: frozenset[Permission], reserved: frozenset[Permission], holders: str, path: tuple[str, ...]
) -> Problem | None:
    """Return why a role or a credential must not hold these permissions; None if it may.

    ``reserved`` are permissions that only ``holders`` may hold; ``holders`` is a text for the message.
    """
    if not permissions:
        return Problem(path, "must name at least one permission")
    for kept, whose in ((SELF_PERMISSIONS, "customers"), (reserved, holders)):
        if held := permissions & kept:
            return Problem(path, f"must not hold {join_names(held)}, which is for {whose}")
    return None


def check_reading(permissions: frozenset[Permission], path: tuple[str, ...]) -> Problem | None:
    """Return a problem if permissions to change lack the permission to read; else None."""
    if permissions & NEEDS_READING and Permission.LOYALTY_READ not in permissions:
        return Problem(path, "must hold LOYALTY_READ too: what is changed is shown in the answer")
    return None


def check_scope(
    permissions: frozenset[Permission], locations: Collection[str] | None, path: tuple[str, ...]
) -> Problem | None:
    """Return a problem if some permissions are about the whole business, so they cannot be limited to locations."""
    if locations is not None and (beyond := permissions - SCOPED_PERMISSIONS):
        return Problem(path, f"cannot be limited to locations; about the whole business are {join_names(beyond)}")
    return None


def check_role(actor: Actor, role: HeldRole, path: tuple[str, ...]) -> Problem | None:
    """Return why the actor must not give or take a role: it may do more than the actor. None if the actor may."""
    if beyond := role.permissions - actor.permissions:
        return Problem(path, f"must not do more than you; you lack {join_names(beyond)}")
    if Permission.LOYALTY_ADJUST not in actor.permissions and role.daily_points > actor.daily_points:
        return Problem(path, f"must not adjust more than {actor.daily_points} points a day, as you may")
    return None


def _reads_as_team(actor: Actor, permissions: tuple[Permission, ...]) -> bool:
    """Return whether the actor belongs to the team and holds one of these permissions, which only read."""
    return actor.kind is not ActorKind.CUSTOMER and bool(READS & actor.permissions & set(permissions))
