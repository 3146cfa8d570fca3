"""Finding customers and what happened to their points: the right ones, in order, and for customers only themselves."""

from datetime import timedelta
from typing import Any

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import AmbiguousCustomer
from loyalty.rules.ids import CustomerId, EntryId
from loyalty.rules.money import Money
from loyalty.services.adjustment import adjust_points
from loyalty.services.customer import (
    CustomerKey,
    find_customer,
    get_me,
    list_activity,
    list_customers,
    load_customers,
    load_entries,
)
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase import record_purchase
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, CustomerPlace, PointsFilter
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import TimePlace, Window
from permissions.roles import Role
from tests.fixtures.tenants import Salon, staff_actor
from tests.loyalty.services.builders import (
    NOBODY,
    NOON,
    adjustment,
    at,
    customer_actor,
    earn,
    give,
    known_customer,
    one_point_per_euro,
    order,
    rule,
)

ANNA = CustomerProfile(
    "anna",
    full_name="Anna Müller",
    email="Anna@Example.org",
    avatar_url="https://example.org/anna.png",
    locale="de-AT",
    category="vip",
    marketing_consent=True,
)


async def guests(world: World, salon: Salon, **points: int) -> dict[str, CustomerId]:
    """Create customers with these names and available points. Return them in the order of the arguments."""
    made = {}
    for name, number in points.items():
        profile = CustomerProfile(name, full_name=f"{name.capitalize()} Müller", email=f"{name}@example.org")
        made[name] = (await earn(world, salon, order(f"of {name}", 0, customer=profile))).customer.id
        if number:
            await give(world, salon, number, name, customer=name, overdraft=Overdraft.ALLOW_NEGATIVE)
    return made


async def listed(
    world: World,
    salon: Salon,
    having: PointsFilter = PointsFilter.ANY,
    *,
    search: str | None = None,
    order_by: CustomerOrder = CustomerOrder.NAME,
    window: Window[CustomerPlace] | None = None,
    **narrow: Any,
) -> list[str]:
    """Return the external ids of a page of customers."""
    wanted = CustomerFilter(having, search, narrow.get("tier_id"))
    page = await list_customers(world, salon.staff, wanted, order_by, window or Window(50))
    return [row.external_id for _, row in page]


# ── one customer ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_customer_is_shown_with_profile_points_tier_and_the_way_to_the_next(world: World, salon: Salon) -> None:
    """BK-41, BK-42, BK-90, BK-91, BK-93, C-08."""
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await create_tier(world, salon.manager, "Gold", "#FFD700", 500)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order(total=20_000, customer=ANNA))
    anna = (await give(world, salon, -50, "spent")).customer
    assert anna == await find_customer(world, salon.staff, CustomerKey(external_id="anna"))
    assert (anna.full_name, anna.email, anna.avatar_url) == (
        "Anna Müller",
        "anna@example.org",
        "https://example.org/anna.png",
    )
    assert (anna.locale, anna.category, anna.marketing_consent) == ("de-AT", "vip", True)
    assert anna.points[:6] == (150, 0, 0, 0, 200, 200)
    assert anna.points.value == Money(150, "EUR")
    assert anna.tier is not None
    assert (anna.tier.name, anna.tier.color) == ("Silver", "#C0C0C0")
    assert anna.tier_progress.next is not None
    assert anna.tier_progress.next.name == "Gold"
    assert (anna.tier_progress.points_to_next, anna.tier_progress.percent) == (300, 25)


@pytest.mark.parametrize("key", [CustomerKey(external_id="anna"), CustomerKey(email="ANNA@EXAMPLE.ORG")])
async def test_a_customer_is_found_by_any_key(world: World, salon: Salon, key: CustomerKey) -> None:
    recorded = await earn(world, salon, order(customer=ANNA))
    assert await find_customer(world, salon.staff, key) == recorded.customer
    assert await find_customer(world, salon.staff, CustomerKey(id=recorded.customer.id)) == recorded.customer


@pytest.mark.parametrize(
    "key",
    [
        CustomerKey(),
        CustomerKey(id=CustomerId(NOBODY)),
        CustomerKey(external_id="nobody"),
        CustomerKey(external_id="ANNA"),
        CustomerKey(email="nobody@example.org"),
    ],
)
async def test_nobody_is_found_by_anything_else(world: World, salon: Salon, key: CustomerKey) -> None:
    await earn(world, salon, order(customer=ANNA))
    assert await find_customer(world, salon.staff, key) is None


async def test_a_shared_address_finds_nobody_by_guess(world: World, salon: Salon) -> None:
    first = await earn(world, salon, order("1", customer=CustomerProfile("first", email="us@example.org")))
    second = await earn(world, salon, order("2", customer=CustomerProfile("second", email="us@example.org")))
    with pytest.raises(AmbiguousCustomer) as refused:
        await find_customer(world, salon.staff, CustomerKey(email="us@example.org"))
    assert [one.id for one in refused.value.candidates] == [first.customer.id, second.customer.id]


