import asyncio
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import PerAmountAward
from loyalty.rules.errors import InsufficientPoints, InvalidInput
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy, Period
from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import PurchaseStatus
from loyalty.services import expiry
from loyalty.services.checkout import quote_checkout
from loyalty.services.customer import CustomerKey, find_customer, list_activity
from loyalty.services.earning_rule import create_earning_rule, update_earning_rule
from loyalty.services.expiry import expire_due, load_expiry_schedules, load_lots, tell_expiring
from loyalty.services.maturing import mature_due
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.redemption import release_hold
from loyalty.services.world import World
from loyalty.storage.due import due_by, read_due_tenants
from loyalty.storage.entries import EntryFilter
from loyalty.storage.events import read_events
from loyalty.storage.window import Window
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    capture,
    checkout,
    earn,
    give,
    give_back,
    hold,
    known_customer,
    order,
    pay_back,
    position_all_events,
    rule,
    set_policy,
    set_redemption,
)

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
THIRTY_DAYS = ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=30)
TWO_DAYS_QUIET = ExpiryPolicy(ExpiryKind.INACTIVITY, days=2)


def end_of(day: date) -> datetime:
    """Return the first instant after a day in Berlin in winter time."""
    return datetime(day.year, day.month, day.day, 23, tzinfo=UTC)


async def set_expiry(world: World, salon: Salon, policy: ExpiryPolicy, *notice_days: int) -> None:
    def change(it: Any) -> Any:
        return replace(it, expiry=policy, notice_days=notice_days)

    await update_program(world, salon.manager, ProgramEdit(change, None))


async def available(world: World, salon: Salon) -> int:
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    return found.points.available


async def schedule(world: World, salon: Salon, customer: CustomerId) -> list[tuple[date, int]]:
    found = await load_expiry_schedules(world, salon.manager, [customer])
    return [(row.last_day, row.points) for row in found[customer]]


async def expiring(world: World, salon: Salon, relay: Database) -> list[dict[str, Any]]:
    """Return what was told of points that will expire."""
    await position_all_events(relay)
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        events = await read_events(tx, after=0, limit=1_000)
    return [event.payload for event in events if event.kind == "points.expiring"]


async def told(world: World, salon: Salon, relay: Database) -> list[tuple[int, int]]:
    """Return which notices were told, as days before and points."""
    return [(payload["days_before"], payload["points"]) for payload in await expiring(world, salon, relay)]


