"""The matrix of roles and permissions. Who may do what changes in a diff that people read."""

from pathlib import Path

from permissions.catalog import LOYALTY_PERMISSIONS, SCOPED_PERMISSIONS, SELF_PERMISSIONS, Permission
from permissions.roles import (
    BUILT_IN_ROLES,
    CREDENTIAL_PERMISSIONS,
    ROLE_PERMISSIONS,
    SYSTEM_PERMISSIONS,
    Role,
    TeamRole,
    permission_matrix,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"
"""It prints the matrix, for readers of the documentation and of a diff."""


def test_the_matrix_is_the_printed_one() -> None:
    """BK-111, BK-113: which role may view, manage, adjust and report."""
    assert f"```\n{permission_matrix()}```\n" in PAGE.read_text("utf-8")


def test_every_role_has_its_permissions_declared() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role)


def test_every_permission_belongs_to_a_role() -> None:
    assert frozenset().union(*ROLE_PERMISSIONS.values()) == frozenset(Permission)


def test_customers_see_only_their_own() -> None:
    assert ROLE_PERMISSIONS[Role.CUSTOMER] == SELF_PERMISSIONS
    assert not any(SELF_PERMISSIONS & ROLE_PERMISSIONS[role] for role in Role if role is not Role.CUSTOMER)


def test_owners_and_managers_hold_the_whole_module() -> None:
    """BK-112: the coarse grant is what owners and managers have."""
    assert ROLE_PERMISSIONS[Role.OWNER] >= LOYALTY_PERMISSIONS
    assert ROLE_PERMISSIONS[Role.MANAGER] >= LOYALTY_PERMISSIONS


def test_the_roles_of_a_counter_can_be_limited_to_locations() -> None:
    """What is limited can give nobody anything: no permission about credentials or members is among it."""
    limited = {role for role in TeamRole if BUILT_IN_ROLES[role].permissions <= SCOPED_PERMISSIONS}
    assert limited == {TeamRole.STAFF, TeamRole.READER}
    assert not SCOPED_PERMISSIONS & CREDENTIAL_PERMISSIONS


def test_only_owners_and_admins_decide_who_is_let_in() -> None:
    for permission in (Permission.TOKENS_MANAGE, Permission.CUSTOMERS_SIGN_IN, Permission.MEMBERS_MANAGE):
        assert [role for role in Role if permission in ROLE_PERMISSIONS[role]] == [Role.OWNER, Role.ADMIN]
        assert permission not in SYSTEM_PERMISSIONS


def test_an_admin_does_everything_but_decide_about_owners_and_erase() -> None:
    assert ROLE_PERMISSIONS[Role.OWNER] - ROLE_PERMISSIONS[Role.ADMIN] == {
        Permission.OWNERS_MANAGE,
        Permission.CUSTOMERS_ERASE,
    }


def test_the_limited_permission_has_a_limit_in_every_built_in_role() -> None:
    for role in BUILT_IN_ROLES.values():
        limited = Permission.POINTS_ADJUST in role.permissions and Permission.LOYALTY_ADJUST not in role.permissions
        assert bool(role.daily_points) is limited, role.name


def test_built_in_roles_have_the_same_ids_for_ever() -> None:
    """Members name them by these ids."""
    assert str(BUILT_IN_ROLES[TeamRole.OWNER].id) == "18a0bde4-d7e6-533c-86d1-71590fbce254"
    assert len({role.id for role in BUILT_IN_ROLES.values()}) == len(TeamRole)
