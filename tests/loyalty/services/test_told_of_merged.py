"""A report under the id of a merged customer counts for the target, in every operation."""

from datetime import timedelta
from typing import Any

import pytest

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import Conditions, FixedAward
from loyalty.rules.opening import OpeningNumbers
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.opening_balance import Opening, import_opening_balances
from loyalty.services.profile import load_consents
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, at, earn, known_customer, merge, order, rule

HOUR = timedelta(hours=1)


@pytest.fixture
async def merged(world: World, salon: Salon) -> Salon:
    """Provide a salon in which Anna was merged into Bea."""
    await known_customer(at(world, NOON), salon)
    await merge(at(world, NOON), salon, "anna", "bea", "one person")
    return salon


async def bea(world: World, salon: Salon) -> CustomerRow:
    found = await find_customer(world, salon.manager, CustomerKey(external_id="bea"))
    assert found is not None
    return found


def anna(**told: Any) -> CustomerProfile:
    return CustomerProfile("anna", **told)


async def test_a_purchase_tells_the_target(world: World, merged: Salon, ledger_is_sound: LedgerCheck) -> None:
    later = at(world, NOON + HOUR)
    told = anna(full_name="Anna B", email="a@b.de", marketing_consent=True, consent_source="till")
    recorded = await earn(later, merged, order("new", customer=told))
    now = await bea(world, merged)
    assert (now.full_name, now.email, now.marketing_consent) == ("Anna B", "a@b.de", True)
    assert (recorded.customer.external_id, recorded.customer.full_name) == ("bea", "Anna B")
    consents = await load_consents(world, merged.manager, [now.id])
    assert [(one.granted, one.source) for one in consents[now.id]] == [(True, "till")]
    await ledger_is_sound(merged.tenant_id)


async def test_an_older_fact_never_overwrites_a_newer_one_across_a_merge(world: World, merged: Salon) -> None:
    later = at(world, NOON + 3 * HOUR)
    await earn(later, merged, order("a", customer=CustomerProfile("bea", full_name="New", as_of=NOON + 2 * HOUR)))
    await earn(later, merged, order("b", customer=anna(full_name="Old", phone="+4930123", as_of=NOON + HOUR)))
    now = await bea(world, merged)
    assert (now.full_name, now.phone) == ("New", "+4930123")
    await earn(later, merged, order("c", customer=anna(full_name="Newest", cleared=frozenset({"phone"}))))
    now = await bea(world, merged)
    assert (now.full_name, now.phone) == ("Newest", None)


async def test_a_report_that_is_sent_again_tells_the_target_too(world: World, merged: Salon) -> None:
    later = at(world, NOON + HOUR)
    await earn(later, merged, order("a", customer=anna()))
    again = await earn(later, merged, order("a", customer=anna(full_name="Anna")))
    assert (again.replayed, (await bea(world, merged)).full_name) == (True, "Anna")


async def test_an_item_of_a_batch_is_judged_by_the_target_as_it_was_before_it(
    world: World, merged: Salon, ledger_is_sound: LedgerCheck
) -> None:
    friends = Conditions(customer_categories=frozenset({"friend"}))
    await create_earning_rule(world, merged.manager, rule(FixedAward(10), conditions=friends))
    batch = [
        order("0", customer=anna()),
        order("1", customer=anna(category="friend")),
        order("2", customer="bea"),
        order("3", customer=CustomerProfile("bea", category="guest")),
        order("4", customer=anna()),
    ]
    results = await record_purchases(at(world, NOON + HOUR), merged.integration, batch)
    recorded = [one for one in results if isinstance(one, RecordedPurchase)]
    assert [one.accrual and one.accrual.points for one in recorded] == [0, 10, 10, 0, 0]
    assert (await bea(world, merged)).category == "guest", "the last report, under either id"
    await ledger_is_sound(merged.tenant_id)


async def test_an_opening_balance_tells_the_target(world: World, merged: Salon, ledger_is_sound: LedgerCheck) -> None:
    opening = Opening(anna(full_name="Anna", locale="de"), OpeningNumbers(5, 5, 5), None)
    (result,) = await import_opening_balances(at(world, NOON + HOUR), merged.manager, [opening])
    assert not isinstance(result, Exception)
    now = await bea(world, merged)
    assert (now.full_name, now.locale, now.points.available) == ("Anna", "de", 5)
    await ledger_is_sound(merged.tenant_id)
