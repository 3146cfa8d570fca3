"""Everybody at the same time: what counts once counts once, and nobody spends what somebody else has spent."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualPolicy
from loyalty.rules.errors import IdempotencyConflict, InsufficientPoints, LoyaltyError, PurchaseOfAnotherCustomer
from loyalty.rules.ids import JobId
from loyalty.rules.purchase import PurchaseStatus
from loyalty.services.customer import CustomerKey, find_customer, list_activity
from loyalty.services.earning_rule import create_earning_rule, delete_earning_rule
from loyalty.services.job import advance_job
from loyalty.services.maturing import mature_due
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchase, record_purchases
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.tier import create_tier, remove_tier
from loyalty.services.world import World, system_clock
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    at,
    checkout,
    earn,
    give,
    hold,
    known_customer,
    one_point_per_euro,
    order,
    rule,
    set_redemption,
)


async def test_fifty_purchases_of_one_customer_at_once(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-10: none is lost, none counted twice, and the entries are in the order of their time."""
    await create_earning_rule(world, salon.manager, rule(10))
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 250)
    recorded = await asyncio.gather(*(earn(world, salon, order(f"order-{number}")) for number in range(50)))
    assert {one.customer.points.available for one in recorded} == set(range(10, 510, 10))
    assert sum(one.tier_change is not None for one in recorded) == 1
    entries = await list_activity(world, salon.manager, EntryFilter(recorded[0].customer.id), Window(100))
    assert [entry.sequence for entry in entries] == list(range(50, 0, -1))
    await ledger_is_sound(salon.tenant_id)


