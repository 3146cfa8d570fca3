"""A purchase that was recorded for the wrong person moves to the right one, as if it had been recorded for it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualState, EvaluateOn, MatureOn
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import Conditions, FixedAward
from loyalty.rules.errors import (
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
    PurchaseOfAnotherCustomer,
)
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy, Period
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.purchase_errors import PurchaseNotReassignable
from loyalty.rules.tiers import TierBasis, TierPolicy
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.expiry import expire_due
from loyalty.services.maturing import mature_due
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_reassign import ReassignedPurchase, ReassignRequest, reassign_purchase
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.customers import CustomerRow
from loyalty.storage.points_paid import PurchaseKey
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
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
    merge,
    one_point_per_euro,
    order,
    pay_back,
    rule,
    set_policy,
    set_redemption,
)

DAY = timedelta(days=1)


@pytest.fixture
async def shop(world: World, salon: Salon) -> Salon:
    """Set a point for each euro. Bea is the right customer."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_redemption(world, salon)
    await known_customer(world, salon, "bea")
    return salon


async def reassign(
    world: World, salon: Salon, target: str = "bea", key: str = "wrong person", *, by: Any = None, **changes: Any
) -> ReassignedPurchase:
    """Say whose order-1 is."""
    name = PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, changes.pop("purchase", "order-1")))
    request = ReassignRequest(name, CustomerKey(external_id=target), "Both are called Anna", key)
    return await reassign_purchase(world, by or salon.manager, request._replace(**changes))


async def customer(world: World, salon: Salon, external_id: str) -> CustomerRow:
    found = await find_customer(world, salon.manager, CustomerKey(external_id=external_id))
    assert found is not None
    return found


def numbers(row: CustomerRow) -> tuple[int, int, int, int]:
    """Return available, pending, ever earned, and what counts for the tier."""
    return (row.points.available, row.points.pending, row.points.lifetime_earned, row.points.qualifying)


