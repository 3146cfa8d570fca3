"""The catalogue: wire names are stable, the coarse grant covers the whole module, and a typo is an error."""

import re

import pytest

from permissions.catalog import (
    LOYALTY_ALL,
    LOYALTY_PERMISSIONS,
    Permission,
    UnknownGrant,
    parse_grants,
    parse_known_grants,
    to_grants,
)


@pytest.mark.parametrize("permission", Permission)
def test_every_permission_is_granted_by_its_wire_name(permission: Permission) -> None:
    """BK-113: the finer grants. Clients have stored these names: the schema and the printed matrix keep them."""
    assert re.fullmatch("[a-z_]+:[a-z_]+", permission.value)
    assert parse_grants([permission.value]) == {permission}
    assert f"`{permission.value}`" in permission.description


def test_the_coarse_grant_covers_the_whole_loyalty_module() -> None:
    """BK-112: one grant `loyalty:*` gives the whole module, and nothing beyond it."""
    assert parse_grants([LOYALTY_ALL]) == LOYALTY_PERMISSIONS
    assert parse_grants([LOYALTY_ALL]) == {
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


def test_grants_add_up() -> None:
    assert parse_grants([LOYALTY_ALL, "purchases:record"]) == LOYALTY_PERMISSIONS | {Permission.PURCHASES_RECORD}
    assert parse_grants([]) == frozenset()


@pytest.mark.parametrize(
    "grant", ["", "*", "loyalty", "loyalty:", "loyalty:**", "LOYALTY:READ", "LOYALTY_READ", "loyalty:read "]
)
def test_refuses_a_grant_that_names_no_permission(grant: str) -> None:
    with pytest.raises(UnknownGrant) as refused:
        parse_grants(["loyalty:read", grant])
    assert refused.value.grant == grant


def test_unknown_grants_of_a_newer_issuer_give_nothing() -> None:
    assert parse_known_grants(["loyalty:read", "loyalty:fly", "*"]) == {Permission.LOYALTY_READ}


def test_grants_are_written_out_in_catalogue_order() -> None:
    written = to_grants([Permission.TOKENS_MANAGE, Permission.LOYALTY_READ, Permission.LOYALTY_READ])
    assert written == ("loyalty:read", "tokens:manage")
    assert parse_grants(to_grants(Permission)) == frozenset(Permission)