async def test_one_purchase_reported_twenty_times_at_once(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-08: one accrual, nineteen replays."""
    await create_earning_rule(world, salon.manager, rule(10))
    recorded = await asyncio.gather(*(earn(world, salon, order()) for _ in range(20)))
    assert Counter(one.replayed for one in recorded) == {True: 19, False: 1}
    assert {one.customer.points.available for one in recorded} == {10}
    assert len({one.purchase.id for one in recorded}) == 1
    kept = await snapshot(world.database, salon.tenant_id)
    assert [len(kept[table]) for table in ("accruals", "entries", "lots", "events")] == [1, 1, 1, 1]
    await ledger_is_sound(salon.tenant_id)


async def test_overlapping_batches_in_opposite_orders_all_arrive(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Locks are taken in one order, so batches wait for each other but never in a circle."""
    await create_earning_rule(world, salon.manager, rule(1))
    batches = [
        [order(f"batch-{batch} order-{number}", customer=f"guest-{number}") for number in range(40)]
        for batch in range(6)
    ]
    batches = [batch if number % 2 else batch[::-1] for number, batch in enumerate(batches)]
    results = await asyncio.gather(*(record_purchases(world, salon.integration, batch) for batch in batches))
    assert all(isinstance(result, RecordedPurchase) for batch in results for result in batch)
    for number in range(40):
        guest = await find_customer(world, salon.manager, CustomerKey(external_id=f"guest-{number}"))
        assert guest is not None
        assert guest.points.available == 6
    await ledger_is_sound(salon.tenant_id)


async def test_fifty_spend_the_whole_balance_at_once_and_one_succeeds(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-10, F-11: 1 success, 49 typed refusals."""
    await create_earning_rule(world, salon.manager, rule(100))
    await earn(world, salon, order())
    results = await asyncio.gather(
        *(give(world, salon, -100, f"spend-{number}") for number in range(50)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, InsufficientPoints)]
    assert len(refused) == 49
    assert {(one.available, one.required) for one in refused} == {(0, 100)}
    assert len((await snapshot(world.database, salon.tenant_id))["adjustments"]) == 1
    await ledger_is_sound(salon.tenant_id)


async def test_one_adjustment_sent_twenty_times_at_once_happens_once(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-33: the key is kept in the same transaction as what it stands for."""
    await earn(world, salon, order())
    results = await asyncio.gather(*(give(world, salon, 10, "same key") for _ in range(20)))
    assert Counter(one.replayed for one in results) == {True: 19, False: 1}
    assert len({one.adjustment for one in results}) == 1
    assert {one.customer.points.available for one in results} == {10}
    await ledger_is_sound(salon.tenant_id)


async def test_one_key_for_different_adjustments_at_once_goes_to_one_of_them(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-33."""
    await earn(world, salon, order())
    results = await asyncio.gather(
        *(give(world, salon, number, "same key") for number in range(1, 11)), return_exceptions=True
    )
    assert sum(isinstance(result, IdempotencyConflict) for result in results) == 9
    assert len((await snapshot(world.database, salon.tenant_id))["adjustments"]) == 1
    await ledger_is_sound(salon.tenant_id)


async def test_one_key_for_different_customers_at_once_goes_to_one_of_them(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-33: no lock on an account stands between these."""
    guests = [f"guest-{number}" for number in range(10)]
    await record_purchases(world, salon.integration, [order(f"of {guest}", customer=guest) for guest in guests])
    results = await asyncio.gather(
        *(give(world, salon, 10, "same key", customer=guest) for guest in guests), return_exceptions=True
    )
    assert sum(isinstance(result, IdempotencyConflict) for result in results) == 9
    await ledger_is_sound(salon.tenant_id)


async def test_everything_at_once_adds_up(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """F-10, F-36: purchases, replays, batches, adjustments, debts and re-tiering, all about the same five customers."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    guests = [f"guest-{number}" for number in range(5)]
    await record_purchases(world, salon.integration, [order(f"of {guest}", customer=guest) for guest in guests])
    work: list[Awaitable[object]] = []
    for number in range(20):
        guest = guests[number % 5]
        batch = [order(f"b{number}-{one}", 700, customer=one) for one in guests]
        work += [
            earn(world, salon, order(f"order-{number // 2}", 500 * (number // 2), customer=guests[number // 2 % 5])),
            give(world, salon, -37, f"spend-{number}", customer=guest, overdraft=Overdraft.CLAMP),
            give(world, salon, -90, f"owe-{number}", customer=guest, overdraft=Overdraft.ALLOW_NEGATIVE),
            give(world, salon, 55, f"bonus-{number // 2}", customer=guests[number // 2 % 5]),
            record_purchases(world, salon.integration, batch),
        ]
    tiers = [await create_tier(world, salon.manager, f"Tier {number}", "#C0C0C0", 100 * number) for number in range(4)]
    work += [_work_off(world, salon, changed.job.id) for changed in tiers]
    results = await asyncio.gather(*work, return_exceptions=True)
    unexpected = [
        result for result in results if isinstance(result, BaseException) and not isinstance(result, InsufficientPoints)
    ]
    assert not unexpected
    await ledger_is_sound(salon.tenant_id)


async def _work_off(world: World, salon: Salon, job_id: JobId) -> None:
    while await advance_job(world, salon.tenant_id, job_id):
        pass


async def test_points_mature_and_are_called_off_at_the_same_time(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-06: several workers and the booking system meet; each accrual ends in exactly one way, and nothing is owed."""
    await create_earning_rule(world, salon.manager, rule(10))
    later = AccrualPolicy(delay_minutes=60)
    await update_program(world, salon.manager, ProgramEdit(partial(replace, accrual=later), None))
    orders = [order(f"order-{number}", customer=f"guest-{number % 4}") for number in range(40)]
    await record_purchases(world, salon.integration, orders)
    in_time = at(world, system_clock() + timedelta(hours=2))
    called_off = [one._replace(status=PurchaseStatus.CANCELLED) for one in orders[::2]]
    await asyncio.gather(
        *(mature_due(in_time, salon.tenant_id) for _ in range(4)),
        *(record_purchases(in_time, salon.integration, called_off[start::4]) for start in range(4)),
    )
    while (await mature_due(in_time, salon.tenant_id)).done:
        pass
    for number in range(4):
        guest = await find_customer(world, salon.manager, CustomerKey(external_id=f"guest-{number}"))
        assert guest is not None
        assert guest.points[:4] == (0 if number % 2 == 0 else 100, 0, 0, 0)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("debt", list(Overdraft))
async def test_a_purchase_called_off_in_every_way_at_once_loses_its_points_once(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, debt: Overdraft
) -> None:
    """F-05, F-06: cancelled, no show, refunded, each reported twice; the later ones see that nothing is left."""
    await create_earning_rule(world, salon.manager, rule(10))
    policy = AccrualPolicy(debt=debt)
    await update_program(world, salon.manager, ProgramEdit(partial(replace, accrual=policy), None))
    await earn(world, salon, order())
    ways = [PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW, PurchaseStatus.REFUNDED]
    reports = [order(status=status, staff=staff) for status in ways for staff in ("mia", "ben")]
    results = await asyncio.gather(*(earn(world, salon, report) for report in reports), return_exceptions=True)
    # Who comes after the refund is too late; nobody is told of missing points.
    assert {getattr(result, "code", "recorded") for result in results} <= {"recorded", "STATUS_RUNS_BACKWARDS"}
    anna = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert anna is not None
    assert anna.points[:6] == (0, 0, 0, 0, 0, 0)
    await ledger_is_sound(salon.tenant_id)


# ── what is changed by somebody else between our reading and our writing ─────────────────────────────────────────


def _elsewhere(urls: DatabaseUrls, work: Callable[[World], Awaitable[None]]) -> None:
    """Let another process do something, and wait for it: with a loop, a pool and a cache of its own."""

    async def process() -> None:
        database = Database(urls.app, pool_size=1, name="treue-tests-elsewhere")
        try:
            await work(World(database))
        finally:
            await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(process()))
    thread.start()
    thread.join()


class _Interrupted:
    """A clock that, when it is first looked at, lets something happen elsewhere: after the rules were read."""

    def __init__(self, happening: Callable[[], None]) -> None:
        self.happening: Callable[[], None] | None = happening

    def __call__(self) -> datetime:
        happening, self.happening = self.happening, None
        if happening:
            happening()
        return system_clock()


async def test_a_retiering_that_passes_while_points_are_booked_is_not_undone(
    world: World, salon: Salon, database_urls: DatabaseUrls, ledger_is_sound: LedgerCheck
) -> None:
    """BK-36, F-31: who was read under the former tiers is booked under those in force."""
    await create_earning_rule(world, salon.manager, rule(200))
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await _work_off(world, salon, silver.job.id)
    await earn(world, salon, order("called off", status=PurchaseStatus.CANCELLED))

    async def take_silver_away(other: World) -> None:
        removed = await remove_tier(other, salon.manager, silver.tier.id)
        await _work_off(other, salon, removed.job.id)

    interrupted = World(
        world.database, _Interrupted(lambda: _elsewhere(database_urls, take_silver_away)), world.programs
    )
    recorded = await record_purchase(interrupted, salon.integration, order("interrupted"))
    assert recorded.customer.points.qualifying == 200
    assert recorded.customer.tier is None
    await ledger_is_sound(salon.tenant_id)


async def test_a_rule_that_ends_while_a_purchase_is_booked_gives_nothing(
    world: World, salon: Salon, database_urls: DatabaseUrls
) -> None:
    """BK-10: a recording is decided by the rules at its commit."""
    made = await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order("warm"))

    async def end_the_rule(other: World) -> None:
        await delete_earning_rule(other, salon.manager, made.id)

    interrupted = World(world.database, _Interrupted(lambda: _elsewhere(database_urls, end_the_rule)), world.programs)
    recorded = await record_purchase(interrupted, salon.integration, order("interrupted"))
    assert recorded.accrual is not None
    assert recorded.accrual.points == 0


async def test_refusals_in_a_crowd_are_refusals(world: World, salon: Salon) -> None:
    """Nobody sees an error of the database for having come at the same time as somebody else."""
    await create_earning_rule(world, salon.manager, rule(10))
    claims = [order("same", customer=f"guest-{number}") for number in range(10)]
    results = await asyncio.gather(*(earn(world, salon, claim) for claim in claims), return_exceptions=True)
    codes = Counter(result.code if isinstance(result, LoyaltyError) else "recorded" for result in results)
    assert codes == {"recorded": 1, "PURCHASE_OF_ANOTHER_CUSTOMER": 9}


async def test_a_first_hold_and_the_first_recording_never_overlap(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """One owner: ben begins to pay for a purchase while it is recorded for anna, many times, in parallel."""
    await set_redemption(world, salon)
    for name in ("anna", "ben"):
        await known_customer(world, salon, name)
        await give(world, salon, 100, f"riches of {name}", customer=name)
    pairs = 40

    async def pay(number: int) -> Exception | None:
        try:
            await hold(world, salon, 1, f"h{number}", customer="ben", checkout=checkout(1_000, purchase=f"o{number}"))
        except PurchaseOfAnotherCustomer as refusal:
            return refusal
        return None

    async def record(number: int) -> None:
        await asyncio.sleep(0.0005 * (number % 8))
        await earn(world, salon, order(f"o{number}", 1_000))

    for number in range(pairs):
        await asyncio.gather(pay(number), record(number))
    kept = await snapshot(world.database, salon.tenant_id)
    assert [one for one in kept["holds"] if '"ACTIVE"' in one] == []
    await ledger_is_sound(salon.tenant_id)