async def test_everything_moves_to_the_right_customer(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    silver = (await create_tier(world, shop.manager, "Silver", "#000000", 100)).tier
    earned = await earn(world, shop, order())
    assert earned.customer.tier is not None
    moved = await reassign(world, shop)
    assert (numbers(moved.source), moved.source.tier) == ((0, 0, 0, 0), None)
    assert numbers(moved.customer) == (100, 0, 100, 100)
    assert moved.customer.tier is not None
    assert moved.customer.tier.id == silver.id
    assert (moved.taken_points, moved.given_points, moved.replayed) == (100, 100, False)
    assert (moved.purchase.customer_id, moved.purchase.version) == (moved.customer.id, 2)
    assert moved.accrual is not None
    assert (moved.accrual.customer_id, moved.accrual.state) == (moved.customer.id, AccrualState.AVAILABLE)
    await ledger_is_sound(shop.tenant_id)


async def test_a_retry_answers_as_the_first_time(world: World, shop: Salon, nothing_changes: NothingChanges) -> None:
    await earn(world, shop, order())
    first = await reassign(world, shop)
    async with nothing_changes(shop.tenant_id):
        again = await reassign(world, shop)
        assert again == first._replace(replayed=True)
        with pytest.raises(IdempotencyConflict):
            await reassign(world, shop, "anna")


async def test_later_reports_belong_to_the_new_owner(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    await earn(world, shop, order())
    await reassign(world, shop)
    with pytest.raises(PurchaseOfAnotherCustomer):
        await earn(world, shop, order(status=PurchaseStatus.COMPLETED))
    larger = await earn(world, shop, order(total=15_000, customer="bea", status=PurchaseStatus.COMPLETED))
    assert numbers(larger.customer) == (150, 0, 150, 150)
    await pay_back(world, shop, "order-1", 5_000, "a third")
    assert numbers(await customer(world, shop, "bea")) == (100, 0, 100, 100)
    cancelled = await earn(world, shop, order(total=15_000, customer="bea", status=PurchaseStatus.CANCELLED))
    assert numbers(cancelled.customer) == (0, 0, 0, 0)
    await ledger_is_sound(shop.tenant_id)


async def test_pending_points_stay_pending_until_the_same_moment(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await set_policy(world, shop, delay_minutes=24 * 60)
    earned = await earn(at(world, NOON), shop, order())
    moved = await reassign(at(world, NOON + DAY / 2), shop)
    assert (numbers(moved.source), numbers(moved.customer)) == ((0, 0, 0, 0), (0, 100, 0, 0))
    assert earned.accrual is not None
    assert moved.accrual is not None
    assert moved.accrual.matures_at == earned.accrual.matures_at
    await mature_due(at(world, NOON + DAY), shop.tenant_id)
    assert numbers(await customer(world, shop, "bea")) == (100, 0, 100, 100)
    await ledger_is_sound(shop.tenant_id)


async def test_the_target_gets_what_it_would_have_got(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    """A rule for the category of the right customer counts, one that was changed since does not."""
    friends = replace(
        rule(FixedAward(30), name="Friends"), conditions=Conditions(customer_categories=frozenset({"friend"}))
    )
    await create_earning_rule(world, shop.manager, friends)
    await earn(world, shop, order("first", 0, customer=CustomerProfile("bea", category="friend")))
    assert (await earn(world, shop, order())).customer.points.available == 100
    await create_earning_rule(world, shop.manager, rule(FixedAward(500), name="Too late"))
    before = await customer(world, shop, "bea")
    moved = await reassign(world, shop)
    assert moved.given_points == 130
    assert moved.customer.points.available == before.points.available + 130
    await ledger_is_sound(shop.tenant_id)


async def test_points_expire_on_the_same_day(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    expiry = ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=30)
    await update_program(world, shop.manager, ProgramEdit(lambda it: replace(it, expiry=expiry), None))
    await earn(at(world, NOON), shop, order())
    await reassign(at(world, NOON + 20 * DAY), shop)
    await expire_due(at(world, NOON + 29 * DAY), shop.tenant_id)
    assert (await customer(world, shop, "bea")).points.available == 100
    await expire_due(at(world, NOON + 31 * DAY), shop.tenant_id)
    assert (await customer(world, shop, "bea")).points.available == 0
    await ledger_is_sound(shop.tenant_id)


async def test_points_that_live_by_activity_live_on(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    """Anna's visits kept her points alive; moved to Bea they must not be over at once."""
    expiry = ExpiryPolicy(ExpiryKind.INACTIVITY, days=10)
    await update_program(world, shop.manager, ProgramEdit(lambda it: replace(it, expiry=expiry), None))
    await earn(at(world, NOON), shop, order())
    await earn(at(world, NOON + 9 * DAY), shop, order("order-2"))
    await reassign(at(world, NOON + 15 * DAY), shop)
    await expire_due(at(world, NOON + 24 * DAY), shop.tenant_id)
    assert (await customer(world, shop, "bea")).points.available == 100
    await expire_due(at(world, NOON + 26 * DAY), shop.tenant_id)
    assert (await customer(world, shop, "bea")).points.available == 0
    await ledger_is_sound(shop.tenant_id)


async def test_points_that_live_by_grace_were_used(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """They were spent and came back after their time: as old as they are, they would be over at once."""
    expiry = ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=10)
    await update_program(world, shop.manager, ProgramEdit(lambda it: replace(it, expiry=expiry), None))
    await earn(at(world, NOON), shop, order())
    spent = await capture(at(world, NOON), shop, await hold(at(world, NOON), shop, 100, "a"), "b")
    await give_back(at(world, NOON + 20 * DAY), shop, spent, "c")
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(PurchaseNotReassignable) as refused:
            await reassign(at(world, NOON + 20 * DAY), shop)
    assert refused.value.obstacle == "POINTS_USED"
    await ledger_is_sound(shop.tenant_id)


@pytest.mark.parametrize("status", [PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW, PurchaseStatus.REFUNDED])
async def test_a_purchase_that_lost_its_points_moves_without_them(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, status: PurchaseStatus
) -> None:
    """What it earned and lost stays with the source; what it earns in its next life is the target's."""
    await earn(world, shop, order())
    await earn(world, shop, order(status=status))
    moved = await reassign(world, shop)
    assert (moved.taken_points, moved.given_points) == (0, 0)
    await ledger_is_sound(shop.tenant_id)
    if status is PurchaseStatus.REFUNDED:
        return
    back = await earn(world, shop, order(customer="bea", status=PurchaseStatus.COMPLETED))
    assert numbers(back.customer) == (100, 0, 100, 100)
    assert numbers(await customer(world, shop, "anna")) == (0, 0, 0, 0)
    await ledger_is_sound(shop.tenant_id)


@pytest.mark.parametrize("evaluate_on", [EvaluateOn.PURCHASE_CREATED, EvaluateOn.PURCHASE_COMPLETED])
async def test_a_purchase_that_moved_comes_back_as_somebody_elses(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, evaluate_on: EvaluateOn
) -> None:
    """Moved to Bea when it was called off, and then it takes place for Carl: nobody cooked the books."""
    await set_policy(world, shop, evaluate_on=evaluate_on)
    await earn(world, shop, order())
    await earn(world, shop, order(status=PurchaseStatus.CANCELLED))
    await reassign(world, shop)
    back = await earn(world, shop, order(customer="carl", status=PurchaseStatus.COMPLETED))
    assert numbers(back.customer) == (100, 0, 100, 100)
    assert numbers(await customer(world, shop, "bea")) == (0, 0, 0, 0)
    await ledger_is_sound(shop.tenant_id)


async def test_points_of_the_last_window_count_there(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    tiering = TierPolicy(basis=TierBasis.EARNED_IN_WINDOW, window=Period.MONTH)
    await update_program(world, shop.manager, ProgramEdit(lambda it: replace(it, tiering=tiering), None))
    await earn(at(world, NOON), shop, order())
    moved = await reassign(at(world, NOON + 31 * DAY), shop)
    assert moved.customer.points.qualifying == 0, "they were earned in the month before"
    await ledger_is_sound(shop.tenant_id)


Use = Callable[[World, Salon], Any]


async def _spend(world: World, salon: Salon) -> None:
    await capture(world, salon, await hold(world, salon, 10, "spend"), "spent")


async def _expire(world: World, salon: Salon) -> None:
    await give(world, salon, -10, "lost")


async def _refund(world: World, salon: Salon) -> None:
    await pay_back(world, salon, "order-1", 100, "a euro")


async def _hold_for_it(world: World, salon: Salon) -> None:
    await give(world, salon, 50, "other points")
    await hold(world, salon, 10, "for it", checkout=checkout(purchase="order-1"))


async def _pay_for_it(world: World, salon: Salon) -> None:
    await give(world, salon, 50, "other points")
    await capture(world, salon, await hold(world, salon, 10, "for it", checkout=checkout(purchase="order-1")), "paid")


async def _hold_its_points(world: World, salon: Salon) -> None:
    await hold(world, salon, 10, "elsewhere")


@pytest.mark.parametrize(
    ("use", "obstacle"),
    [
        (_spend, "POINTS_USED"),
        (_expire, "POINTS_USED"),
        (_hold_its_points, "POINTS_USED"),
        (_refund, "REFUNDED"),
        (_hold_for_it, "POINTS_HELD"),
        (_pay_for_it, "PAID_WITH_POINTS"),
    ],
)
async def test_nothing_moves_after_its_points_were_used(
    world: World, shop: Salon, nothing_changes: NothingChanges, use: Use, obstacle: str
) -> None:
    await earn(world, shop, order())
    await use(world, shop)
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(PurchaseNotReassignable) as refused:
            await reassign(world, shop)
    assert refused.value.obstacle == obstacle


async def test_points_that_paid_a_debt_were_used(world: World, shop: Salon) -> None:
    await known_customer(world, shop)
    await give(world, shop, -30, "owed", overdraft=Overdraft.ALLOW_NEGATIVE)
    await earn(world, shop, order())
    with pytest.raises(PurchaseNotReassignable) as refused:
        await reassign(world, shop)
    assert refused.value.obstacle == "POINTS_USED"


async def test_points_that_were_held_and_given_back_are_unused(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await earn(world, shop, order())
    spent = await capture(world, shop, await hold(world, shop, 10, "a"), "b")
    await give_back(world, shop, spent, "c")
    assert (await reassign(world, shop)).customer.points.available == 100
    await ledger_is_sound(shop.tenant_id)


async def test_a_purchase_that_earns_later_moves_before_it_does(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await set_policy(world, shop, mature_on=MatureOn.PURCHASE_COMPLETED)
    await earn(world, shop, order(status=PurchaseStatus.CANCELLED))
    moved = await reassign(world, shop)
    assert (moved.accrual, moved.given_points) == (None, 0)
    await earn(world, shop, order("order-2"))
    await reassign(world, shop, purchase="order-2", key="second")
    done = await earn(world, shop, order("order-2", customer="bea", status=PurchaseStatus.COMPLETED))
    assert numbers(done.customer) == (100, 0, 100, 100)
    await ledger_is_sound(shop.tenant_id)


async def test_it_moves_to_the_target_of_a_merge_and_from_one(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await earn(world, shop, order())
    await merge(world, shop, "anna", "carl", "anna is carl")
    await merge(world, shop, "bea", "dora", "bea is dora")
    moved = await reassign(world, shop)
    assert (moved.source.external_id, moved.customer.external_id) == ("carl", "dora")
    assert (moved.source.points.available, moved.customer.points.available) == (0, 100)
    await ledger_is_sound(shop.tenant_id)


async def test_who_may_and_who_may_not(world: World, shop: Salon, nothing_changes: NothingChanges) -> None:
    await earn(world, shop, order())
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(InvalidInput):
            await reassign(world, shop, "anna")
        with pytest.raises(NotFound):
            await reassign(world, shop, "nobody")
        with pytest.raises(NotFound):
            await reassign(world, shop, purchase="unknown")
        with pytest.raises(InvalidInput):
            await reassign(world, shop, reason="x" * 501)
        with pytest.raises(PermissionDenied):
            await reassign(world, shop, by=shop.integration)


async def test_of_two_at_the_same_time_one_wins(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    await known_customer(world, shop, "carl")
    await earn(world, shop, order())
    await asyncio.gather(reassign(world, shop, "bea", "to bea"), reassign(world, shop, "carl", "to carl"))
    rows = [await customer(world, shop, name) for name in ("anna", "bea", "carl")]
    assert sorted(row.points.available for row in rows) == [0, 0, 100]
    assert rows[0].points.available == 0
    await ledger_is_sound(shop.tenant_id)


async def test_a_reassignment_takes_ten_round_trips(world: World, shop: Salon, statements: StatementLog) -> None:
    await earn(world, shop, order())
    with statements() as sent:
        await reassign(world, shop)
    assert len(sent) == 10, sent
