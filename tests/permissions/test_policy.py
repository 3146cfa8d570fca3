"""The policy: an actor holds a permission or is refused; nothing else is looked at."""

import uuid
from dataclasses import replace

import pytest

from loyalty.rules.errors import PermissionDenied
from loyalty.rules.ids import CustomerId, TenantId
from permissions.actor import Actor, ActorKind, system_actor
from permissions.catalog import SELF_PERMISSIONS, Permission
from permissions.policy import allows, find_held, require, require_any
from permissions.roles import ROLE_PERMISSIONS, SYSTEM_PERMISSIONS, Role

TENANT = TenantId(uuid.UUID("0190a000-0000-7000-8000-000000000001"))
CUSTOMER = CustomerId(uuid.UUID("0190a000-0000-7000-8000-000000000002"))


def staff(*permissions: Permission) -> Actor:
    return Actor(
        kind=ActorKind.STAFF,
        tenant_id=TENANT,
        subject="user-1",
        permissions=frozenset(permissions),
        display="Ada",
    )


def customer(*permissions: Permission) -> Actor:
    return replace(staff(*permissions), kind=ActorKind.CUSTOMER, customer_id=CUSTOMER)


@pytest.mark.parametrize("permission", list(Permission), ids=str)
def test_an_actor_with_the_permission_passes(permission: Permission) -> None:
    actor = customer(permission) if permission in SELF_PERMISSIONS else staff(permission)
    require(actor, permission)
    assert allows(actor, permission)


@pytest.mark.parametrize("permission", sorted(SELF_PERMISSIONS), ids=str)
@pytest.mark.parametrize("kind", [ActorKind.STAFF, ActorKind.API_TOKEN, ActorKind.SYSTEM], ids=str)
def test_a_permission_over_oneself_gives_nothing_to_others_than_customers(
    kind: ActorKind, permission: Permission
) -> None:
    """They have no points of their own, so the permission would lead to everybody's."""
    actor = replace(staff(permission), kind=kind)
    assert (find_held(actor), allows(actor, permission)) == (frozenset(), False)
    with pytest.raises(PermissionDenied):
        require_any(actor, Permission.LOYALTY_READ, permission)
    both = replace(actor, permissions=frozenset({permission, Permission.LOYALTY_READ}))
    require_any(both, permission, Permission.LOYALTY_READ)
    assert find_held(both) == {Permission.LOYALTY_READ}


@pytest.mark.parametrize("permission", list(Permission), ids=str)
def test_an_actor_with_every_other_permission_is_refused(permission: Permission) -> None:
    """BK-111: a missing permission is FORBIDDEN."""
    actor = staff(*(frozenset(Permission) - {permission}))
    assert not allows(actor, permission)
    with pytest.raises(PermissionDenied) as refused:
        require(actor, permission)
    assert refused.value.code == "FORBIDDEN"
    assert permission.name in refused.value.message


@pytest.mark.parametrize("role", list(Role), ids=str)
def test_each_role_passes_for_what_it_has_and_nothing_else(role: Role) -> None:
    of_role = ROLE_PERMISSIONS[role]
    actor = customer(*of_role) if role is Role.CUSTOMER else staff(*of_role)
    assert {permission for permission in Permission if allows(actor, permission)} == ROLE_PERMISSIONS[role]


def test_one_of_several_permissions_is_enough() -> None:
    require_any(staff(Permission.LOYALTY_READ), Permission.SELF_READ, Permission.LOYALTY_READ)
    with pytest.raises(PermissionDenied):
        require_any(staff(Permission.LOYALTY_MANAGE), Permission.SELF_READ, Permission.LOYALTY_READ)
    with pytest.raises(PermissionDenied):
        require_any(staff(), Permission.SELF_READ)


def test_background_work_has_its_own_actor() -> None:
    actor = system_actor(TENANT, "worker:maturing")
    assert actor.kind is ActorKind.SYSTEM
    assert actor.permissions == SYSTEM_PERMISSIONS
    assert actor.tenant_id == TENANT
