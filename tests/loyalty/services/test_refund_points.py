"""What a refund does with the points that had paid: in one call, or by hand as before."""

import asyncio
from typing import Any

import pytest

from loyalty.rules.basis import BasisPolicy
from loyalty.rules.errors import AboveMaximum, IdempotencyConflict, ReturnExceedsRedemption
from loyalty.rules.purchase import PurchaseLine, PurchaseStatus
from loyalty.rules.redemption import HoldState
from loyalty.rules.refund import LineRefund
from loyalty.rules.refund_points import ReturnPoints
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.redemption_answer import CapturedPoints
from loyalty.services.refund import RefundedPurchase
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
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
    set_redemption,
)

AUTO, NONE = ReturnPoints


@pytest.fixture
async def shop(world: World, salon: Salon) -> Salon:
    """Set a point for each euro that is paid with money. A point is worth a cent, and Anna has 10,000 points."""
    assert BasisPolicy().exclude_points_paid
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await give(world, salon, 10_000, "riches")
    return salon


async def spend(world: World, salon: Salon, points: int, key: str, total: int = 10_000) -> CapturedPoints:
    """Pay for order-1 with points."""
    held = await hold(world, salon, points, key, checkout=checkout(total, purchase="order-1"))
    return await capture(world, salon, held, f"{key}, paid")


async def auto(
    world: World, salon: Salon, amount: int, key: str, *lines: LineRefund, **details: Any
) -> RefundedPurchase:
    """Refund a part of order-1, and give back the points that had paid for it."""
    return await pay_back(world, salon, "order-1", amount, key, *lines, return_points=AUTO, **details)


def left(refunded: RefundedPurchase) -> tuple[int, int, int]:
    """Return what a refund leaves to do: money, points, and their value."""
    split = refunded.split
    return (split.money.amount_minor, split.points, split.points_value.amount_minor)


def went_back(refunded: RefundedPurchase) -> list[tuple[Any, int]]:
    """Return how many points went back, by redemption."""
    return [(row.redemption_id, row.points) for row in refunded.points.returns]


async def available(world: World, salon: Salon) -> int:
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    return found.points.available


