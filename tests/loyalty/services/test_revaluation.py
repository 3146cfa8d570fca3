"""A purchase that changes after its evaluation is valued again: every way to the same facts ends in the same points."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualState, EvaluateOn, MatureOn, Revalue
from loyalty.rules.catalog import CatalogEarning
from loyalty.rules.earning import CatalogItem, CatalogKind, Conditions, FixedAward, PerAmountAward, PerUnitAward, Ratio
from loyalty.rules.errors import InsufficientPoints
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseLine, PurchaseStatus
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.earning_rule import create_earning_rule, delete_earning_rule, update_earning_rule
from loyalty.services.maturing import mature_due
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.catalog import CatalogPlace
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
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
    one_point_per_euro,
    order,
    pay_back,
    report,
    rule,
    service_item,
    set_policy,
    set_redemption,
)

DAY = timedelta(days=1)
CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus


def euros(amount: int) -> Money:
    """Return so many whole euros."""
    return Money(100 * amount, "EUR")


# ── more and less ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("first", "then"), [(500, 20), (20, 500), (0, 20), (20, 0)])
async def test_a_booking_earns_for_its_last_total(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, first: int, then: int
) -> None:
    """500 to 20 leaves 20, 20 to 500 gives 500; for the balance, the tier and all that was ever earned."""
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, report(CREATED, total=euros(first)))
    changed = await earn(world, salon, report(COMPLETED, total=euros(then)))
    assert changed.customer.points[:6] == (then, 0, 0, 0, then, then)
    assert changed.accrual is not None
    assert (changed.accrual.points, changed.accrual.state) == (then, AccrualState.AVAILABLE)
    assert sum(line["points"] for line in changed.accrual.breakdown) == then
    assert (changed.customer.tier is not None) == (then >= 100)
    await ledger_is_sound(salon.tenant_id)


async def test_pending_points_are_promised_anew(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await set_policy(world, salon, mature_on=MatureOn.PURCHASE_COMPLETED, delay_minutes=60)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for total in (500, 20, 0, 300, 40):
        pending = await earn(at(world, NOON), salon, report(CREATED, total=euros(total)))
        assert pending.customer.points[:2] == (0, total)
        await ledger_is_sound(salon.tenant_id)
    await earn(at(world, NOON), salon, report(COMPLETED))
    assert (await mature_due(at(world, NOON + timedelta(hours=1)), salon.tenant_id)).done == 1
    after = await earn(at(world, NOON + timedelta(hours=1)), salon, report(COMPLETED, total=euros(30)))
    assert after.customer.points[:2] == (30, 0)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(
    ("debt", "left"), [(Overdraft.ALLOW_NEGATIVE, (0, 0, 0, 430)), (Overdraft.CLAMP, (0, 0, 0, 0))]
)
async def test_spent_points_become_debt_or_are_forgotten_and_are_not_given_twice(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, debt: Overdraft, left: tuple[int, ...]
) -> None:
    """What CLAMP has forgotten is no gift when the booking grows again."""
    await set_policy(world, salon, debt=debt)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, report(CREATED, total=euros(500)))
    await give(world, salon, -450, "spent")
    less = await earn(world, salon, report(CREATED, total=euros(20)))
    assert less.customer.points[:4] == left
    more = await earn(world, salon, report(CREATED, total=euros(500), key="grown"))
    assert more.customer.points[:4] == (50, 0, 0, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_rejecting_debt_refuses_the_change(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    await set_policy(world, salon, debt=Overdraft.REJECT)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, report(CREATED, total=euros(500)))
    await give(world, salon, -450, "spent")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InsufficientPoints):
            await earn(world, salon, report(CREATED, total=euros(20)))


async def test_never_keeps_what_was_evaluated(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await set_policy(world, salon, revalue=Revalue.NEVER)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, report(CREATED, total=euros(500)))
    await set_policy(world, salon)
    kept = await earn(world, salon, report(CREATED, total=euros(20)))
    assert kept.customer.points.available == 500
    await ledger_is_sound(salon.tenant_id)


async def test_a_cancelled_purchase_is_not_evaluated_again(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, report(CREATED, total=euros(500)))
    cancelled = await earn(world, salon, report(CANCELLED, total=euros(900)))
    assert cancelled.customer.points.available == 0
    revived = await earn(world, salon, report(CONFIRMED))
    assert (revived.customer.points.available, revived.purchase.generation) == (900, 2)
    await ledger_is_sound(salon.tenant_id)


# ── the rules of the evaluation ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_rules_of_the_evaluation_count_also_after_they_are_gone(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, statements: StatementLog
) -> None:
    """F-04: rules, points of items, zones, settings and tiers as they were."""
    made = await create_earning_rule(world, salon.manager, one_point_per_euro())
    units = await create_earning_rule(world, salon.manager, rule(PerUnitAward(5), name="Units", priority=1))
    gold = await create_tier(world, salon.manager, "Gold", "#FFD700", 0, Ratio(2, 1))
    hair = CatalogItem(CatalogKind.CATEGORY, "hair", "Hair")
    items = [service_item("cut", enrolled=True, points_per_unit=7), service_item("oil", enrolled=True, category="hair")]
    items.append(hair)
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))
    cut, oil = PurchaseLine("cut", None, 1, 3_000), PurchaseLine("oil", None, 1, 1_000)
    direct = await earn(world, salon, order("direct", 4_000, cut, oil))
    await earn(world, salon, order("later", 3_000, cut))
    assert gold.tier.name == "Gold"
    await update_earning_rule(world, salon.manager, made.id, lambda it: replace(it, award=PerAmountAward(9, 100)), None)
    await delete_earning_rule(world, salon.manager, units.id)
    await create_earning_rule(world, salon.manager, rule(FixedAward(1_000), name="New"))
    changed = [
        replace(hair, earning=CatalogEarning.NOTHING),
        service_item("cut", enrolled=False),
        service_item("oil", enrolled=True, points_per_unit=99),
    ]
    await upsert_catalog_items(world, salon.manager, CatalogEdit(changed, []))
    await upsert_catalog_items(world, salon.manager, CatalogEdit([], [CatalogPlace("SERVICE", "oil")]))
    await set_policy(world, salon, evaluate_on=EvaluateOn.PURCHASE_COMPLETED)
    await earn(world, salon, order("nothing", 0))
    with statements() as sent:
        later = await earn(world, salon, report(CREATED, "later", total=euros(40), lines=(cut, oil)))
    assert later.accrual is not None
    assert direct.accrual is not None
    assert later.accrual.points == direct.accrual.points
    told = [[line["explanation"] for line in one.breakdown] for one in (later.accrual, direct.accrual)]
    assert told[0] == told[1]
    assert len(sent) <= 7
    await ledger_is_sound(salon.tenant_id)


async def test_the_moment_of_the_evaluation_counts(world: World, salon: Salon) -> None:
    """A campaign that ended since still counts, and the category of the customer as it was."""
    await create_earning_rule(world, salon.manager, rule(50, starts_at=NOON - DAY, ends_at=NOON + DAY))
    new = Conditions(customer_categories=frozenset({"new"}))
    await create_earning_rule(world, salon.manager, rule(PerAmountAward(1, 100), conditions=new, priority=1))
    first = order(total=1_000)
    await earn(at(world, NOON), salon, first._replace(customer=replace(first.customer, category="new")))
    other = order("other", 0)
    await earn(at(world, NOON), salon, other._replace(customer=replace(other.customer, category="vip")))
    later = await earn(at(world, NOON + 9 * DAY), salon, report(CREATED, total=euros(30)))
    assert later.customer.points.available == 50 + 30 + 50


async def test_former_valuations_are_kept_and_explained(world: World, salon: Salon) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for total in (10, 20, 30):
        await earn(world, salon, report(CREATED, total=euros(total)))
    kept = await snapshot(world.database, salon.tenant_id)
    assert len(kept["former_valuations"]) == 2
    former = [sum(f"{points} points: 1 per" in one for one in kept["former_valuations"]) for points in (10, 20)]
    assert former == [1, 1]


async def test_facts_that_no_rule_looks_at_change_no_valuation(world: World, salon: Salon) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, report(CREATED, total=euros(10)))
    same = await earn(world, salon, report(CREATED, staff="mara", location="mitte", ends_at=NOON))
    assert same.accrual is not None
    assert (same.accrual.valuation, same.purchase.version) == (1, 2)


# ── together with refunds and points ─────────────────────────────────────────────────────────────────────────────────


async def test_points_paid_after_the_evaluation_are_a_change_of_facts(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-25: booked, then paid at the counter with points; given back, they earn again."""
    await known_customer(world, salon)
    await set_redemption(world, salon)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await give(world, salon, 2_000, "start")
    booked = await earn(world, salon, order(total=2_000))
    assert booked.customer.points.available == 2_020
    held = await hold(world, salon, 1_000, "hold", checkout=checkout(2_000, purchase="order-1"))
    captured = await capture(world, salon, held, "capture")
    assert captured.customer.points.available == 2_000 - 1_000 + 10
    returned = await give_back(world, salon, captured, "back", points=500)
    assert returned.customer.points.available == 2_000 - 500 + 15
    await ledger_is_sound(salon.tenant_id)


