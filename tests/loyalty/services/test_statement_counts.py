"""Every statement is a round trip: their numbers are part of the design, and do not grow with the data."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.identifier import Identifier
from loyalty.services.customer import CustomerKey, find_customer, list_activity, list_customers, load_customers
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.profile import upsert_customers
from loyalty.services.purchase import MAX_BATCH, record_purchases
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.customer_lists import CustomerFilter
from loyalty.storage.customers import CustomerOrder, CustomerRow, PointsFilter
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, earn, give, one_point_per_euro, order, read_report


@pytest.fixture(autouse=True)
async def warm_salon(world: World, salon: Salon) -> None:
    """Provide a salon with a rule and a tier. This process has compiled its program already."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await earn(world, salon, order("first", 100))


async def test_recording_a_purchase_takes_three(world: World, salon: Salon, statements: StatementLog) -> None:
    """F-37: say whose, read what is known, lock the account, write everything; upgrades included."""
    with statements() as sent:
        await earn(world, salon, order("second", 20_000, customer="new"))
    assert len(sent) == 3


async def test_commit_is_no_round_trip_of_its_own(world: World, salon: Salon) -> None:
    """It travels with the posting, so the locks are gone one round trip earlier."""
    traffic = world.database.doors()["transactions"].traffic
    before = traffic.round_trips
    await earn(world, salon, order("second", 20_000))
    assert traffic.round_trips == before + 3
    await upsert_customers(world, salon.manager, [CustomerProfile("anna", full_name="Anna")])
    assert traffic.round_trips == before + 6


async def test_a_replay_takes_no_more(world: World, salon: Salon, statements: StatementLog) -> None:
    """F-08: and writes nothing."""
    with statements() as sent:
        await earn(world, salon, order("first", 100))
    assert len(sent) <= 3
    assert not [statement for statement in sent if "INSERT" in statement or "UPDATE" in statement]


async def test_a_changed_program_takes_one_more_once(world: World, salon: Salon, statements: StatementLog) -> None:
    await create_tier(world, salon.manager, "Gold", "#FFD700", 500)
    with statements() as cold:
        await earn(world, salon, order("cold"))
    with statements() as warm:
        await earn(world, salon, order("warm"))
    assert (len(cold), len(warm)) == (4, 3)


async def test_identifiers_take_one_more_however_many(world: World, salon: Salon, statements: StatementLog) -> None:
    """Whose they are is asked once for the whole batch; tags and a birthday cost nothing."""
    numbers = []
    for count in (1, 10, 1_000):
        cards = [(Identifier("CARD", f"{count}-{number}"),) for number in range(count)]
        profiles = [CustomerProfile(f"c-{number}", birthday="--05-17", tags=("vip",)) for number in range(count)]
        for told in (profiles, [replace(one, identifiers=card) for one, card in zip(profiles, cards, strict=True)]):
            with statements() as sent:
                results = await upsert_customers(world, salon.manager, told)
            assert not [result for result in results if not isinstance(result, CustomerRow)]
            numbers.append(len(sent))
    assert numbers == [3, 4] * 3


async def test_a_thousand_purchases_take_as_many_as_one(world: World, salon: Salon, statements: StatementLog) -> None:
    """F-37."""
    numbers = []
    for count in (1, 10, MAX_BATCH):
        batch = [order(f"{count}-{number}", 100 * number, customer=f"guest-{number}") for number in range(count)]
        with statements() as sent:
            await record_purchases(world, salon.integration, batch)
        numbers.append(len(sent))
    assert numbers == [3] * 3


async def test_an_adjustment_takes_a_fixed_number(world: World, salon: Salon, statements: StatementLog) -> None:
    """Whose, is the key known, which program, which customer, lock; for a debit the lots; write."""
    with statements() as adding:
        await give(world, salon, 50, "add")
    with statements() as removing:
        await give(world, salon, -20, "remove")
    with statements() as again:
        await give(world, salon, 50, "add")
    assert (len(adding), len(removing), len(again)) == (5, 6, 4)


@pytest.mark.parametrize(
    "key", [lambda it: CustomerKey(id=it), lambda _: CustomerKey(external_id="anna")], ids=["id", "external id"]
)
async def test_finding_a_customer_takes_one_round_trip(
    world: World, salon: Salon, statements: StatementLog, key: Callable[..., CustomerKey]
) -> None:
    """F-37: profile, points, tier and the way to the next one are one statement."""
    anna = await find_customer(world, salon.staff, CustomerKey(external_id="anna"))
    assert anna is not None
    with statements() as sent:
        await find_customer(world, salon.staff, key(anna.id))
    assert len(sent) == 1


async def test_a_list_of_fifty_customers_takes_as_many_as_one(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    """F-37: and so do its points and tiers, its entries and a report over all of it."""
    wanted = CustomerFilter(PointsFilter.ANY, None, None)
    batch = [order(f"b-{number}", 100, customer=f"guest-{number}") for number in range(50)]
    await record_purchases(world, salon.integration, batch)
    for size in (1, 50):
        with statements() as listing:
            page = await list_customers(world, salon.staff, wanted, CustomerOrder.NAME, Window(size))
        with statements() as loading:
            loaded = await load_customers(world, salon.staff, [row.id for _, row in page])
        with statements() as reading:
            entries = await list_activity(world, salon.staff, EntryFilter(), Window(size))
        assert len(page) == len(loaded) == len(entries) == size
        assert [len(listing), len(loading), len(reading)] == [1, 1, 1]
    with statements() as reporting:
        await read_report(world, salon.staff, NOON.date(), NOON.date())
    assert len(reporting) == 3
