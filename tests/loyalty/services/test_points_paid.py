"""What points pay of a purchase follows its reports: nothing takes off more than it costs."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from loyalty.rules.errors import AboveMaximum, HoldEnded, PurchaseOfAnotherCustomer
from loyalty.rules.money import Money, PointValue
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import CaptureOn, HoldState
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.redemption_answer import HeldPoints
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    capture,
    checkout,
    earn,
    give,
    hold,
    known_customer,
    one_point_per_euro,
    order,
    set_redemption,
)

PAID, COMPLETED, CANCELLED = PurchaseStatus.PAID, PurchaseStatus.COMPLETED, PurchaseStatus.CANCELLED


@pytest.fixture(autouse=True)
async def rich(world: World, salon: Salon) -> None:
    """Give Anna and Bea 1,000 points each. A point is worth 5 cents, and a euro earns a point."""
    await set_redemption(world, salon, point_value=PointValue(1, Money(5, "EUR")))
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for customer in ("anna", "bea"):
        await known_customer(world, salon, customer)
        await give(world, salon, 1_000, f"{customer}'s", customer=customer)


async def hold_for(world: World, salon: Salon, points: int, key: str, **details: Any) -> HeldPoints:
    """Set points aside for the order ``cart`` of 50.00."""
    return await hold(world, salon, points, key, checkout=checkout(5_000, 0, "cart"), **details)


def numbers(recorded: RecordedPurchase) -> tuple[int, int]:
    """Return what is available and held after a report."""
    return recorded.customer.points.available, recorded.customer.points.held


async def test_a_hold_is_lowered_to_what_the_purchase_costs(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """50.00 are held, the order shrinks to 5.00: the rest is free at once, and a capture takes no more."""
    held = await hold_for(world, salon, 1_000, "all of it")
    recorded = await earn(world, salon, order("cart", 500, status=COMPLETED))
    (lowered,) = recorded.settled.holds
    assert (lowered.id, lowered.points) == (held.hold.id, 1_000)
    assert (lowered.lowered_points, lowered.discount_minor) == (900, 500)
    assert numbers(recorded) == (900, 100)
    await ledger_is_sound(salon.tenant_id)
    with pytest.raises(AboveMaximum) as refused:
        await capture(world, salon, held, "all of it")
    assert (refused.value.maximum, refused.value.requested) == (100, 1_000)
    captured = await capture(world, salon, held, "what fits", points=100)
    assert captured.redemption.discount_minor == 500
    assert (captured.customer.points.available, captured.customer.points.held) == (900, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_the_newest_hold_is_lowered_first(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    held = [await hold_for(world, salon, points, f"{points}") for points in (200, 150, 100)]
    recorded = await earn(world, salon, order("cart", 1_250))
    assert [(one.id, one.lowered_points, one.state) for one in recorded.settled.holds] == [
        (held[1].hold.id, 100, HoldState.ACTIVE),
        (held[2].hold.id, 0, HoldState.RELEASED),
    ]
    assert numbers(recorded) == (750, 250)
    smaller = await earn(world, salon, order("cart", 1_100))
    assert [(one.id, one.lowered_points) for one in smaller.settled.holds] == [(held[1].hold.id, 130)]
    larger = await earn(world, salon, order("cart", 5_000))
    assert (larger.settled.holds, numbers(larger)) == ([], (819, 220)), "50.00 less the 11.00 that points pay earn 39"
    await ledger_is_sound(salon.tenant_id)
    for one in held[:2]:
        await capture(world, salon, one, f"{one.hold.id}", points=20)
    with pytest.raises(HoldEnded):
        await capture(world, salon, held[2], "too late")
    await ledger_is_sound(salon.tenant_id)


async def test_a_hold_keeps_what_its_terms_allow(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    value = PointValue(1, Money(5, "EUR"))
    await set_redemption(world, salon, point_value=value, max_discount_percent=50)
    await hold_for(world, salon, 500, "half")
    recorded = await earn(world, salon, order("cart", 2_000))
    assert [one.discount_minor for one in recorded.settled.holds] == [1_000]
    await ledger_is_sound(salon.tenant_id)


async def test_points_spent_beyond_the_total_come_back_newest_first(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    spent = []
    for points in (100, 60, 40):
        held = await hold_for(world, salon, points, f"hold {points}")
        spent.append(await capture(world, salon, held, f"spend {points}"))
    recorded = await earn(world, salon, order("cart", 702, status=PAID))
    assert [(one.redemption_id, one.points, one.discount_minor) for one in recorded.settled.returns] == [
        (spent[2].redemption.id, 40, 200),
        (spent[1].redemption.id, 20, 100),
    ]
    assert numbers(recorded) == (860, 0)
    assert recorded.accrual is not None
    assert recorded.accrual.points == 0
    await ledger_is_sound(salon.tenant_id)
    again = await earn(world, salon, order("cart", 702, status=PAID))
    assert again.replayed
    assert {one.id for one in again.settled.returns} == {one.id for one in recorded.settled.returns}


async def test_a_purchase_of_nothing_gives_everything_back(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await capture(world, salon, await hold_for(world, salon, 100, "spent"), "spend")
    await hold_for(world, salon, 50, "held")
    recorded = await earn(world, salon, order("cart", 0))
    assert numbers(recorded) == (1_000, 0)
    assert [one.points for one in recorded.settled.returns] == [100]
    assert [one.state for one in recorded.settled.holds] == [HoldState.RELEASED]
    await ledger_is_sound(salon.tenant_id)


async def test_payments_within_the_total_stay_as_they_are(world: World, salon: Salon) -> None:
    await capture(world, salon, await hold_for(world, salon, 100, "spent"), "spend")
    await hold_for(world, salon, 50, "held")
    recorded = await earn(world, salon, order("cart", 750))
    assert (recorded.settled.returns, recorded.settled.holds, numbers(recorded)) == ([], [], (850, 50))


async def test_points_that_paid_go_back_before_what_was_earned_is_taken(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await capture(world, salon, await hold_for(world, salon, 500, "spent"), "spend")
    earned = await earn(world, salon, order("cart", 5_000, status=PAID))
    assert earned.accrual is not None
    assert (earned.accrual.points, numbers(earned)) == (25, (525, 0))
    await give(world, salon, -525, "all gone")
    ended = await earn(world, salon, order("cart", 5_000, status=CANCELLED))
    assert (ended.customer.points.available, ended.customer.points.debt) == (475, 0)
    assert [one.points for one in ended.settled.returns] == [500]
    await ledger_is_sound(salon.tenant_id)


# ── another customer ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_recorded_owner_frees_what_others_held(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    held = await hold_for(world, salon, 200, "anna's")
    recorded = await earn(world, salon, order("cart", 5_000, customer="bea"))
    assert [(one.id, one.state) for one in recorded.settled.holds] == [(held.hold.id, HoldState.RELEASED)]
    assert numbers(recorded) == (1_050, 0)
    assert (await hold_for(world, salon, 100, "bea's", customer="bea")).hold.points == 100
    anna = await earn(world, salon, order("another", 0))
    assert numbers(anna) == (1_000, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_a_purchase_paid_by_another_customer_is_refused_for_this_one(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await capture(world, salon, await hold_for(world, salon, 100, "anna's"), "spent")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(PurchaseOfAnotherCustomer) as refused:
            await earn(world, salon, order("cart", 5_000, customer="bea"))
    assert refused.value.path == ("customer", "external_id")


async def test_holds_and_reports_at_once_never_pass_the_total(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    for number in range(8):
        cart = checkout(5_000, 0, f"cart-{number}")
        held = await hold(world, salon, 40, f"first {number}", checkout=cart)
        await asyncio.gather(
            hold(world, salon, 40, f"second {number}", checkout=cart),
            earn(world, salon, order(f"cart-{number}", 250, customer="anna" if number % 2 else "bea")),
            capture(world, salon, held, f"capture {number}"),
            return_exceptions=True,
        )
        # Where Anna's capture came first, the order is not recorded for Bea.
        with suppress(PurchaseOfAnotherCustomer):
            await earn(world, salon, order(f"cart-{number}", 200, customer="anna" if number % 2 else "bea"))
    await ledger_is_sound(salon.tenant_id)


# ── the payment captures ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [PAID, COMPLETED])
async def test_a_payment_captures_the_hold_that_waits_for_it(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, status: PurchaseStatus
) -> None:
    waiting = await hold_for(world, salon, 200, "waits", capture_on=CaptureOn.PAID)
    await hold_for(world, salon, 100, "for a call")
    created = await earn(world, salon, order("cart", 5_000))
    assert (created.settled.redemptions, numbers(created)) == ([], (700 + 35, 300))
    paid = await earn(world, salon, order("cart", 5_000, status=status))
    (redemption,) = paid.settled.redemptions
    assert (redemption.hold_id, redemption.points, redemption.discount_minor) == (waiting.hold.id, 200, 1_000)
    assert [(one.state, one.captured_points) for one in paid.settled.holds] == [(HoldState.CAPTURED, 200)]
    assert numbers(paid) == (735, 100)
    again = await earn(world, salon, order("cart", 5_000, status=status))
    assert again.replayed
    assert [one.id for one in again.settled.redemptions] == [redemption.id]
    await ledger_is_sound(salon.tenant_id)


async def test_a_payment_captures_only_what_fits(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await hold_for(world, salon, 200, "waits", capture_on=CaptureOn.PAID)
    paid = await earn(world, salon, order("cart", 500, status=PAID))
    assert [(one.points, one.discount_minor) for one in paid.settled.redemptions] == [(100, 500)]
    assert numbers(paid) == (900, 0)
    assert paid.accrual is not None
    assert paid.accrual.points == 0
    await ledger_is_sound(salon.tenant_id)


async def test_a_cancelled_purchase_captures_nothing(world: World, salon: Salon) -> None:
    await hold_for(world, salon, 200, "waits", capture_on=CaptureOn.PAID)
    ended = await earn(world, salon, order("cart", 5_000, status=CANCELLED))
    assert (list(ended.settled.redemptions), numbers(ended)) == ([], (1_000, 0))


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_what_points_pay_for_costs_more_statements(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    """Two more: what pays, and its holds; a purchase that nobody pays with points takes four."""
    with statements() as without:
        await earn(world, salon, order("other", 5_000))
    await hold_for(world, salon, 200, "held")
    with statements() as paying:
        await earn(world, salon, order("cart", 5_000))
    assert [len(sent) for sent in (without, paying)] == [3, 5]