async def test_five_purchases_paid_wholly_with_points_give_none(world: World, salon: Salon) -> None:
    """C-25: evaluated first, paid afterwards."""
    await known_customer(world, salon)
    await set_redemption(world, salon)
    await create_earning_rule(world, salon.manager, rule(10))
    await give(world, salon, 100, "start")
    for number in range(5):
        key = f"order-{number}"
        await earn(world, salon, order(key, 10))
        held = await hold(world, salon, 10, f"hold-{number}", checkout=checkout(10, purchase=key))
        captured = await capture(world, salon, held, f"capture-{number}")
        assert captured.customer.points.available == 100 - 10 * (number + 1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mature_on", [MatureOn.EVALUATION, MatureOn.PURCHASE_PAID])
async def test_any_way_to_the_same_facts_ends_in_the_same_points(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, seed: int, mature_on: MatureOn
) -> None:
    """Random reports, captures, returns and refunds in between; then one purchase told at once."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    await known_customer(world, salon)
    await set_redemption(world, salon)
    await set_policy(world, salon, mature_on=mature_on)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    mitte = Conditions(locations=frozenset({"mitte"}))
    await create_earning_rule(world, salon.manager, rule(30, conditions=mitte, priority=1))
    await give(world, salon, 100_000, "start")
    cut, oil = PurchaseLine("cut", None, 2, 3_000), PurchaseLine("oil", None, 1, 4_100)
    told: dict[str, Any] = {"total": Money(10_100, "EUR"), "lines": (cut, oil), "location": "west"}
    await earn(world, salon, report(CREATED, "wandering", **told, key="first"))
    paid = 0
    for number in range(12):
        what = chance.randrange(4)
        if what == 0:
            lines = chance.choice(((cut, oil), (cut,), (oil,), ()))
            total = Money(chance.randrange(4_000, 20_000), "EUR")
            told |= {"lines": lines, "total": total}
            await earn(world, salon, report(CREATED, "wandering", total=total, lines=lines, key=f"sum-{number}"))
        elif what == 1:
            told["location"] = chance.choice(("mitte", "west", None))
            await earn(world, salon, report(CREATED, "wandering", location=told["location"], key=f"place-{number}"))
        elif what == 2 and paid < 3_000:
            points = chance.randrange(1, 700)
            at_checkout = checkout(told["total"].amount_minor, purchase="wandering")
            held = await hold(world, salon, points, f"hold-{number}", checkout=at_checkout)
            captured = await capture(world, salon, held, f"capture-{number}")
            back = chance.randrange(points + 1)
            if back:
                await give_back(world, salon, captured, f"back-{number}", points=back)
            paid += points - back
    if paid:
        at_checkout = checkout(told["total"].amount_minor, purchase="direct")
        held = await hold(world, salon, paid, "hold", checkout=at_checkout)
        await capture(world, salon, held, "capture")
    direct = await earn(world, salon, report(CREATED, "direct", **told))
    for number, part in enumerate((700, 1_300)):
        for name in ("wandering", "direct"):
            await pay_back(world, salon, name, part, f"{name}-{number}")
        await earn(world, salon, report(CREATED, "wandering", location="west", key=f"after-{number}"))
        await earn(world, salon, report(CREATED, "direct", location="west", key=f"after-{number}"))
    ends = [await earn(world, salon, report(PAID, name)) for name in ("wandering", "direct")]
    assert direct.accrual is not None
    wandering, other = (one.accrual for one in ends)
    assert wandering is not None
    assert other is not None
    left = [one.points - one.voided_points - one.reversed_points for one in (wandering, other)]
    assert (wandering.points, left[0]) == (other.points, left[1])
    assert [one.earned_points - one.taken_points for one in (wandering, other)] == left
    await ledger_is_sound(salon.tenant_id)
