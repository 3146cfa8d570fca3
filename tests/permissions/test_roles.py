"""The matrix of roles and permissions. Who may do what changes in a diff that people read."""

from permissions.catalog import LOYALTY_PERMISSIONS, SELF_PERMISSIONS, Permission
from permissions.roles import ROLE_PERMISSIONS, SYSTEM_PERMISSIONS, Role, permission_matrix

MATRIX = """\
permission          OWNER  MANAGER  STAFF  CUSTOMER  INTEGRATION
loyalty:read        yes    yes      yes    -         yes
loyalty:manage      yes    yes      -      -         -
loyalty:adjust      yes    yes      -      -         -
loyalty:report      yes    yes      yes    -         -
purchases:record    yes    yes      -      -         yes
redemptions:manage  yes    yes      -      -         yes
gift_cards:read     yes    yes      yes    -         yes
gift_cards:manage   yes    yes      -      -         -
gift_cards:issue    yes    yes      -      -         yes
gift_cards:spend    yes    yes      -      -         yes
tokens:manage       yes    -        -      -         -
customers:sign_in   yes    -        -      -         -
audit:read          yes    yes      -      -         -
self:read           -      -        -      yes       -
self:redeem         -      -        -      yes       -
"""


def test_the_matrix_is_the_printed_one() -> None:
    """BK-111, BK-113: which role may view, manage, adjust and report."""
    assert permission_matrix() == MATRIX


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


def test_only_owners_hand_out_credentials() -> None:
    for permission in (Permission.TOKENS_MANAGE, Permission.CUSTOMERS_SIGN_IN):
        assert [role for role in Role if permission in ROLE_PERMISSIONS[role]] == [Role.OWNER]
        assert permission not in SYSTEM_PERMISSIONS