async def test_absent_fields_of_a_profile_stay(world: World, salon: Salon) -> None:
    await earn(world, salon, order("1", customer=ANNA))
    anna = (await earn(world, salon, order("2", customer=CustomerProfile("anna", locale="en")))).customer
    assert (anna.full_name, anna.email, anna.category, anna.marketing_consent) == (
        "Anna Müller",
        "anna@example.org",
        "vip",
        True,
    )
    assert anna.locale == "en"


async def test_a_consent_is_withdrawn_only_by_saying_so(world: World, salon: Salon) -> None:
    """SB-07."""
    await earn(world, salon, order("1", customer=ANNA))
    assert (await earn(world, salon, order("2", customer="anna"))).customer.marketing_consent is True
    withdrawn = CustomerProfile("anna", marketing_consent=False)
    assert (await earn(world, salon, order("3", customer=withdrawn))).customer.marketing_consent is False


# ── customers see themselves ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_customer_finds_only_themselves(world: World, salon: Salon) -> None:
    """BK-95."""
    made = await guests(world, salon, anna=10, ben=20)
    anna = customer_actor(salon.tenant_id, made["anna"])
    me = await get_me(world, anna)
    assert me is not None
    assert me.external_id == "anna"
    assert await find_customer(world, anna, CustomerKey(id=made["anna"])) == me
    for key in (CustomerKey(id=made["ben"]), CustomerKey(external_id="ben"), CustomerKey(email="ben@example.org")):
        assert await find_customer(world, anna, key) is None
    assert set(await load_customers(world, anna, list(made.values()))) == {made["anna"]}


async def test_a_customer_reads_only_their_own_history(world: World, salon: Salon) -> None:
    """SB-15, PB-08."""
    made = await guests(world, salon, anna=10, ben=20)
    anna = customer_actor(salon.tenant_id, made["anna"])
    everything = await list_activity(world, salon.manager, EntryFilter(), Window(50))
    mine = await list_activity(world, anna, EntryFilter(made["anna"]), Window(50))
    assert [entry.points for entry in mine] == [10]
    assert await list_activity(world, anna, EntryFilter(made["ben"]), Window(50)) == []
    assert set(await load_entries(world, anna, [entry.id for entry in everything])) == {mine[0].id}


async def test_who_is_no_customer_is_nobody_here(world: World, salon: Salon) -> None:
    assert await get_me(world, salon.staff) is None


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_list_can_be_narrowed_by_points(world: World, salon: Salon) -> None:
    """BK-40, C-09: available points by default; debts and zeros only when asked for."""
    await guests(world, salon, anna=10, ben=0, cem=-5)
    assert await listed(world, salon, PointsFilter.AVAILABLE) == ["anna"]
    assert await listed(world, salon, PointsFilter.DEBT) == ["cem"]
    assert await listed(world, salon, PointsFilter.PENDING) == []
    assert await listed(world, salon, PointsFilter.ANY) == ["anna", "ben", "cem"]


async def test_who_has_nothing_is_listed_as_having_none_whether_they_owe_or_not(world: World, salon: Salon) -> None:
    """C-09."""
    await guests(world, salon, anna=10, ben=0, cem=-5)
    assert await listed(world, salon, PointsFilter.NONE) == ["ben", "cem"]


async def test_who_has_spent_all_is_no_longer_in_the_list(world: World, salon: Salon) -> None:
    """BK-40."""
    await guests(world, salon, anna=10)
    assert await listed(world, salon, PointsFilter.AVAILABLE) == ["anna"]
    await give(world, salon, -10, "all")
    assert await listed(world, salon, PointsFilter.AVAILABLE) == []


