import asyncio
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import InvalidInput, LoyaltyError, OpeningBalanceExists
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.opening import OpeningNumbers
from loyalty.rules.program import ProgramSettings
from loyalty.services.customer import CustomerKey, find_customer, list_activity
from loyalty.services.expiry import load_expiry_schedules
from loyalty.services.job import advance_job
from loyalty.services.opening_balance import MAX_BATCH, OpenedBalance, Opening, import_opening_balances
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import NOON, at, bring_along, give, known_customer, merge


def opening(external_id: str, points: int = 10, **changes: Any) -> Opening:
    earned = max(0, points)
    numbers = OpeningNumbers(points, changes.pop("lifetime", earned), changes.pop("qualifying", earned))
    return Opening(
        CustomerProfile(external_id), numbers, changes.pop("expires_on", None), changes.pop("earned_on", None)
    )


async def test_customers_come_with_what_they_had(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """C-22, C-07: points to spend, points ever earned, points that count; the tier follows at once."""
    gold = await create_tier(world, salon.manager, "Gold", "#FFD700", 500)
    await advance_job(world, salon.tenant_id, gold.job.id)
    result = await bring_along(world, salon, 120, lifetime=900, qualifying=600)
    assert isinstance(result, OpenedBalance)
    points = result.customer.points
    assert (points.available, points.lifetime_earned, points.qualifying) == (120, 900, 600)
    assert result.customer.tier is not None
    assert result.tier_change is not None
    (entry,) = await list_activity(world, salon.manager, EntryFilter(), Window(10))
    assert (entry.kind, entry.points, entry.reference_id) == ("OPENING", 120, result.balance.id)
    await ledger_is_sound(salon.tenant_id)


async def test_an_opening_balance_sent_again_changes_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """F-33: the customer is the key; other numbers are a conflict."""
    await bring_along(world, salon, 120)
    async with nothing_changes(salon.tenant_id):
        assert isinstance(await bring_along(world, salon, 121), OpeningBalanceExists)
        again = await bring_along(world, salon, 120)
    assert isinstance(again, OpenedBalance)
    assert (again.replayed, again.customer.points.available) == (True, 120)


async def test_a_refused_item_harms_no_other(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """And leaves no customer behind."""
    await bring_along(world, salon, 5, customer="known")
    results = await import_opening_balances(
        world,
        salon.manager,
        [
            opening("anna"),
            opening("below", 1, lifetime=-1),
            opening("known", 6),
            opening("late", expires_on=date(2020, 1, 1)),
            opening("ancient", earned_on=date(1969, 12, 31)),
            opening("to come", earned_on=date(2999, 1, 1)),
            opening("ben", 20),
        ],
    )
    wanted: list[type[LoyaltyError | OpenedBalance]] = [OpenedBalance, InvalidInput, OpeningBalanceExists]
    assert [type(result) for result in results] == [*wanted, *[InvalidInput] * 3, OpenedBalance]
    for nobody in ("below", "late", "ancient", "to come"):
        assert await find_customer(world, salon.manager, CustomerKey(external_id=nobody)) is None
    await ledger_is_sound(salon.tenant_id)


async def test_points_expire_on_the_day_that_is_told_or_as_the_program_says(world: World, salon: Salon) -> None:
    def yearly(it: ProgramSettings) -> ProgramSettings:
        return replace(it, expiry=ExpiryPolicy(ExpiryKind.END_OF_PERIOD))

    await update_program(world, salon.manager, ProgramEdit(yearly, None))
    now = at(world, NOON)
    told = await bring_along(now, salon, 5, customer="told", expires_on=date(2026, 6, 30))
    untold = await bring_along(now, salon, 5, customer="untold")
    assert isinstance(told, OpenedBalance)
    assert isinstance(untold, OpenedBalance)
    ids = [told.customer.id, untold.customer.id]
    schedules = await load_expiry_schedules(now, salon.manager, ids)
    assert [schedules[one][0].last_day for one in ids] == [date(2026, 6, 30), date(2026, 12, 31)]


async def test_only_what_counts_for_the_tier_may_come_without_points(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    result = await bring_along(world, salon, 0, lifetime=50, qualifying=40)
    assert isinstance(result, OpenedBalance)
    assert (result.customer.points.available, result.customer.points.lifetime_earned) == (0, 50)
    await ledger_is_sound(salon.tenant_id)


async def test_an_opening_balance_is_added_to_the_points_of_a_known_customer(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await known_customer(world, salon)
    await give(world, salon, 7, "some")
    result = await bring_along(world, salon, 5)
    assert isinstance(result, OpenedBalance)
    assert result.customer.points.available == 12
    await ledger_is_sound(salon.tenant_id)


async def test_a_merged_customer_brings_an_opening_balance_along_once(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-22, F-35: before the merge or after it, each under its own name, and never again."""
    await bring_along(world, salon, 30)
    ben = (await merge(world, salon, "anna", "ben", "same person")).customer.id
    await known_customer(world, salon, "cem")
    await merge(world, salon, "cem", "ben", "same person too")
    for replayed in (False, True):
        results = await import_opening_balances(
            world, salon.manager, [opening("anna", 30), opening("ben", 50), opening("cem", 7)]
        )
        for result, points, came_before in zip(results, (30, 50, 7), (True, replayed, replayed), strict=True):
            assert isinstance(result, OpenedBalance)
            assert (result.balance.points, result.customer.id, result.replayed) == (points, ben, came_before)
            assert result.customer.points.available == 87
    assert isinstance(await bring_along(world, salon, 31), OpeningBalanceExists)
    await ledger_is_sound(salon.tenant_id)


async def test_another_last_day_is_another_opening_balance(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await bring_along(world, salon, 5, expires_on=date(2999, 3, 31))
    async with nothing_changes(salon.tenant_id):
        for day in (date(2999, 4, 1), None):
            assert isinstance(await bring_along(world, salon, 5, expires_on=day), OpeningBalanceExists)


async def test_two_imports_at_once_are_one(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    results = await asyncio.gather(*(bring_along(world, salon, 5) for _ in range(10)))
    assert sum(isinstance(one, OpenedBalance) and not one.replayed for one in results) == 1
    await ledger_is_sound(salon.tenant_id)


async def test_a_batch_takes_as_many_statements_as_one(world: World, salon: Salon, statements: StatementLog) -> None:
    await import_opening_balances(world, salon.manager, [opening("the first")])
    counts = []
    for size in (1, 500):
        for _ in range(2):
            with statements() as sent:
                await import_opening_balances(
                    world, salon.manager, [opening(f"{size} {number}") for number in range(size)]
                )
            counts.append(len(sent))
    assert counts == [4, 3, 4, 3]


@pytest.mark.parametrize("size", [0, MAX_BATCH + 1])
async def test_a_batch_has_a_limit(world: World, salon: Salon, size: int) -> None:
    with pytest.raises(InvalidInput):
        await import_opening_balances(world, salon.manager, [opening(f"{number}") for number in range(size)])


async def test_a_customer_may_come_with_nothing(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """An export has customers with 0 points: they are there afterwards, with no entry, and a second time replayed."""
    for replayed in (False, True):
        result = await bring_along(world, salon, 0, lifetime=0, qualifying=0)
        assert isinstance(result, OpenedBalance)
        assert (result.balance.points, result.customer.points.available, result.replayed) == (0, 0, replayed)
    assert await list_activity(world, salon.manager, EntryFilter(), Window(10)) == []
    await ledger_is_sound(salon.tenant_id)


async def test_debt_comes_along_as_debt(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """The next points pay it; a customer who has points already pays it from them."""
    (owing,) = await import_opening_balances(world, salon.manager, [opening("anna", -50)])
    assert isinstance(owing, OpenedBalance)
    assert (owing.customer.points.debt, owing.customer.points.available) == (50, 0)
    await give(world, salon, 70, "bonus")
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    assert (found.points.debt, found.points.available, found.points.lifetime_earned) == (0, 20, 0)
    await known_customer(world, salon, "ben")
    await give(world, salon, 30, "ben's bonus", customer="ben")
    (paid, *_) = await import_opening_balances(world, salon.manager, [opening("ben", -50), opening("ben", -50)])
    assert isinstance(paid, OpenedBalance)
    assert (paid.customer.points.debt, paid.customer.points.available) == (20, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_a_customer_who_stands_in_a_batch_twice_is_brought_along_once(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """As in two batches: the same again is a replay, other numbers are a conflict, and the first that fits counts."""
    results = await import_opening_balances(
        world,
        salon.manager,
        [
            opening("anna"),
            opening("anna"),
            opening("anna", 11),
            opening("ben", expires_on=date(2020, 1, 1)),
            opening("ben", 3),
            opening("ben", 3),
        ],
    )
    shown = [result.replayed if isinstance(result, OpenedBalance) else type(result) for result in results]
    assert shown == [False, True, OpeningBalanceExists, InvalidInput, False, True]
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    assert found.points.available == 10
    await ledger_is_sound(salon.tenant_id)


async def test_points_are_as_old_as_the_day_they_were_earned_on(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """The program's expiry counts from there; what would be over is refused, and an own last day wins."""

    def a_year(it: ProgramSettings) -> ProgramSettings:
        return replace(it, expiry=ExpiryPolicy(ExpiryKind.FIXED_DURATION, months=12))

    await update_program(world, salon.manager, ProgramEdit(a_year, None))
    now = at(world, NOON)
    today = NOON.date()
    results = await import_opening_balances(
        now,
        salon.manager,
        [
            opening("anna", 5, earned_on=date(today.year - 1, 9, 1)),
            opening("ben", 5, earned_on=date(today.year - 2, 9, 1)),
            opening("cem", 5, earned_on=date(today.year - 2, 9, 1), expires_on=date(today.year, 12, 31)),
            opening("dora", 5, earned_on=today),
            opening("emil", -5, earned_on=date(today.year - 2, 9, 1)),
        ],
    )
    assert [type(result) for result in results] == [OpenedBalance, InvalidInput, *[OpenedBalance] * 3]
    ids = [result.customer.id for result in results if isinstance(result, OpenedBalance)]
    schedules = await load_expiry_schedules(now, salon.manager, ids)
    last_days = [schedules[one][0].last_day if schedules.get(one) else None for one in ids]
    in_a_year = date(today.year + 1, today.month, today.day)
    assert last_days == [date(today.year, 9, 1), date(today.year, 12, 31), in_a_year, None]
    await ledger_is_sound(salon.tenant_id)
