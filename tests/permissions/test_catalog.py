"""The catalogue: wire names are stable, the coarse grant covers the whole module, and a typo is an error."""

import pytest

from permissions.catalog import (
    LOYALTY_ALL,
    LOYALTY_PERMISSIONS,
    Permission,
    UnknownGrant,
    known_grants,
    parse_grants,
    to_grants,
)


@pytest.mark.parametrize(
    ("permission", "wire_name"),
    [
        (Permission.LOYALTY_READ, "loyalty:read"),
        (Permission.LOYALTY_MANAGE, "loyalty:manage"),
        (Permission.LOYALTY_ADJUST, "loyalty:adjust"),
        (Permission.LOYALTY_REPORT, "loyalty:report"),
        (Permission.PURCHASES_RECORD, "purchases:record"),
        (Permission.REDEMPTIONS_MANAGE, "redemptions:manage"),
        (Permission.GIFT_CARDS_READ, "gift_cards:read"),
        (Permission.GIFT_CARDS_MANAGE, "gift_cards:manage"),
        (Permission.GIFT_CARDS_ISSUE, "gift_cards:issue"),
        (Permission.GIFT_CARDS_SPEND, "gift_cards:spend"),
        (Permission.AUDIT_READ, "audit:read"),
        (Permission.TOKENS_MANAGE, "tokens:manage"),
        (Permission.CUSTOMERS_SIGN_IN, "customers:sign_in"),
        (Permission.SELF_READ, "self:read"),
        (Permission.SELF_REDEEM, "self:redeem"),
    ],
)
def test_wire_names_are_stable(permission: Permission, wire_name: str) -> None:
    """BK-113: the finer grants; clients have stored these names."""
    assert permission.value == wire_name
    assert parse_grants([wire_name]) == {permission}


def test_every_permission_has_a_stable_wire_name() -> None:
    assert len(Permission) == 15
    assert [permission for permission in Permission if f"`{permission.value}`" not in permission.description] == []


def test_the_coarse_grant_covers_the_whole_loyalty_module() -> None:
    """BK-112: one grant `loyalty:*` gives the whole module, and nothing beyond it."""
    assert parse_grants([LOYALTY_ALL]) == LOYALTY_PERMISSIONS
    assert parse_grants([LOYALTY_ALL]) == {
        Permission.LOYALTY_READ,
        Permission.LOYALTY_MANAGE,
        Permission.LOYALTY_ADJUST,
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
    assert known_grants(["loyalty:read", "loyalty:fly", "*"]) == {Permission.LOYALTY_READ}


def test_grants_are_written_out_in_catalogue_order() -> None:
    written = to_grants([Permission.TOKENS_MANAGE, Permission.LOYALTY_READ, Permission.LOYALTY_READ])
    assert written == ("loyalty:read", "tokens:manage")
    assert parse_grants(to_grants(Permission)) == frozenset(Permission)