async def test_the_list_can_be_narrowed_to_a_tier(world: World, salon: Salon) -> None:
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await guests(world, salon, anna=100, ben=99)
    assert await listed(world, salon, tier_id=silver.tier.id) == ["anna"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("anna", ["anna"]),
        ("ANNA MÜ", ["anna"]),
        ("anna mu", ["anna"]),
        ("müller", ["anna", "ben"]),
        ("Mull", ["anna", "ben"]),
        ("  ben  ", ["ben"]),
        ("ben@EXAMPLE", ["ben"]),
        ("nna", []),
        ("%", []),
        ("_nna", []),
        ("an%", []),
        ("'; DROP TABLE customers; --", []),
    ],
)
async def test_a_search_finds_the_beginning_of_names_addresses_and_ids(
    world: World, salon: Salon, search: str, found: list[str]
) -> None:
    """SB-24: whatever the case and the accents."""
    await guests(world, salon, anna=1, ben=2)
    assert await listed(world, salon, search=search) == found


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        (CustomerOrder.NAME, ["anna", "ben", "cem", "dora", "eli"]),
        (CustomerOrder.POINTS, ["cem", "anna", "eli", "ben", "dora"]),
        (CustomerOrder.NEWEST, ["anna", "ben", "eli", "cem", "dora"]),
    ],
)
async def test_pages_of_customers_fit_together_in_every_order_and_direction(
    world: World, salon: Salon, order_by: CustomerOrder, expected: list[str]
) -> None:
    made = await guests(world, salon, dora=5, cem=50, eli=20, ben=5, anna=20)
    if order_by is CustomerOrder.POINTS:
        expected = sorted(expected, key=lambda name: made[name].bytes, reverse=True)
        points = {"dora": 5, "cem": 50, "eli": 20, "ben": 5, "anna": 20}
        expected.sort(key=lambda name: points[name], reverse=True)
    assert await listed(world, salon, order_by=order_by) == expected
    wanted = CustomerFilter(PointsFilter.ANY, None, None)
    for backwards in (False, True):
        seen: list[str] = []
        place: CustomerPlace | None = None
        while True:
            window = Window(2, place, backwards)
            page = await list_customers(world, salon.staff, wanted, order_by, window)
            seen += [row.external_id for _, row in page]
            if len(page) < 2:
                break
            place = page[-1][0]
        assert seen == (expected[::-1] if backwards else expected)


# ── the ledger ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_activity_has_one_line_per_change_newest_first(world: World, salon: Salon) -> None:
    """BK-55, BK-60: and together they are the balance."""
    await create_earning_rule(world, salon.manager, rule(10))
    await record_purchase(at(world, NOON), salon.integration, order("order-1"))
    for number, points in enumerate((5, -3), 1):
        await adjust_points(
            at(world, NOON + timedelta(hours=number)), salon.manager, adjustment(points, f"key-{number}")
        )
    entries = await list_activity(world, salon.manager, EntryFilter(), Window(50))
    assert [(entry.kind, entry.points, entry.balance_after) for entry in entries] == [
        ("ADJUSTED", -3, 12),
        ("ADJUSTED", 5, 15),
        ("EARNED", 10, 10),
    ]
    assert await load_entries(world, salon.manager, [entries[0].id, EntryId(NOBODY)]) == {entries[0].id: entries[0]}


async def test_the_activity_can_be_narrowed(world: World, salon: Salon) -> None:
    """BK-54, BK-58: by customer, by kind and by a half-open span of time, in any combination."""
    await create_earning_rule(world, salon.manager, rule(10))
    hours = [NOON + timedelta(hours=number) for number in range(3)]
    for number, hour in enumerate(hours):
        await record_purchase(at(world, hour), salon.integration, order(f"order-{number}"))
        await adjust_points(at(world, hour), salon.manager, adjustment(number + 1, f"key-{number}"))
    await known_customer(world, salon, "ben")
    await give(world, salon, 99, "ben", customer="ben")

    async def points(wanted: EntryFilter) -> list[int]:
        return [entry.points for entry in await list_activity(world, salon.manager, wanted, Window(50))]

    anna = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert anna is not None
    assert await points(EntryFilter(anna.id, ("ADJUSTED",))) == [3, 2, 1]
    assert await points(EntryFilter(anna.id, ("EARNED", "ADJUSTED"), hours[0], hours[1])) == [1, 10]
    assert await points(EntryFilter(kinds=("ADJUSTED",), start_at=hours[1], end_at=hours[2])) == [2]
    assert await points(EntryFilter(anna.id, ())) == []


async def test_pages_of_the_ledger_fit_together_in_both_directions(world: World, salon: Salon) -> None:
    """BK-55: entries of the same instant too."""
    await known_customer(world, salon)
    for number in range(5):
        await adjust_points(at(world, NOON), salon.manager, adjustment(number + 1, f"key-{number}"))
    for backwards in (False, True):
        seen: list[int] = []
        place: TimePlace | None = None
        while True:
            page = await list_activity(world, salon.manager, EntryFilter(), Window(2, place, backwards))
            seen += [entry.points for entry in page]
            if len(page) < 2:
                break
            place = TimePlace(page[-1].occurred_at, page[-1].id)
        assert seen == ([1, 2, 3, 4, 5] if backwards else [5, 4, 3, 2, 1])


async def test_a_new_reader_of_reports_may_read_the_whole_ledger(world: World, salon: Salon) -> None:
    await guests(world, salon, anna=10)
    staff = staff_actor(salon.tenant_id, Role.STAFF)
    assert len(await list_activity(world, staff, EntryFilter(), Window(50))) == 1
