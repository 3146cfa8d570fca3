"""An actor cannot contradict itself."""

import dataclasses
import datetime as dt
import uuid
from typing import Any

import pytest

from loyalty.rules.ids import CustomerId, TenantId
from permissions.actor import Actor, ActorKind
from permissions.catalog import SELF_PERMISSIONS, Permission

TENANT = TenantId(uuid.UUID("0190a000-0000-7000-8000-000000000001"))
CUSTOMER = CustomerId(uuid.UUID("0190a000-0000-7000-8000-000000000002"))


def make(**changes: Any) -> Actor:
    values: dict[str, Any] = {
        "kind": ActorKind.STAFF,
        "tenant_id": TENANT,
        "subject": "user-1",
        "permissions": frozenset({Permission.LOYALTY_READ}),
        "display": "Ada",
    }
    return Actor(**(values | changes))


def test_a_customer_needs_a_customer_id() -> None:
    with pytest.raises(ValueError, match="customer_id"):
        make(kind=ActorKind.CUSTOMER, permissions=frozenset({Permission.SELF_READ}))


@pytest.mark.parametrize("kind", [ActorKind.STAFF, ActorKind.API_TOKEN, ActorKind.SYSTEM], ids=str)
def test_only_customers_have_a_customer_id(kind: ActorKind) -> None:
    with pytest.raises(ValueError, match="customer_id"):
        make(kind=kind, customer_id=CUSTOMER)


@pytest.mark.parametrize("permission", [p for p in Permission if p not in SELF_PERMISSIONS], ids=str)
def test_a_customer_never_holds_a_permission_of_the_team(permission: Permission) -> None:
    with pytest.raises(ValueError, match="over themselves"):
        make(
            kind=ActorKind.CUSTOMER,
            customer_id=CUSTOMER,
            permissions=frozenset({Permission.SELF_READ, permission}),
        )


def test_the_end_of_a_credential_has_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make(expires_at=dt.datetime(2026, 1, 1))  # noqa: DTZ001 - the naive value is the point
    assert make(expires_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)).expires_at is not None


def test_an_actor_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().permissions = frozenset(Permission)  # type: ignore[misc]