async def test_points_go_back_with_the_refund_and_nothing_is_left_to_do(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """A quarter was paid with points: 2,500 of 10,000, so a quarter of each refund goes back in points."""
    paid = await spend(world, shop, 2_500, "points")
    await earn(world, shop, order())
    half = await auto(world, shop, 5_000, "half")
    assert (left(half), went_back(half)) == ((3_750, 0, 0), [(paid.redemption.id, 1_250)])
    assert half.customer.points.available == 10_000 - 2_500 + 75 - 38 + 1_250
    rest = await auto(world, shop, 5_000, "rest")
    assert (left(rest), went_back(rest)) == ((3_750, 0, 0), [(paid.redemption.id, 1_250)])
    assert rest.customer.points.available == 10_000
    assert rest.purchase.status is PurchaseStatus.REFUNDED
    await ledger_is_sound(shop.tenant_id)


async def test_a_retry_answers_with_the_same_payload(
    world: World, shop: Salon, nothing_changes: NothingChanges
) -> None:
    await spend(world, shop, 1_000, "captured")
    await hold(world, shop, 1_000, "held", checkout=checkout(purchase="order-1"))
    await earn(world, shop, order())
    first = await auto(world, shop, 6_000, "most")
    async with nothing_changes(shop.tenant_id):
        again = await auto(world, shop, 6_000, "most")
        assert again == first._replace(replayed=True)
        with pytest.raises(IdempotencyConflict):
            await pay_back(world, shop, "order-1", 6_000, "most")
    assert first.points.returns
    assert first.points.holds


async def test_several_redemptions_give_back_the_newest_first(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    old = await spend(world, shop, 3_000, "old")
    await earn(world, shop, order())
    new = await spend(world, shop, 1_000, "paid after the evaluation")
    part = await auto(world, shop, 5_000, "half")
    assert went_back(part) == [(new.redemption.id, 1_000), (old.redemption.id, 1_000)]
    assert left(part) == (3_000, 0, 0)
    await ledger_is_sound(shop.tenant_id)


async def test_refunds_by_line_give_back_their_part(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    paid = await spend(world, shop, 1_000, "points", 4_000)
    lines = (PurchaseLine("cut", None, 1, 3_000), PurchaseLine("oil", None, 2, 500))
    await earn(world, shop, order("order-1", 4_000, *lines))
    oil = await auto(world, shop, 0, "an oil", LineRefund(1, 1))
    assert (left(oil), went_back(oil)) == ((375, 0, 0), [(paid.redemption.id, 125)])
    rest = await auto(world, shop, 0, "the rest", LineRefund(0, 1), LineRefund(1, 1))
    assert (left(rest), went_back(rest)) == ((2_625, 0, 0), [(paid.redemption.id, 875)])
    assert await available(world, shop) == 10_000
    await ledger_is_sound(shop.tenant_id)


async def test_points_that_pay_after_a_refund_never_make_a_negative_payout(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await earn(world, shop, order())
    assert left(await auto(world, shop, 2_000, "in money")) == (2_000, 0, 0)
    await spend(world, shop, 8_000, "the rest in points")
    assert left(await auto(world, shop, 1_000, "a part")) == (0, 0, 0)
    last = await auto(world, shop, 7_000, "the rest")
    assert (left(last), last.customer.points.available) == ((0, 0, 0), 10_000)
    await ledger_is_sound(shop.tenant_id)


async def test_a_refund_lowers_held_points_before_spent_points(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    captured = await spend(world, shop, 1_000, "captured")
    held = await hold(world, shop, 3_000, "held", checkout=checkout(purchase="order-1"))
    await earn(world, shop, order())
    half = await auto(world, shop, 5_000, "half")
    assert [(one.id, one.lowered_points) for one in half.points.holds] == [(held.hold.id, 2_000)]
    assert (left(half), went_back(half)) == ((3_000, 0, 0), [])
    with pytest.raises(AboveMaximum):
        await capture(world, shop, held, "all of it")
    await capture(world, shop, held, "what is left", points=1_000)
    rest = await auto(world, shop, 5_000, "rest")
    assert left(rest) == (3_000, 0, 0)
    assert sum(points for _, points in went_back(rest)) == 2_000
    assert captured.redemption.id in dict(went_back(rest))
    assert rest.customer.points.available == 10_000
    await ledger_is_sound(shop.tenant_id)


async def test_a_hold_of_a_purchase_that_is_refunded_whole_ends(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """The customer has paid 70.00 and set 3,000 points aside: so much goes back of each."""
    await hold(world, shop, 3_000, "held", checkout=checkout(purchase="order-1"))
    await earn(world, shop, order())
    whole = await auto(world, shop, 10_000, "all")
    assert [one.state for one in whole.points.holds] == [HoldState.RELEASED]
    assert (left(whole), whole.customer.points.available) == ((7_000, 0, 0), 10_000)
    await ledger_is_sound(shop.tenant_id)


async def test_a_hold_is_no_payment_yet_unless_the_refund_takes_care_of_it(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """NONE divides by what was spent alone; the hold ends all the same when nothing is left."""
    await hold(world, shop, 3_000, "held", checkout=checkout(purchase="order-1"))
    await earn(world, shop, order())
    whole = await pay_back(world, shop, "order-1", 10_000, "all")
    assert ([one.state for one in whole.points.holds], left(whole)) == ([HoldState.RELEASED], (10_000, 0, 0))
    assert await pay_back(world, shop, "order-1", 10_000, "all") == whole._replace(replayed=True)
    assert whole.customer.points.available == 10_000
    await ledger_is_sound(shop.tenant_id)


async def test_points_go_back_though_the_program_keeps_them_when_a_purchase_is_called_off(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """AUTO says it for this refund; NONE leaves it to the program."""
    await set_redemption(world, shop, return_on_cancel=False)
    await spend(world, shop, 2_500, "points")
    await earn(world, shop, order())
    assert left(await pay_back(world, shop, "order-1", 4_000, "by hand")) == (3_000, 1_000, 1_000)
    last = await auto(world, shop, 6_000, "rest")
    assert (left(last), sum(points for _, points in went_back(last))) == ((4_500, 0, 0), 1_500)
    await ledger_is_sound(shop.tenant_id)


async def test_without_it_the_points_wait_for_a_return_by_hand(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """What had paid for the refunded part still counts as paid: giving it back by hand earns nothing more."""
    paid = await spend(world, shop, 9_000, "points")
    await earn(world, shop, order())
    half = await pay_back(world, shop, "order-1", 5_000, "half")
    assert (left(half), list(half.points.returns)) == ((500, 4_500, 4_500), [])
    assert half.accrual is not None
    kept = half.accrual.points - half.accrual.reversed_points
    returned = await give_back(world, shop, paid, "by hand", points=4_500)
    assert (kept, returned.customer.points.available) == (5, 10_000 - 9_000 + 5 + 4_500)
    again = await auto(world, shop, 2_500, "a quarter")
    assert (left(again), again.customer.points.available) == ((250, 0, 0), 10_000 - 9_000 + 2 + 4_500 + 2_250)
    with pytest.raises(ReturnExceedsRedemption):
        await give_back(world, shop, paid, "too much", points=2_251)
    await ledger_is_sound(shop.tenant_id)


@pytest.mark.parametrize("mode", [AUTO, NONE])
async def test_no_refund_lets_a_purchase_keep_more_points_than_before(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, mode: ReturnPoints
) -> None:
    """Nine tenths were paid with points, so a tenth of the money earned: 10 points, and never more by refunds."""
    paid = await spend(world, shop, 9_000, "points")
    await earn(world, shop, order())
    kept = 10
    for number in range(10):
        refunded = await pay_back(world, shop, "order-1", 1_000, f"part {number}", return_points=mode)
        if refunded.split.points:
            await give_back(world, shop, paid, f"points {number}", points=refunded.split.points)
        assert refunded.accrual is not None
        now = refunded.accrual.points - refunded.accrual.voided_points - refunded.accrual.reversed_points
        assert now <= kept
        kept = now
    assert (kept, await available(world, shop)) == (0, 10_000)
    await ledger_is_sound(shop.tenant_id)


async def test_a_later_report_counts_what_went_back_as_paid(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await spend(world, shop, 9_000, "points")
    await earn(world, shop, order())
    before = await auto(world, shop, 5_000, "half")
    after = await earn(world, shop, order(status=PurchaseStatus.COMPLETED, location="mitte"))
    assert after.customer.points.available == before.customer.points.available
    await ledger_is_sound(shop.tenant_id)


async def test_points_of_a_merged_customer_go_back_to_the_target(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await spend(world, shop, 2_500, "points")
    await earn(world, shop, order())
    await merge(world, shop, "anna", "bea", "one person")
    whole = await auto(world, shop, 10_000, "all")
    assert (whole.customer.external_id, whole.customer.points.available) == ("bea", 10_000)
    await ledger_is_sound(shop.tenant_id)


async def test_refunds_at_the_same_time_give_back_each_point_once(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await spend(world, shop, 2_500, "points")
    await earn(world, shop, order())
    refunded = await asyncio.gather(*(auto(world, shop, 1_000, f"part {number}") for number in range(10)))
    assert sum(points for one in refunded for _, points in went_back(one)) == 2_500
    assert sum(one.split.money.amount_minor for one in refunded) == 7_500
    assert await available(world, shop) == 10_000
    await ledger_is_sound(shop.tenant_id)