async def test_points_expire_at_the_end_of_their_last_day(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """PB-13, F-24: once, with an entry that can be explained; what was earned and the tier stay."""
    await set_expiry(world, salon, THIRTY_DAYS)
    await create_earning_rule(world, salon.manager, rule(10))
    recorded = await earn(at(world, NOON), salon, order())
    # The clocks go forward in between: midnight is an hour earlier by then.
    end = datetime(2026, 4, 3, 22, tzinfo=UTC)
    assert await schedule(at(world, NOON), salon, recorded.customer.id) == [(date(2026, 4, 3), 10)]
    assert [(await expire_due(at(world, moment), salon.tenant_id)).done for moment in (end - MOMENT, end, end)] == [
        0,
        1,
        0,
    ]
    (entry, _) = await list_activity(world, salon.manager, EntryFilter(), Window(10))
    assert (entry.kind, entry.points, entry.reference_kind) == ("EXPIRED", -10, "LOT")
    (lot,) = (await load_lots(world, salon.manager, [entry.reference_id])).values()  # type: ignore[list-item]
    assert (lot.original, lot.remaining, lot.expired) == (10, 0, 10)
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    assert (found.points.available, found.points.lifetime_earned, found.points.qualifying) == (0, 10, 10)
    assert await schedule(at(world, NOON), salon, recorded.customer.id) == []
    await ledger_is_sound(salon.tenant_id)


async def test_spent_points_do_not_expire(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """F-13: only what is left of a lot expires."""
    await set_redemption(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    await known_customer(world, salon)
    await give(at(world, NOON), salon, 100, "old")
    await give(at(world, NOON + 10 * DAY), salon, 100, "new")
    await capture(
        at(world, NOON + 11 * DAY), salon, await hold(at(world, NOON + 11 * DAY), salon, 80, "basket"), "paid"
    )
    assert (await expire_due(at(world, NOON + 31 * DAY), salon.tenant_id)).done == 1
    assert await available(world, salon) == 100
    assert (await expire_due(at(world, NOON + 41 * DAY), salon.tenant_id)).done == 1
    assert await available(world, salon) == 0
    await ledger_is_sound(salon.tenant_id)


async def test_the_clock_begins_when_points_can_be_spent(world: World, salon: Salon) -> None:
    """Section 1E: maturity, not the purchase; by the policy of the purchase."""
    await set_policy(world, salon, delay_minutes=10 * 24 * 60)
    await set_expiry(world, salon, THIRTY_DAYS)
    await create_earning_rule(world, salon.manager, rule(10))
    recorded = await earn(at(world, NOON), salon, order())
    await set_expiry(world, salon, ExpiryPolicy())
    await mature_due(at(world, NOON + 10 * DAY), salon.tenant_id)
    assert await schedule(at(world, NOON), salon, recorded.customer.id) == [(date(2026, 4, 13), 10)]


async def test_a_rule_can_have_an_expiry_of_its_own(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """One purchase, three rules, three lots; a refund takes from what expires first."""
    await set_expiry(world, salon, THIRTY_DAYS)
    await create_earning_rule(world, salon.manager, rule(10, name="As the program"))
    campaign = ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=7)
    await create_earning_rule(world, salon.manager, rule(20, name="Campaign", expiry=campaign))
    await create_earning_rule(world, salon.manager, rule(30, name="For ever", expiry=ExpiryPolicy()))
    recorded = await earn(at(world, NOON), salon, order("order-1", 6_000))
    week, month = (date(2026, 3, 11), 20), (date(2026, 4, 3), 10)
    assert await schedule(at(world, NOON), salon, recorded.customer.id) == [week, month]
    await pay_back(at(world, NOON), salon, "order-1", 3_000, "half")
    assert await schedule(at(world, NOON), salon, recorded.customer.id) == []
    assert await available(world, salon) == 30
    await ledger_is_sound(salon.tenant_id)


async def test_a_refund_of_pending_points_takes_those_that_expire_first(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-25: half of 30 promised points, of which 10 would last a week."""
    await set_policy(world, salon, delay_minutes=60)
    await set_expiry(world, salon, THIRTY_DAYS)
    await create_earning_rule(world, salon.manager, rule(PerAmountAward(2, 300), name="As the program"))
    week = ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=7)
    await create_earning_rule(world, salon.manager, rule(PerAmountAward(1, 300), name="Campaign", expiry=week))
    recorded = await earn(at(world, NOON), salon, order("order-1", 3_000))
    await pay_back(at(world, NOON), salon, "order-1", 1_500, "half")
    await mature_due(at(world, NOON + timedelta(hours=1)), salon.tenant_id)
    assert await schedule(at(world, NOON), salon, recorded.customer.id) == [(date(2026, 4, 3), 15)]
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (ExpiryPolicy(), []),
        (ExpiryPolicy(ExpiryKind.FIXED_DURATION, months=12), [(date(2027, 3, 4), 5)]),
        (ExpiryPolicy(ExpiryKind.FIXED_DURATION, months=12, days=1), [(date(2027, 3, 5), 5)]),
        (ExpiryPolicy(ExpiryKind.END_OF_PERIOD), [(date(2026, 12, 31), 5)]),
        (ExpiryPolicy(ExpiryKind.END_OF_PERIOD, period=Period.QUARTER), [(date(2026, 3, 31), 5)]),
        (ExpiryPolicy(ExpiryKind.END_OF_PERIOD, period=Period.MONTH, periods_after=1), [(date(2026, 4, 30), 5)]),
        (ExpiryPolicy(ExpiryKind.FIXED_DATE, month=6, day=30), [(date(2026, 6, 30), 5)]),
        (ExpiryPolicy(ExpiryKind.FIXED_DATE, month=6, day=30, days=200), [(date(2027, 6, 30), 5)]),
        (ExpiryPolicy(ExpiryKind.INACTIVITY, days=90), [(date(2026, 6, 2), 5)]),
    ],
)
async def test_every_setting_of_the_expiry_counts(
    world: World, salon: Salon, policy: ExpiryPolicy, expected: list[tuple[date, int]]
) -> None:
    """F-25, F-26, F-28."""
    anna = await known_customer(world, salon)
    await set_expiry(world, salon, policy)
    await give(at(world, NOON), salon, 5, "some")
    assert await schedule(at(world, NOON), salon, anna) == expected


async def test_points_live_as_long_as_their_owner_is_active(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """PB-13: earning and redeeming put the expiry off; correcting by hand does not."""
    await set_redemption(world, salon)
    await create_earning_rule(world, salon.manager, rule(10))
    await set_expiry(world, salon, TWO_DAYS_QUIET)
    anna = (await earn(at(world, NOON), salon, order("order-1"))).customer.id
    await earn(at(world, NOON + 2 * DAY), salon, order("order-2"))
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 3, 8), 20)]
    held = await hold(at(world, NOON + 3 * DAY), salon, 5, "basket")
    await capture(at(world, NOON + 3 * DAY), salon, held, "paid")
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 3, 9), 15)]
    await give(at(world, NOON + 4 * DAY), salon, 1, "by hand")
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 3, 9), 15), (date(2026, 3, 10), 1)]
    assert (await expire_due(at(world, NOON + 6 * DAY), salon.tenant_id)).done == 2
    assert await available(world, salon) == 1
    await ledger_is_sound(salon.tenant_id)


async def test_inactivity_goes_on_when_the_settings_have_changed(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """A later edit changes nothing for points that are there: neither their days, nor that activity counts."""
    created = await create_earning_rule(world, salon.manager, rule(10))
    await set_expiry(world, salon, TWO_DAYS_QUIET)
    anna = (await earn(at(world, NOON), salon, order("order-1"))).customer.id
    await set_expiry(world, salon, ExpiryPolicy())
    await earn(at(world, NOON + DAY), salon, order("order-2"))
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 3, 7), 10)]
    await update_earning_rule(
        world, salon.manager, created.id, lambda it: replace(it, expiry=TWO_DAYS_QUIET, active=False), None
    )
    await create_earning_rule(world, salon.manager, rule(1, name="Another one"))
    await earn(at(world, NOON + 2 * DAY), salon, order("order-3"))
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 3, 8), 10)]
    await ledger_is_sound(salon.tenant_id)


async def test_activity_never_brings_the_expiry_nearer(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Days of grace that are longer than those of inactivity stay."""
    await set_redemption(world, salon, restore_grace_days=14)
    await create_earning_rule(world, salon.manager, rule(10))
    await set_expiry(world, salon, TWO_DAYS_QUIET)
    anna = (await earn(at(world, NOON), salon, order("order-1"))).customer.id
    spent = await capture(at(world, NOON), salon, await hold(at(world, NOON), salon, 10, "basket"), "paid")
    await give_back(at(world, NOON + 10 * DAY), salon, spent, "back")
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 3, 28), 10)]
    await earn(at(world, NOON + 10 * DAY), salon, order("order-2"))
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 3, 16), 10), (date(2026, 3, 28), 10)]
    await ledger_is_sound(salon.tenant_id)


