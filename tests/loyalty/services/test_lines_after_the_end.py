"""Reports that come late or after the end of a purchase: its lines, its owner and the proof stay right."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from loyalty.rules.accrual import AccrualState, Revalue
from loyalty.rules.errors import PurchaseOfAnotherCustomer
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.money import Money
from loyalty.rules.purchase import LineKind, PurchaseLine, PurchaseStatus
from loyalty.rules.refund import LineRefund
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.expiry import expire_due
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.world import World
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
    one_point_per_euro,
    order,
    pay_back,
    report,
    set_policy,
    set_redemption,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus
CUT, OIL = PurchaseLine("cut", None, 1, 3_000), PurchaseLine("oil", None, 1, 1_000)
TIP = PurchaseLine("tip", None, 1, 1_000, kind=LineKind.TIP)
KEPT = frozenset({REFUNDED})
"""Only a refund takes points: a purchase that is called off keeps them."""


@pytest.mark.parametrize(
    ("end", "policy", "left", "place", "points"),
    [
        (CANCELLED, {"forfeit_on": KEPT}, (OIL,), 1, 30),
        (NO_SHOW, {"forfeit_on": KEPT}, (OIL,), 1, 30),
        (CANCELLED, {"forfeit_on": KEPT}, (OIL, CUT), 1, 30),
        (CANCELLED, {"forfeit_on": KEPT}, (CUT,), 0, 10),
        (CANCELLED, {"forfeit_on": KEPT}, (CUT, TIP), 0, 10),
        (COMPLETED, {"revalue": Revalue.NEVER}, (OIL,), 1, 30),
    ],
)
async def test_a_refund_takes_what_its_line_earned_whatever_lines_were_told_since(
    world: World,
    salon: Salon,
    ledger_is_sound: LedgerCheck,
    end: PurchaseStatus,
    policy: dict[str, Any],
    left: tuple[PurchaseLine, ...],
    place: int,
    points: int,
) -> None:
    """C-28: 30 points of the cut and 10 of the oil; lines that are not valued again keep their places."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_policy(world, salon, **policy)
    await earn(world, salon, order("order-1", 4_000, CUT, OIL))
    await earn(world, salon, report(end, lines=left))
    refunded = await pay_back(world, salon, "order-1", 0, "back", LineRefund(place, 1))
    assert refunded.accrual is not None
    assert refunded.accrual.outstanding_points == points
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(
    ("late", "lines"),
    [
        ({"lines": (CUT,), "staff": "mara"}, (CUT, OIL)),
        ({"lines": (OIL, CUT), "staff": "mara"}, (CUT, OIL)),
        ({"lines": (), "staff": "mara"}, (CUT, OIL)),
        ({"staff": "mara"}, (CUT, OIL)),
    ],
)
async def test_a_late_report_tells_no_lines_that_a_newer_one_has_told(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, late: dict[str, Any], lines: tuple[PurchaseLine, ...]
) -> None:
    """The fact of the late report says what is known after it, so the proof raises no alarm."""
    await earn(at(world, NOON), salon, order("order-1", 4_000, CUT, OIL, occurred_at=NOON))
    told = await earn(at(world, NOON + HOUR), salon, report(CREATED, occurred_at=NOON - HOUR, **late))
    assert told.purchase.staff == "mara"
    assert [line["item"] for line in told.purchase.lines] == [line.item for line in lines]
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("status", [CREATED, PAID, COMPLETED])
async def test_a_late_report_moves_no_purchase_to_another_customer(
    world: World, salon: Salon, nothing_changes: NothingChanges, status: PurchaseStatus
) -> None:
    """A purchase that was called off is somebody else's only once it comes back to life."""
    await earn(at(world, NOON), salon, order(occurred_at=NOON))
    await earn(at(world, NOON + HOUR), salon, report(CANCELLED, occurred_at=NOON + HOUR))
    await earn(at(world, NOON), salon, order("order-2", customer="bea"))
    late = report(status, customer="bea", staff="mara", occurred_at=NOON)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(PurchaseOfAnotherCustomer):
            await earn(at(world, NOON + 2 * HOUR), salon, late)
    came_back = report(status, customer="bea", staff="mara", occurred_at=NOON + 2 * HOUR)
    assert (await earn(at(world, NOON + 2 * HOUR), salon, came_back)).customer.external_id == "bea"


async def test_points_that_a_refund_leaves_in_addition_expire_as_was_frozen(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """No rule gives more for a larger tip, but the refund was a smaller part: 6 of 10 points stay, and not 5."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await _let_expire(world, salon, ExpiryPolicy(ExpiryKind.FIXED_DURATION, days=30))
    one = PurchaseLine("cut", None, 1, 1_000)
    await earn(at(world, NOON), salon, order("order-1", 2_000, one, TIP))
    await pay_back(at(world, NOON), salon, "order-1", 1_000, "half")
    await _let_expire(world, salon, ExpiryPolicy())
    larger = replace(TIP, unit_price_minor=1_500)
    told = await earn(at(world, NOON + DAY), salon, report(PAID, total=Money(2_500, "EUR"), lines=(one, larger)))
    assert told.accrual is not None
    assert (told.accrual.state, told.customer.points.available) == (AccrualState.PARTIALLY_REVERSED, 6)
    await expire_due(at(world, NOON + 32 * DAY), salon.tenant_id)
    told = await earn(at(world, NOON + 32 * DAY), salon, order("order-2", 0))
    assert told.customer.points.available == 0
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("end", [CANCELLED, NO_SHOW, REFUNDED])
@pytest.mark.parametrize(("again", "available"), [(None, 0), (1_000, 0), (0, 20)])
async def test_points_stay_spent_on_what_is_over_whatever_it_is_said_to_cost(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, end: PurchaseStatus, again: int | None, available: int
) -> None:
    """With `returnOnCancel` off 20 points stay spent; once it takes place after all, no more than it costs."""
    await set_redemption(world, salon, return_on_cancel=False)
    await known_customer(world, salon)
    await give(world, salon, 20, "welcome")
    await capture(world, salon, await hold(world, salon, 20, "a", checkout=checkout(purchase="order-1")), "b")
    await earn(world, salon, order("order-1", 4_000))
    told = await earn(world, salon, report(end, total=Money(0, "EUR")))
    assert told.customer.points.available == 0
    await ledger_is_sound(salon.tenant_id)
    if again is not None and end is not REFUNDED:
        told = await earn(world, salon, report(COMPLETED, total=Money(again, "EUR")))
        assert told.customer.points.available == available
        await ledger_is_sound(salon.tenant_id)


async def _let_expire(world: World, salon: Salon, policy: ExpiryPolicy) -> None:
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, expiry=policy), None))
