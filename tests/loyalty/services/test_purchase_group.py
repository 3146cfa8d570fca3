"""Reports that arrive at the same moment share a transaction, and each is answered as if it had come alone."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import text

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import FeatureDisabled, InvalidInput, LoyaltyError
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.tiers import TierBasis, TierPolicy
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.profile import load_consents
from loyalty.services.profile_history import list_profile_changes
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import QUEUES, record_purchase
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.profile_changes import ProfileChangeFilter
from loyalty.storage.window import Window
from permissions.catalog import Permission
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    capture,
    checkout,
    earn,
    hold,
    one_point_per_euro,
    order,
    rule,
    set_redemption,
)

CROWD = 30


async def record_at_once(
    world: World, salon: Salon, recordings: Sequence[PurchaseRecording]
) -> list[RecordedPurchase | BaseException]:
    """Record all of them at the same moment, as the salon's own booking system."""
    work = (record_purchase(world, salon.integration, recording) for recording in recordings)
    return await asyncio.gather(*work, return_exceptions=True)


async def set_up(world: World, salon: Salon) -> None:
    """Let every purchase give 10 points, and create the tier Silver from 250 points."""
    await create_earning_rule(world, salon.manager, rule(10))
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 250)


def tell(result: RecordedPurchase | BaseException) -> tuple[object, ...]:
    """Return what a caller is told, without ids and times."""
    if isinstance(result, LoyaltyError):
        return (type(result).__name__,)
    assert isinstance(result, RecordedPurchase), result
    points, tier, accrual = result.customer.points, result.customer.tier, result.accrual
    return (
        result.purchase.external_id,
        result.purchase.version,
        result.replayed,
        accrual and accrual.points,
        points.available,
        points.lifetime_earned,
        tier and tier.name,
        result.tier_change is not None,
    )


