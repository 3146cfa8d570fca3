"""Calling a purchase off is neutral: what paid for it comes back, what it earned goes, and all is as it was before."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from loyalty.rules.account import Account, Overdraft
from loyalty.rules.accrual import AccrualState
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import Conditions
from loyalty.rules.errors import PurchaseOfAnotherCustomer
from loyalty.rules.expiry import Period
from loyalty.rules.ids import CustomerId
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.tiers import Downgrade, TierBasis, TierPolicy
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.job import advance_job
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.accounts import lock_customers
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    capture,
    checkout,
    earn,
    give,
    hold,
    known_customer,
    merge,
    one_point_per_euro,
    order,
    pay_back,
    report,
    rule,
    set_policy,
    set_redemption,
)

DAY = timedelta(days=1)
CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus


async def account_of(world: World, salon: Salon, customer: CustomerId) -> Account:
    """Return the account as it is stored."""
    async with world.database.tenant_transaction(salon.tenant_id) as tx:
        (locked,) = (await lock_customers(tx, [customer])).values()
    return locked.account


def numbers_of(account: Account) -> tuple[object, ...]:
    """Return the numbers that must be as before: all but the number of entries, and what follows from it."""
    return (
        account.available,
        account.pending,
        account.debt,
        account.lifetime_earned,
        account.qualifying,
        account.window_points,
        account.previous_window_points,
        account.standing,
        account.tier_id,
    )


async def set_tiering(world: World, salon: Salon, basis: TierBasis, downgrade: Downgrade) -> None:
    """Count tiers otherwise, and put everybody right."""
    tiering = TierPolicy(basis, Period.MONTH, downgrade, 0)
    edit = ProgramEdit(lambda it: replace(it, tiering=tiering), None)
    changed = await update_program(world, salon.manager, edit)
    while changed.job and await advance_job(world, salon.tenant_id, changed.job.id):
        pass


@pytest.mark.parametrize("debt", Overdraft)
@pytest.mark.parametrize("downgrade", Downgrade)
@pytest.mark.parametrize("basis", TierBasis)
async def test_buying_and_calling_off_leaves_all_as_it_was(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, basis: TierBasis, downgrade: Downgrade, debt: Overdraft
) -> None:
    """F-10, F-30: random lives, each with purchases in between that never were."""
    chance = random.Random(f"{basis} {downgrade} {debt}")  # noqa: S311 - no secret
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for name, minimum in (("Bronze", 40), ("Silver", 90), ("Gold", 160)):
        await create_tier(world, salon.manager, name, "#C0C0C0", minimum)
    await set_redemption(world, salon)
    await set_tiering(at(world, NOON), salon, basis, downgrade)
    await set_policy(world, salon, debt=debt)
    now = NOON
    anna = (await earn(at(world, now), salon, order("first", 12_000))).customer.id
    for number in range(12):
        now += chance.choice((timedelta(hours=1), DAY, 9 * DAY))
        here = at(world, now)
        what = chance.randrange(3)
        if what == 0:
            await earn(here, salon, order(f"kept-{number}", chance.randrange(100, 9_000)))
        elif what == 1:
            available = (await account_of(world, salon, anna)).available
            await give(here, salon, -min(available, chance.randrange(1, 80)) or 1, f"given-{number}")
        else:
            await give(here, salon, chance.randrange(1, 60), f"given-{number}")
        # Whatever time has made due happens before.
        await earn(here, salon, report(CREATED, f"nothing-{number}", total=Money(0, "EUR")))
        before = numbers_of(await account_of(world, salon, anna))
        key = f"gone-{number}"
        paid = min((await account_of(world, salon, anna)).available, chance.randrange(0, 60))
        if paid:
            held = await hold(here, salon, paid, f"hold-{number}", checkout=checkout(20_000, purchase=key))
            await capture(here, salon, held, f"capture-{number}")
        await earn(here, salon, order(key, chance.randrange(paid * 100 + 100, 20_000)))
        if chance.random() < 0.5:
            await earn(here, salon, report(chance.choice((CANCELLED, NO_SHOW, REFUNDED)), key))
        else:
            recorded = await earn(here, salon, report(PAID, key))
            await pay_back(here, salon, key, recorded.purchase.total.amount_minor // 3 or 1, f"{key}-a")
            rest = recorded.purchase.total.amount_minor - (recorded.purchase.total.amount_minor // 3 or 1)
            await pay_back(here, salon, key, rest, f"{key}-b")
        assert numbers_of(await account_of(world, salon, anna)) == before
    await ledger_is_sound(salon.tenant_id)


async def test_rejecting_debt_does_not_hinder_a_cancellation_that_its_own_points_cover(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-10, F-41: paid wholly with points; what they were comes back before what it earned is taken."""
    await set_redemption(world, salon)
    await set_policy(world, salon, debt=Overdraft.REJECT)
    await known_customer(world, salon)
    await create_earning_rule(world, salon.manager, rule(30))
    await give(world, salon, 50, "start")
    held = await hold(world, salon, 50, "hold", checkout=checkout(purchase="order-1"))
    await capture(world, salon, held, "capture")
    await earn(world, salon, order(total=5_000))
    await give(world, salon, -29, "spent elsewhere")
    cancelled = await earn(world, salon, report(CANCELLED))
    assert cancelled.customer.points[:2] == (21, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_clamping_leaks_nothing_when_the_points_come_back(world: World, salon: Salon) -> None:
    """F-10: nothing is forgotten that the returned points cover."""
    await set_redemption(world, salon)
    await set_policy(world, salon, debt=Overdraft.CLAMP)
    await known_customer(world, salon)
    await create_earning_rule(world, salon.manager, rule(30))
    await give(world, salon, 50, "start")
    held = await hold(world, salon, 50, "hold", checkout=checkout(purchase="order-1"))
    await capture(world, salon, held, "capture")
    await earn(world, salon, order(total=5_000))
    await give(world, salon, -29, "spent elsewhere")
    cancelled = await earn(world, salon, report(CANCELLED))
    assert (cancelled.customer.points.available, cancelled.customer.points.lifetime_earned) == (21, 0)


# ── an item is judged by what was known before it ────────────────────────────────────────────────────────────────────


async def test_an_item_of_a_batch_is_judged_by_the_profile_before_it(world: World, salon: Salon) -> None:
    """BK-15: a category that a later item tells does not reach back; waves of one purchase keep the order."""
    await create_earning_rule(
        world, salon.manager, rule(10, conditions=Conditions(customer_categories=frozenset({"vip"})))
    )
    batch = [
        order("a", customer="anna"),
        order("b", customer=CustomerProfile("anna", category="vip")),
        order("c", customer="anna"),
        order("c", customer=CustomerProfile("anna", category="new"), status=PAID),
        order("d", customer="anna"),
    ]
    results = await record_purchases(world, salon.integration, batch)
    points = [one.accrual.points for one in results if isinstance(one, RecordedPurchase) and one.accrual]
    assert points == [0, 10, 10, 10, 0]


async def test_a_merge_leaves_nobody_in_a_tier_that_the_balance_does_not_reach(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-30: source with 5 points in a tier from 5, target that owes 50: whichever way round."""
    await create_tier(world, salon.manager, "Five", "#C0C0C0", 5)
    for downgrade in Downgrade:
        await set_tiering(world, salon, TierBasis.BALANCE, downgrade)
        for source, target in (("rich", "poor"), ("poor", "rich")):
            names = {name: f"{name}-{target}-{downgrade}" for name in (source, target)}
            for name in names.values():
                await known_customer(world, salon, name)
            await give(world, salon, 5, f"five {target} {downgrade}", customer=names["rich"])
            owed = f"owed {target} {downgrade}"
            await give(world, salon, -50, owed, customer=names["poor"], overdraft=Overdraft.ALLOW_NEGATIVE)
            merged = await merge(world, salon, names[source], names[target], f"merge {target} {downgrade}")
            assert (merged.customer.points.debt, merged.customer.tier) == (45, None)
    await ledger_is_sound(salon.tenant_id)


# ── recorded for the wrong person ────────────────────────────────────────────────────────────────────────────────────


async def test_a_purchase_that_was_called_off_may_come_back_as_somebody_elses(
    world: World, salon: Salon, nothing_changes: NothingChanges, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    wrong = await earn(world, salon, order(total=2_000, customer="wrong"))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(PurchaseOfAnotherCustomer):
            await earn(world, salon, order(total=2_000, customer="right", status=CONFIRMED))
    await earn(world, salon, report(CANCELLED, customer="wrong"))
    right = await earn(world, salon, report(CONFIRMED, customer="right"))
    assert (right.customer.external_id, right.customer.points.available) == ("right", 20)
    assert right.accrual is not None
    assert (right.accrual.state, right.purchase.generation) == (AccrualState.AVAILABLE, 2)
    assert (await account_of(world, salon, wrong.customer.id)).balance == 0
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(PurchaseOfAnotherCustomer):
            await earn(world, salon, report(CANCELLED, customer="wrong"))
    await merge(world, salon, "wrong", "third", "one more")
    await ledger_is_sound(salon.tenant_id)
