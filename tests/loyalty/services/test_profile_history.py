"""Changes of a customer's profile: which field, from what to what, who and when; a customer reads their own."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.identifier import Identifier
from loyalty.rules.profile_history import INTERNAL_FIELDS, ProfileField
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.profile import upsert_customers
from loyalty.services.profile_history import count_profile_changes, list_profile_changes
from loyalty.services.world import World
from loyalty.storage.profile_changes import ProfileChangeFilter
from loyalty.storage.window import Window
from permissions.actor import Actor
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, at, bring_along, customer_actor, earn, give, merge, order

HOUR = timedelta(hours=1)
PICTURE = "https://example.com/anna.png"
FIRST = CustomerProfile("anna", full_name="Anna", email="anna@example.com", tags=("new",), category="walk-in")


async def tell(world: World, actor: Actor, **told: Any) -> None:
    """Say something about Anna."""
    (row,) = await upsert_customers(world, actor, [CustomerProfile("anna", **told)])
    assert not isinstance(row, Exception)


async def history(world: World, actor: Actor, external_id: str = "anna", **window: Any) -> list[tuple[Any, ...]]:
    """Return the changes that an actor reads, newest first: field, before, after."""
    found = await find_customer(world, actor, CustomerKey(external_id=external_id))
    assert found is not None
    wanted = ProfileChangeFilter(found.id)
    rows = await list_profile_changes(world, actor, wanted, Window(window.pop("limit", 100), **window))
    assert len(rows) <= await count_profile_changes(world, actor, wanted)
    return [(row.field, row.before, row.after) for row in rows]


async def test_each_change_is_told_once_with_who_and_when(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    await upsert_customers(at(world, NOON), salon.integration, [FIRST])
    assert await history(world, salon.staff) == [], "what is told about a new customer is no change"
    later = at(world, NOON + HOUR)
    labels = {"identifiers": (Identifier("CARD", "77"),), "tags": ("new", "regular"), "birthday": "--05-17"}
    await tell(later, salon.manager, full_name="Anna B.", phone="+4930123456", avatar_url=PICTURE, **labels)
    await tell(later, salon.manager, full_name="Anna B.", **labels)
    async with nothing_changes(salon.tenant_id):
        old = NOON - HOUR
        (row,) = await upsert_customers(later, salon.manager, [CustomerProfile("anna", as_of=old)])
        assert not isinstance(row, Exception)
    assert await history(world, salon.staff) == [
        (ProfileField.TAGS, ["new"], ["new", "regular"]),
        (ProfileField.IDENTIFIERS, None, [{"type": "CARD", "value": "77"}]),
        (ProfileField.BIRTHDAY, None, "--05-17"),
        (ProfileField.AVATAR_URL, None, PICTURE),
        (ProfileField.PHONE, None, "+4930123456"),
        (ProfileField.FULL_NAME, "Anna", "Anna B."),
    ]
    found = await find_customer(world, salon.staff, CustomerKey(external_id="anna"))
    assert found is not None
    (change, *_) = await list_profile_changes(world, salon.staff, ProfileChangeFilter(found.id), Window(1))
    assert (change.actor, change.actor_kind, change.recorded_at) == ("The manager", "STAFF", NOON + HOUR)
    await ledger_is_sound(salon.tenant_id)


async def test_an_older_fact_changes_nothing_and_tells_nothing(world: World, salon: Salon) -> None:
    await upsert_customers(at(world, NOON), salon.integration, [replace(FIRST, as_of=NOON)])
    late = at(world, NOON + HOUR)
    await tell(late, salon.integration, full_name="Ann", email="new@example.com", as_of=NOON - HOUR)
    assert await history(world, salon.staff) == []
    await tell(late, salon.integration, email="new@example.com", as_of=NOON + HOUR / 2)
    assert await history(world, salon.staff) == [(ProfileField.EMAIL, "anna@example.com", "new@example.com")]
    found = await find_customer(world, salon.staff, CustomerKey(external_id="anna"))
    assert found is not None
    (change,) = await list_profile_changes(world, salon.staff, ProfileChangeFilter(found.id), Window(5))
    assert (change.told_at, change.recorded_at) == (NOON + HOUR / 2, NOON + HOUR)


async def test_cleared_fields_are_in_the_profile_history(world: World, salon: Salon) -> None:
    await upsert_customers(world, salon.integration, [FIRST])
    await tell(world, salon.manager, cleared=frozenset({"email", "tags", "category"}))
    assert await history(world, salon.staff) == [
        (ProfileField.TAGS, ["new"], None),
        (ProfileField.CATEGORY, "walk-in", None),
        (ProfileField.EMAIL, "anna@example.com", None),
    ]


async def test_purchases_and_opening_balances_tell_changes_too(world: World, salon: Salon) -> None:
    await upsert_customers(world, salon.manager, [FIRST])
    await earn(world, salon, order(customer=CustomerProfile("anna", full_name="Anna from the shop")))
    await bring_along(world, salon, 5, customer="anna")
    await give(world, salon, 5, "no change")
    assert await history(world, salon.staff) == [(ProfileField.FULL_NAME, "Anna", "Anna from the shop")]


async def test_a_merge_tells_what_the_target_took_over(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    source = CustomerProfile("annie", full_name="Annie", identifiers=(Identifier("CARD", "9"),), tags=("vip",))
    await upsert_customers(world, salon.manager, [FIRST, source])
    await merge(world, salon, "annie", "anna", "same")
    assert await history(world, salon.staff) == [
        (ProfileField.TAGS, ["new"], ["new", "vip"]),
        (ProfileField.IDENTIFIERS, None, [{"type": "CARD", "value": "9"}]),
    ]
    await ledger_is_sound(salon.tenant_id)


async def test_a_customer_reads_own_changes_without_labels(world: World, salon: Salon) -> None:
    await upsert_customers(world, salon.manager, [FIRST, CustomerProfile("ben", full_name="Ben")])
    await tell(world, salon.manager, full_name="Anna B.", tags=("vip",), category="regular")
    assert {field for field, *_ in await history(world, salon.staff)} == {*INTERNAL_FIELDS, ProfileField.FULL_NAME}
    ids = {}
    for name in ("anna", "ben"):
        found = await find_customer(world, salon.staff, CustomerKey(external_id=name))
        assert found is not None
        ids[name] = found.id
    anna, ben = (customer_actor(salon.tenant_id, ids[name]) for name in ("anna", "ben"))
    assert await history(world, anna) == [(ProfileField.FULL_NAME, "Anna", "Anna B.")]
    wanted = ProfileChangeFilter(ids["anna"])
    assert await list_profile_changes(world, ben, wanted, Window(5)) == []
    assert await count_profile_changes(world, ben, wanted) == 0
    labels = ProfileChangeFilter(ids["anna"], [ProfileField.TAGS])
    assert await list_profile_changes(world, anna, labels, Window(5)) == []


async def test_pages_go_through_all_changes(world: World, salon: Salon) -> None:
    await upsert_customers(at(world, NOON), salon.manager, [FIRST])
    for number in range(5):
        await tell(at(world, NOON + (number + 1) * HOUR), salon.manager, full_name=f"Anna {number}")
    names = [f"Anna {number}" for number in reversed(range(5))]
    assert [after for _, _, after in await history(world, salon.staff)] == names
    assert [after for _, _, after in await history(world, salon.staff, limit=2)] == names[:2]
    ascending = await history(world, salon.staff, limit=5, ascending=True)
    assert [after for _, _, after in ascending] == names[::-1]


@pytest.mark.usefixtures("other_salon")
async def test_a_batch_of_new_customers_keeps_no_history(world: World, salon: Salon) -> None:
    profiles = [CustomerProfile(f"c-{number}", full_name=f"Customer {number}") for number in range(50)]
    await upsert_customers(world, salon.integration, profiles)
    await upsert_customers(world, salon.integration, profiles)
    assert (await snapshot(world.database, salon.tenant_id))["customer_profile_changes"] == []