async def test_a_crowd_of_one_customer_is_answered_as_one_after_another(
    world: World, salon: Salon, other_salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    for one in (salon, other_salon):
        await set_up(world, one)
    recordings = [order(f"order-{number}") for number in range(CROWD)]
    recordings[7] = order("")
    recordings[20] = recordings[3]
    at_once = await record_at_once(world, salon, recordings)
    one_by_one = [
        (await asyncio.gather(earn(world, other_salon, recording), return_exceptions=True))[0]
        for recording in recordings
    ]
    assert [tell(result) for result in at_once] == [tell(result) for result in one_by_one]
    for one in (salon, other_salon):
        await ledger_is_sound(one.tenant_id)


async def test_a_crowd_takes_few_round_trips(world: World, salon: Salon, statements: StatementLog) -> None:
    """The first of each line comes alone; the others of the line are one transaction."""
    await set_up(world, salon)
    await record_at_once(world, salon, [order("first")])
    with statements() as sent:
        results = await record_at_once(
            world, salon, [order(f"order-{number}", customer=f"guest-{number}") for number in range(CROWD)]
        )
    assert Counter(type(result) for result in results) == {RecordedPurchase: CROWD}
    assert len(sent) <= 3 * 2 * QUEUES


async def test_each_refusal_of_a_crowd_is_its_own(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await set_up(world, salon)
    await earn(world, salon, order("taken", customer="somebody"))
    bad = [order(""), order("taken", customer="else"), order("nameless", customer="")]
    good = [order(f"order-{number}", customer=f"guest-{number % 4}") for number in range(CROWD)]
    results = await record_at_once(world, salon, [*good[:10], *bad, *good[10:]])
    told = [type(result).__name__ for result in results]
    assert told[10:13] == ["InvalidInput", "PurchaseOfAnotherCustomer", "InvalidInput"]
    assert Counter(told) == {"RecordedPurchase": CROWD, "InvalidInput": 2, "PurchaseOfAnotherCustomer": 1}
    await ledger_is_sound(salon.tenant_id)


async def test_an_end_is_taken_beside_a_report_that_is_refused_while_the_program_is_off(
    world: World, salon: Salon
) -> None:
    """The one who is refused is told what they are told alone, and not which status another item must have."""
    await set_up(world, salon)
    await earn(world, salon, order("known"))
    off = replace(salon.integration, loyalty_enabled=False)
    ends = [order("known", status=PurchaseStatus.CANCELLED), order("new", status=PurchaseStatus.CANCELLED)]
    results = await asyncio.gather(
        *(record_purchase(world, off, one) for one in [order("wrong"), *ends, order("wrong too")]),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [
        FeatureDisabled,
        RecordedPurchase,
        RecordedPurchase,
        FeatureDisabled,
    ]


async def test_who_may_do_other_things_is_written_apart(world: World, salon: Salon) -> None:
    """The entries name who reported; so only reports of one and the same actor share a transaction."""
    await set_up(world, salon)
    other = replace(salon.integration, permissions=frozenset({Permission.PURCHASES_RECORD}), display="Another name")
    names = ["a", "b", "c", "d"]
    work = [
        record_purchase(world, actor, order(f"{actor.display}-{name}", customer=name))
        for name in names
        for actor in (salon.integration, other)
    ]
    await asyncio.gather(*work)
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        rows = await tx.rows(
            text(
                "SELECT actor_name, count(*) AS many FROM entries WHERE tenant_id = :current_tenant GROUP BY actor_name"
            )
        )
    assert {row.actor_name: row.many for row in rows} == {salon.integration.display: 4, "Another name": 4}


async def test_one_whose_caller_is_gone_harms_no_other(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await set_up(world, salon)
    tasks = [
        asyncio.create_task(record_purchase(world, salon.integration, order(f"order-{number}")))
        for number in range(CROWD)
    ]
    await asyncio.sleep(0)
    for gone in tasks[::3]:
        gone.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    stayed = [result for number, result in enumerate(results) if number % 3]
    assert all(isinstance(result, RecordedPurchase) for result in stayed)
    await ledger_is_sound(salon.tenant_id)
    again = await record_at_once(world, salon, [order(f"order-{number}") for number in range(CROWD)])
    assert all(isinstance(result, RecordedPurchase) and not isinstance(result, InvalidInput) for result in again)
    assert all(one.replayed for number, one in enumerate(again) if number % 3 and isinstance(one, RecordedPurchase))
    await ledger_is_sound(salon.tenant_id)


def tell_person(result: RecordedPurchase | BaseException) -> tuple[object, ...]:
    """Return what a caller is told of the person."""
    assert isinstance(result, RecordedPurchase), result
    customer = result.customer
    return (customer.full_name, customer.email, customer.category, customer.marketing_consent)


async def test_reports_that_describe_a_customer_otherwise_are_answered_as_one_after_another(
    world: World, salon: Salon, other_salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Each answer has the profile as its report leaves it, and the profile history has every change."""
    profiles = [
        CustomerProfile("anna", full_name="Anna", marketing_consent=True),
        CustomerProfile("anna"),
        CustomerProfile("anna", full_name="Anna B.", email="b@example.com"),
        CustomerProfile("anna", email="c@example.com", marketing_consent=False, category="regular"),
        CustomerProfile("anna", cleared=frozenset({"email"}), category="guest", marketing_consent=True),
        CustomerProfile("anna", full_name="Anna B.", as_of=NOON),
    ]
    recordings = [order(f"order-{number}", customer=profile) for number, profile in enumerate(profiles)]
    for one in (salon, other_salon):
        await set_up(world, one)
        await earn(world, one, order("first"))
    at_once = await record_at_once(world, salon, recordings)
    one_by_one = [await earn(world, other_salon, recording) for recording in recordings]
    assert [tell(result) for result in at_once] == [tell(result) for result in one_by_one]
    assert [tell_person(result) for result in at_once] == [tell_person(result) for result in one_by_one]
    assert await list_history(world, salon) == await list_history(world, other_salon)
    for one in (salon, other_salon):
        await ledger_is_sound(one.tenant_id)


async def list_history(world: World, salon: Salon) -> list[tuple[object, ...]]:
    """Return the changes of Anna's profile, and her consents."""
    anna = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert anna is not None
    changes = await list_profile_changes(world, salon.manager, ProfileChangeFilter(anna.id), Window(100))
    consents = (await load_consents(world, salon.manager, [anna.id]))[anna.id]
    return [*((row.field, row.before, row.after) for row in changes), *((row.granted,) for row in consents)]


async def test_a_purchase_that_is_called_off_beside_another_shows_the_tier_after_it(
    world: World, salon: Salon, other_salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """The points that paid for it come back and those it earned go, as one movement, before the next report."""
    at_once, one_by_one = [], []
    for one in (salon, other_salon):
        await set_redemption(world, one)
        await create_earning_rule(world, one.manager, rule(10))
        await create_tier(world, one.manager, "Silver", "#C0C0C0", 49)
        for number in range(3):
            await earn(world, one, order(f"before-{number}"))
        held = await hold(world, one, 10, "held", checkout=checkout(purchase="paid"))
        await capture(world, one, held, "captured")
        await earn(world, one, order("paid"))
    reports = [order("anything", 0), order("paid", status=PurchaseStatus.CANCELLED), order("after")]
    at_once = await record_at_once(world, salon, reports)
    one_by_one = [await earn(world, other_salon, recording) for recording in reports]
    assert [tell(result) for result in at_once] == [tell(result) for result in one_by_one]
    assert [result.customer.tier is not None for result in one_by_one] == [True, False, True]
    for one in (salon, other_salon):
        await ledger_is_sound(one.tenant_id)


async def test_points_that_come_back_beside_another_report_raise_the_tier_at_once(
    world: World, salon: Salon, other_salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """The tier that follows the balance is moved by what came back, and not by the report that is written after it."""
    by_balance = ProgramEdit(lambda it: replace(it, tiering=TierPolicy(basis=TierBasis.BALANCE)), None)
    for one in (salon, other_salon):
        await set_redemption(world, one)
        await update_program(world, one.manager, by_balance)
        await create_earning_rule(world, one.manager, one_point_per_euro())
        await create_tier(world, one.manager, "Silver", "#C0C0C0", 32)
        await earn(world, one, order("before", 3_000))
        await capture(world, one, await hold(world, one, 10, "held", checkout=checkout(90, purchase="paid")), "taken")
        await earn(world, one, order("paid", 90))
        await earn(world, one, order("between", 800))
    reports = [order("anything", 0), order("paid", 5), order("after", 100)]
    at_once = await record_at_once(world, salon, reports)
    one_by_one = [await earn(world, other_salon, recording) for recording in reports]
    assert [tell(result) for result in at_once] == [tell(result) for result in one_by_one]
    assert [result.customer.tier is not None for result in one_by_one] == [False, True, True]
    for one in (salon, other_salon):
        await ledger_is_sound(one.tenant_id)


def test_reports_of_one_purchase_claim_different_things_of_it() -> None:
    """So they follow one another, and the first is no replay where the second fails."""
    one, again = order("a").list_claims(), order(" a ").list_claims()
    assert one.keys() == again.keys()
    assert one != again