async def test_activity_does_not_wake_what_has_expired(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Neither what the worker has not come to yet, nor what is held: it expires when it comes back."""
    await set_redemption(world, salon)
    await create_earning_rule(world, salon.manager, rule(10))
    await set_expiry(world, salon, TWO_DAYS_QUIET)
    anna = (await earn(at(world, NOON), salon, order("order-1"))).customer.id
    held = await hold(at(world, NOON), salon, 4, "basket", minutes=7 * 24 * 60)
    late = at(world, NOON + 5 * DAY)
    await earn(late, salon, order("order-2"))
    assert await schedule(late, salon, anna) == [(date(2026, 3, 11), 10)]
    await release_hold(late, salon.integration, held.hold.id, "changed my mind")
    assert await available(world, salon) == 10
    await ledger_is_sound(salon.tenant_id)


async def test_activity_takes_no_statement_more(world: World, salon: Salon, statements: StatementLog) -> None:
    """Four statements, whether points expire by inactivity or not; the posting itself puts off what lives longer."""
    await create_earning_rule(world, salon.manager, rule(10))
    counts = []
    for name, policy in (("calendar", THIRTY_DAYS), ("inactivity", TWO_DAYS_QUIET)):
        await set_expiry(world, salon, policy)
        await earn(world, salon, order(f"{name}-0"))
        for size in (1, 50):
            batch = [order(f"{name}-{size}-{number}", customer=f"guest-{number}") for number in range(size)]
            with statements() as sent:
                await record_purchases(world, salon.integration, batch)
            counts.append(len(sent))
    assert counts == [3, 3, 3, 3]


async def test_activity_writes_the_lots_once_a_day(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """However many there are: the next purchase of the day changes no lot, the first of a day all of them at once."""
    await create_earning_rule(world, salon.manager, rule(10))
    await set_expiry(world, salon, TWO_DAYS_QUIET)
    await record_purchases(at(world, NOON), salon.integration, [order(f"first-{number}") for number in range(20)])
    before = await lot_versions(world, salon)
    await record_purchases(at(world, NOON), salon.integration, [order(f"second-{number}") for number in range(20)])
    after = await lot_versions(world, salon)
    assert {lot_id: after[lot_id] for lot_id in before} == before
    await earn(at(world, NOON + DAY), salon, order("next-day"))
    next_day = await lot_versions(world, salon)
    assert {next_day[lot_id] != after[lot_id] for lot_id in after} == {True}
    found = await find_customer(world, salon.staff, CustomerKey(external_id="anna"))
    assert found is not None
    assert await schedule(at(world, NOON), salon, found.id) == [(date(2026, 3, 7), 410)]
    await ledger_is_sound(salon.tenant_id)


async def test_a_lot_that_is_given_back_lives_on_by_the_same_activity(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """One posting earns with one purchase, gives a lot back for another one, and earns with a third."""
    await set_redemption(world, salon)
    await create_earning_rule(world, salon.manager, rule(10))
    await set_expiry(world, salon, TWO_DAYS_QUIET)
    anna = (await earn(at(world, NOON), salon, order("order-1"))).customer.id
    paying = await hold(at(world, NOON), salon, 10, "basket", checkout=checkout(purchase="order-2"))
    await capture(at(world, NOON), salon, paying, "paid")
    tomorrow = at(world, NOON + DAY)
    called_off = order("order-2", status=PurchaseStatus.CANCELLED)
    await record_purchases(tomorrow, salon.integration, [order("order-3"), called_off, order("order-4")])
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 3, 7), 30)]
    await ledger_is_sound(salon.tenant_id)


async def lot_versions(world: World, salon: Salon) -> dict[UUID, str]:
    """Return the transaction that wrote each lot last."""
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        rows = await tx.rows(
            text("SELECT id, xmin::text::bigint AS version FROM lots WHERE tenant_id = :current_tenant")
        )
    return {row.id: row.version for row in rows}


async def test_the_schedules_of_fifty_customers_take_one_round_trip(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    """F-25, F-37: all dates of all of them."""
    await set_expiry(world, salon, THIRTY_DAYS)
    await create_earning_rule(world, salon.manager, rule(10))
    ids: set[CustomerId] = set()
    for days in range(3):
        batch = [order(f"{days}-{number}", customer=f"guest-{number}") for number in range(50)]
        recorded = await record_purchases(at(world, NOON + days * DAY), salon.integration, batch)
        ids |= {one.customer.id for one in recorded if isinstance(one, RecordedPurchase)}
    with statements() as sent:
        found = await load_expiry_schedules(at(world, NOON + 2 * DAY), salon.manager, list(ids))
    assert len(sent) == 1
    days_of_april = [date(2026, 4, day) for day in (3, 4, 5)]
    assert {tuple(row.last_day for row in rows) for rows in found.values()} == {tuple(days_of_april)}
    assert len(found) == 50


async def test_points_that_end_on_one_day_are_one_line_of_the_schedule(world: World, salon: Salon) -> None:
    """F-25."""
    anna = await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    await give(at(world, NOON), salon, 5, "morning")
    await give(at(world, NOON + timedelta(hours=5)), salon, 6, "evening")
    await set_expiry(world, salon, ExpiryPolicy())
    await give(at(world, NOON), salon, 7, "for ever")
    assert await schedule(at(world, NOON), salon, anna) == [(date(2026, 4, 3), 11)]
    assert await schedule(at(world, NOON + 31 * DAY), salon, anna) == []


async def test_points_added_by_hand_can_have_a_last_day(world: World, salon: Salon) -> None:
    anna = await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    await give(at(world, NOON), salon, 5, "until Easter", expires_on=date(2026, 4, 5))
    await give(at(world, NOON), salon, 7, "today only", expires_on=NOON.date())
    assert await schedule(at(world, NOON), salon, anna) == [(NOON.date(), 7), (date(2026, 4, 5), 5)]
    for points, day in ((5, NOON.date() - DAY), (-5, date(2026, 4, 5)), (5, date.max)):
        with pytest.raises(InvalidInput, match="expires_on"):
            await give(at(world, NOON), salon, points, "impossible", expires_on=day)


async def test_owners_are_told_once_for_each_lot_and_number_of_days(
    world: World, salon: Salon, relay_database: Database, ledger_is_sound: LedgerCheck
) -> None:
    """F-27: however often and late the worker looks; nothing of what was spent, and nothing after the expiry."""
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS, 7, 1)
    await give(at(world, NOON), salon, 100, "first")
    await give(at(world, NOON + DAY), salon, 50, "second")
    end = datetime(2026, 4, 3, 22, tzinfo=UTC)
    # Midnight in Berlin, where the clocks have not gone forward yet.
    week_before = datetime(2026, 3, 27, 23, tzinfo=UTC)
    assert (await tell_expiring(at(world, week_before - MOMENT), salon.tenant_id)).done == 0
    for _ in range(3):
        await tell_expiring(at(world, week_before), salon.tenant_id)
    assert await told(world, salon, relay_database) == [(7, 100)]
    await give(at(world, end - 2 * DAY), salon, -40, "spent")
    # The worker was away: what it missed is told once, with the days that are left.
    await tell_expiring(at(world, end - timedelta(hours=1)), salon.tenant_id)
    assert await told(world, salon, relay_database) == [(7, 100), (7, 50), (1, 60)]
    await expire_due(at(world, end), salon.tenant_id)
    await tell_expiring(at(world, end + 2 * DAY), salon.tenant_id)
    assert await told(world, salon, relay_database) == [(7, 100), (7, 50), (1, 60)]
    await ledger_is_sound(salon.tenant_id)


async def test_a_notice_says_whose_what_and_whether_they_want_to_hear_of_it(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """F-27: consent is the customer's, just then."""
    await set_expiry(world, salon, THIRTY_DAYS, 7)
    await create_earning_rule(world, salon.manager, rule(10))
    for name, consent in (("anna", True), ("ben", False), ("cem", None)):
        profile = CustomerProfile(name, marketing_consent=consent)
        await earn(at(world, NOON), salon, order(name, customer=profile))
    await tell_expiring(at(world, NOON + 29 * DAY), salon.tenant_id)
    payloads = await expiring(world, salon, relay_database)
    assert sorted(payload["marketing_consent"] for payload in payloads) == [False, False, True]
    assert {(payload["points"], payload["expires_at"]) for payload in payloads} == {(10, "2026-04-03T22:00:00+00:00")}


async def test_nobody_is_told_of_points_that_are_all_held(
    world: World, salon: Salon, relay_database: Database, ledger_is_sound: LedgerCheck
) -> None:
    """F-27: they count as spent; what comes back is told of when the next notice is due."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS, 7, 1)
    await give(at(world, NOON), salon, 100, "some")
    held = await hold(at(world, NOON + 22 * DAY), salon, 100, "basket", minutes=7 * 24 * 60)
    for _ in range(2):
        await tell_expiring(at(world, NOON + 24 * DAY), salon.tenant_id)
    assert await told(world, salon, relay_database) == []
    await release_hold(at(world, NOON + 25 * DAY), salon.integration, held.hold.id, "changed my mind")
    await tell_expiring(at(world, NOON + 30 * DAY), salon.tenant_id)
    assert await told(world, salon, relay_database) == [(1, 100)]
    await ledger_is_sound(salon.tenant_id)


async def test_whose_points_live_on_is_told_anew(
    world: World, salon: Salon, relay_database: Database, ledger_is_sound: LedgerCheck
) -> None:
    """F-27: once for each date; a warning of last year does not stand for this one."""
    await create_earning_rule(world, salon.manager, rule(10))
    await set_expiry(world, salon, ExpiryPolicy(ExpiryKind.INACTIVITY, days=100), 30)
    await earn(at(world, NOON), salon, order("order-1"))
    await tell_expiring(at(world, NOON + 71 * DAY), salon.tenant_id)
    assert await told(world, salon, relay_database) == [(30, 10)]
    await earn(at(world, NOON + 80 * DAY), salon, order("order-2"))
    assert (await tell_expiring(at(world, NOON + 149 * DAY), salon.tenant_id)).done == 0
    for _ in range(2):
        await tell_expiring(at(world, NOON + 151 * DAY), salon.tenant_id)
    assert await told(world, salon, relay_database) == [(30, 10), (30, 10), (30, 10)]
    await ledger_is_sound(salon.tenant_id)


async def test_other_days_of_notice_hold_for_what_comes_from_then_on(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """F-28: what waits for its notice is told by the days that hold when it is due."""
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS, 7)
    await give(at(world, NOON), salon, 1, "before")
    await set_expiry(world, salon, THIRTY_DAYS, 20, 3)
    await give(at(world, NOON), salon, 2, "after")
    for days in range(31):
        await tell_expiring(at(world, NOON + days * DAY), salon.tenant_id)
    assert await told(world, salon, relay_database) == [(20, 2), (3, 1), (3, 2)]
    await set_expiry(world, salon, THIRTY_DAYS)
    await give(at(world, NOON), salon, 3, "nobody is told")
    for days in range(31):
        assert (await tell_expiring(at(world, NOON + days * DAY), salon.tenant_id)).done == 0


async def test_nothing_that_has_expired_can_be_spent_before_the_worker_comes(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Invariant 9, PB-13: at that very instant, at the checkout and by hand; a moment before it can."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    await give(at(world, NOON), salon, 100, "some")
    end = datetime(2026, 4, 3, 22, tzinfo=UTC)
    anna = CustomerKey(external_id="anna")
    for moment, points in ((end - MOMENT, 100), (end, 0)):
        quote = await quote_checkout(at(world, moment), salon.integration, anna, checkout(), None)
        assert (quote.loyalty.balance if quote.loyalty else 0) == points
    with pytest.raises(InsufficientPoints) as refused:
        await hold(at(world, end), salon, 1, "too late")
    assert refused.value.available == 0
    with pytest.raises(InsufficientPoints):
        await give(at(world, end), salon, -1, "too late")
    await hold(at(world, end - MOMENT), salon, 1, "in time")
    await ledger_is_sound(salon.tenant_id)


async def test_a_removal_lets_what_is_due_expire_first(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Invariant 9: in the same transaction, and the worker finds nothing left to do."""
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    await give(at(world, NOON), salon, 100, "old")
    await give(at(world, NOON + DAY), salon, 50, "new")
    adjusted = await give(at(world, NOON + 31 * DAY), salon, -20, "spent")
    assert adjusted.customer.points.available == 30
    entries = await list_activity(world, salon.manager, EntryFilter(), Window(10))
    assert [(entry.kind, entry.points) for entry in entries][:2] == [("ADJUSTED", -20), ("EXPIRED", -100)]
    assert (await expire_due(at(world, NOON + 31 * DAY), salon.tenant_id)).done == 0
    await ledger_is_sound(salon.tenant_id)


async def test_several_workers_let_each_lot_expire_once(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    for number in range(20):
        await give(at(world, NOON), salon, 5, f"key-{number}")
    late = at(world, NOON + 40 * DAY)
    swept = await asyncio.gather(*(expire_due(late, salon.tenant_id) for _ in range(5)))
    assert sum(one.done for one in swept) == 20
    assert await available(world, salon) == 0
    await ledger_is_sound(salon.tenant_id)


async def test_more_than_a_batch_is_done_batch_by_batch(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 3)
    await set_expiry(world, salon, THIRTY_DAYS, 7)
    await create_earning_rule(world, salon.manager, rule(10))
    batch = [order(f"order-{number}", customer=f"guest-{number % 4}") for number in range(7)]
    await record_purchases(at(world, NOON), salon.integration, batch)
    week, end = at(world, NOON + 25 * DAY), at(world, NOON + 31 * DAY)
    assert [(await tell_expiring(week, salon.tenant_id)).done for _ in range(4)] == [3, 3, 1, 0]
    assert [(await expire_due(end, salon.tenant_id)).done for _ in range(4)] == [3, 3, 1, 0]
    await ledger_is_sound(salon.tenant_id)


async def test_where_all_that_is_due_is_held_the_worker_is_not_called(
    world: World, salon: Salon, relay_database: Database
) -> None:
    """Else tenants with open baskets would stand before those with something to do."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    await give(at(world, NOON), salon, 100, "some")
    end = NOON + 31 * DAY
    assert await is_due(relay_database, salon, end)
    await hold(at(world, NOON + 30 * DAY), salon, 100, "basket", minutes=7 * 24 * 60)
    assert not await is_due(relay_database, salon, end)


async def is_due(relay: Database, salon: Salon, now: datetime) -> bool:
    async with relay.engine.connect() as connection:
        return salon.tenant_id in await read_due_tenants(connection, due_by("lots_due_at_idx"), now, 10_000)


async def test_sweeps_meet_everything_else_that_moves_points(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-13, invariant 9: in either order, each point is spent or expires, and never both."""
    await set_redemption(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS, 7)
    await known_customer(world, salon)
    await create_earning_rule(world, salon.manager, rule(10))
    for number in range(6):
        await give(at(world, NOON), salon, 10, f"old-{number}")
    await give(at(world, NOON + 20 * DAY), salon, 100, "young")
    held = await hold(at(world, NOON + 30 * DAY), salon, 15, "basket", minutes=7 * 24 * 60)
    late = at(world, NOON + 31 * DAY)
    await asyncio.gather(
        *(expire_due(late, salon.tenant_id) for _ in range(3)),
        *(tell_expiring(late, salon.tenant_id) for _ in range(2)),
        *(hold(late, salon, 7, f"basket-{number}") for number in range(3)),
        *(give(late, salon, -5, f"spent-{number}") for number in range(3)),
        earn(late, salon, order("one more")),
        capture(late, salon, held, "paid"),
    )
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    # Of 60 old ones 15 were held in time and spent, 45 expired; the others came from the young ones.
    assert (found.points.available, found.points.held) == (100 + 10 - 21 - 15, 21)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("seed", range(2))
async def test_a_random_life_ends_where_a_naive_ledger_says(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, seed: int
) -> None:
    """F-13: an expiry takes what is left of a lot and no more, whether the worker comes every day or never."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    await known_customer(world, salon)
    lots: list[tuple[date, int]] = []
    for day in range(40):
        now = NOON + day * DAY
        today = now.date()
        # Always the same hour, so that the local day is the same as in UTC.
        here = at(world, now)
        lots = [(last, points) for last, points in lots if last >= today]
        if chance.random() < 0.6:
            last, points = today + chance.randrange(20) * DAY, chance.randrange(1, 50)
            await give(here, salon, points, f"give-{day}", expires_on=last)
            lots.append((last, points))
        there = sum(points for _, points in lots)
        if there and chance.random() < 0.4:
            taken = missing = chance.randrange(1, there + 1)
            await give(here, salon, -taken, f"take-{day}")
            rest = []
            for last, points in sorted(lots, key=lambda it: it[0]):
                gone = min(points, missing)
                missing -= gone
                rest.append((last, points - gone))
            lots = [(last, points) for last, points in rest if points]
        if seed % 2 and chance.random() < 0.5:
            await expire_due(here, salon.tenant_id)
        expected: dict[date, int] = {}
        for last, points in lots:
            expected[last] = expected.get(last, 0) + points
        anna = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
        assert anna is not None
        assert await schedule(here, salon, anna.id) == sorted(expected.items())
    while (await expire_due(at(world, NOON + 40 * DAY), salon.tenant_id)).done:
        pass
    assert await available(world, salon) == sum(points for last, points in lots if last >= (NOON + 40 * DAY).date())
    await ledger_is_sound(salon.tenant_id)


async def test_held_points_do_not_expire(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """Invariant 8: a hold counts as spent."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    await give(at(world, NOON), salon, 100, "some")
    await hold(at(world, NOON + 30 * DAY), salon, 60, "basket", minutes=7 * 24 * 60)
    assert (await expire_due(at(world, NOON + 31 * DAY), salon.tenant_id)).done == 1
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    assert (found.points.available, found.points.held) == (0, 60)
    assert (await expire_due(at(world, NOON + 31 * DAY), salon.tenant_id)).done == 0
    await ledger_is_sound(salon.tenant_id)


async def test_how_many_statements_the_sweeps_take(world: World, salon: Salon, statements: StatementLog) -> None:
    """The same for one lot and for fifty."""
    await known_customer(world, salon)
    await known_customer(world, salon, "ben")
    await set_expiry(world, salon, THIRTY_DAYS, 7)
    counts = []
    for size, customer in ((1, "anna"), (50, "ben")):
        for number in range(size):
            await give(at(world, NOON), salon, 5, f"{customer}-{number}", customer=customer)
        with statements() as telling:
            await tell_expiring(at(world, NOON + 25 * DAY), salon.tenant_id)
        with statements() as expiring:
            await expire_due(at(world, NOON + 31 * DAY), salon.tenant_id)
        counts.append((len(telling), len(expiring)))
    assert counts == [(6, 5), (6, 5)]


async def test_time_goes_on_while_the_program_is_off(world: World, salon: Salon) -> None:
    await known_customer(world, salon)
    await set_expiry(world, salon, THIRTY_DAYS)
    await give(at(world, NOON), salon, 5, "some")
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
    assert (await expire_due(at(world, NOON + 31 * DAY), salon.tenant_id)).done == 1
