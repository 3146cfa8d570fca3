"""A purchase that changes after a part of it was refunded: the refunds stay, and the points follow what is left."""

from dataclasses import replace
from typing import Any

import pytest

from loyalty.rules.accrual import EvaluateOn, Revalue
from loyalty.rules.catalog import CatalogItem, CatalogKind
from loyalty.rules.earning import Conditions, EarningRule, FixedAward, PerAmountAward, PerUnitAward
from loyalty.rules.errors import InvalidInput, RefundExceedsPurchase
from loyalty.rules.purchase import PURCHASE_MAX_LINES, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_errors import ReportBelowRefunds
from loyalty.rules.refund import LineRefund
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    capture,
    checkout,
    earn,
    give,
    hold,
    known_customer,
    order,
    pay_back,
    report,
    rule,
    set_policy,
    set_redemption,
)

PER_EURO = rule(PerAmountAward(1, 100))


def sold(item: str, price: int, quantity: int = 1, **details: Any) -> PurchaseLine:
    return PurchaseLine(item, None, quantity, price, **details)


async def prepare(world: World, salon: Salon, *rules: EarningRule, **policy: Any) -> None:
    for one in rules or (PER_EURO,):
        await create_earning_rule(world, salon.manager, one)
    if policy:
        await set_policy(world, salon, **policy)


def points(recorded: RecordedPurchase) -> tuple[int, int]:
    """Return what the accrual still gives, and what the customer has."""
    assert recorded.accrual is not None
    return recorded.accrual.outstanding_points, recorded.customer.points.available


@pytest.mark.parametrize(
    ("total", "kept"),
    [
        pytest.param(15_000, 120, id="more was bought"),
        pytest.param(8_000, 50, id="less was bought"),
        pytest.param(3_000, 0, id="exactly what was refunded"),
    ],
)
async def test_points_follow_a_new_total(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, total: int, kept: int
) -> None:
    """100.00, of which 30.00 went back."""
    await prepare(world, salon)
    await earn(world, salon, order("order-1", 10_000))
    await pay_back(world, salon, "order-1", 3_000, "a part")
    changed = await earn(world, salon, order("order-1", total, status=PurchaseStatus.COMPLETED))
    assert points(changed) == (kept, kept)
    assert (changed.purchase.refunded_minor, changed.purchase.status) == (3_000, PurchaseStatus.COMPLETED)
    await ledger_is_sound(salon.tenant_id)
    if total > 3_000:
        last = await pay_back(world, salon, "order-1", total - 3_000, "the rest")
        assert (last.purchase.status, last.customer.points.available) == (PurchaseStatus.REFUNDED, 0)
        await ledger_is_sound(salon.tenant_id)


async def test_a_total_below_what_was_refunded_is_refused(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    await prepare(world, salon)
    await earn(world, salon, order("order-1", 10_000))
    await pay_back(world, salon, "order-1", 3_000, "a part")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(ReportBelowRefunds) as refusal:
            await earn(world, salon, order("order-1", 2_999))
    assert refusal.value.path == ("total",)
    assert str(refusal.value.refunded_amount) == "30.00 EUR"
    assert "purchaseRefund" in str(refusal.value)
    await ledger_is_sound(salon.tenant_id)


CUT, OIL = sold("cut", 3_000), sold("oil", 1_000, 3)


@pytest.mark.parametrize(
    ("total", "lines", "path"),
    [
        pytest.param(3_000, (CUT,), ("lines",), id="the line is gone"),
        pytest.param(4_000, (sold("oil", 1_000), CUT), ("lines", "0", "quantity"), id="fewer units than went back"),
        pytest.param(6_000, (), ("lines",), id="all lines are taken away"),
        pytest.param(1_999, (sold("oil", 1_000, 3),), ("total",), id="the total first"),
    ],
)
async def test_a_line_that_was_refunded_stays(
    world: World,
    salon: Salon,
    ledger_is_sound: LedgerCheck,
    nothing_changes: NothingChanges,
    total: int,
    lines: tuple[PurchaseLine, ...],
    path: tuple[str, ...],
) -> None:
    await prepare(world, salon)
    await earn(world, salon, order("order-1", 6_000, CUT, OIL))
    await pay_back(world, salon, "order-1", 0, "two oils", LineRefund(1, 2))
    told = order("order-1", total)
    told = told._replace(report=replace(told.report, lines=lines))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(ReportBelowRefunds) as refusal:
            await earn(world, salon, told)
    assert refusal.value.path == path
    await ledger_is_sound(salon.tenant_id)


async def test_a_line_that_was_not_refunded_may_go_and_come_back(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """The refund names its line by the position, so that position goes on meaning the same line."""
    cut = rule(FixedAward(20), conditions=Conditions(services=frozenset({"cut"})))
    await prepare(world, salon, PER_EURO, cut)
    await earn(world, salon, order("order-1", 6_000, CUT, OIL))
    await pay_back(world, salon, "order-1", 0, "an oil", LineRefund(1, 1))
    without = await earn(world, salon, order("order-1", 3_000, OIL))
    assert points(without) == (20, 20)
    assert [(line["item"], line["quantity"]) for line in without.purchase.lines] == [("cut", 0), ("oil", 3)]
    async with nothing_changes(salon.tenant_id):
        assert (await earn(world, salon, order("order-1", 3_000, OIL))).replayed
        with pytest.raises(RefundExceedsPurchase) as refusal:
            await pay_back(world, salon, "order-1", 0, "a cut", LineRefund(0, 1))
    assert refusal.value.path == ("lines", "0")
    second = await pay_back(world, salon, "order-1", 0, "another oil", LineRefund(1, 1))
    assert (second.refund.amount_minor, second.customer.points.available) == (1_000, 10)
    back = await earn(world, salon, report(total=order("x", 6_000).report.total, lines=(OIL, CUT), key="again"))
    assert points(back) == (10 + 30 + 20, 60)
    assert [line["item"] for line in back.purchase.lines] == ["cut", "oil"]
    await ledger_is_sound(salon.tenant_id)


async def test_a_price_that_falls_after_a_refund(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """10.00 of 30.00 went back, then three oils cost 15.00: 5.00 are left to earn from and to pay back."""
    await prepare(world, salon)
    await earn(world, salon, order("order-1", 3_000, OIL))
    await pay_back(world, salon, "order-1", 0, "one", LineRefund(0, 1))
    cheaper = await earn(world, salon, order("order-1", 1_500, sold("oil", 500, 3)))
    assert points(cheaper) == (5, 5)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(RefundExceedsPurchase):
            await pay_back(world, salon, "order-1", 0, "two", LineRefund(0, 2))
    last = await pay_back(world, salon, "order-1", 500, "the rest")
    assert (last.purchase.status, last.customer.points.available) == (PurchaseStatus.REFUNDED, 0)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("mature_days", [0, 14])
async def test_points_that_a_refund_took_in_full_come_back_with_a_larger_total(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, mature_days: int
) -> None:
    """10.00 of 10.00 earned and went back to the cent below it; then the order grows, credited or still pending."""
    await prepare(world, salon, delay_minutes=mature_days * 24 * 60)
    await earn(world, salon, order("order-1", 1_000))
    await pay_back(world, salon, "order-1", 950, "nearly all")
    assert points(await earn(world, salon, report(PurchaseStatus.PAID)))[0] == 0
    grown = await earn(world, salon, order("order-1", 5_000, status=PurchaseStatus.PAID))
    assert grown.accrual is not None
    assert grown.accrual.outstanding_points == 40
    account = grown.customer.points
    assert (account.available, account.pending) == ((40, 0) if not mature_days else (0, 40))
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("refund_first", [True, False])
async def test_a_line_that_earns_nothing_changes_what_a_refund_leaves(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, *, refund_first: bool
) -> None:
    """20 for the cut hang on 30.00 of 100.00, then of 200.00; 50.00 went back that belong to no line."""
    await prepare(world, salon, rule(FixedAward(20), conditions=Conditions(services=frozenset({"cut"}))))
    await earn(world, salon, order("order-1", 10_000, CUT, sold("bag", 7_000)))
    more = order("order-1", 20_000, CUT, sold("bag", 17_000))
    if refund_first:
        await pay_back(world, salon, "order-1", 5_000, "a part")
        last = points(await earn(world, salon, more))
    else:
        await earn(world, salon, more)
        refunded = await pay_back(world, salon, "order-1", 5_000, "a part")
        assert refunded.accrual is not None
        last = refunded.accrual.outstanding_points, refunded.customer.points.available
    assert last == (15, 15)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("refund_first", [True, False])
async def test_any_way_to_the_same_facts_ends_in_the_same_points(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, *, refund_first: bool
) -> None:
    """Invariant 6: a refund before or after the change, where the price of a unit stays."""
    await prepare(world, salon, PER_EURO, rule(PerUnitAward(2)))
    items = [CatalogItem(CatalogKind.PRODUCT, "oil", "Oil", enrolled=True)]
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))
    await earn(world, salon, order("order-1", 6_000, CUT, OIL))
    more = order("order-1", 9_500, CUT, sold("oil", 1_000, 5), sold("gel", 1_500))
    if refund_first:
        await pay_back(world, salon, "order-1", 0, "two oils", LineRefund(1, 2))
        await earn(world, salon, more)
    else:
        await earn(world, salon, more)
        await pay_back(world, salon, "order-1", 0, "two oils", LineRefund(1, 2))
    last = await pay_back(world, salon, "order-1", 700, "for the trouble")
    assert last.accrual is not None
    # 68.00 of 75.00 are left of what the lines leave: a point for each euro, and 2 for each of three oils.
    assert last.accrual.outstanding_points == 68 + 3 * 2 * 6_800 // 7_500
    await ledger_is_sound(salon.tenant_id)


async def test_a_change_before_the_evaluation_counts_with_its_refunds(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await prepare(world, salon, evaluate_on=EvaluateOn.PURCHASE_COMPLETED)
    await earn(world, salon, order("order-1", 6_000, CUT, OIL))
    await pay_back(world, salon, "order-1", 0, "an oil", LineRefund(1, 1))
    await earn(world, salon, order("order-1", 3_000, OIL))
    done = await earn(world, salon, report(PurchaseStatus.COMPLETED))
    assert points(done) == (20, 20)
    await ledger_is_sound(salon.tenant_id)


async def test_lines_keep_their_positions_where_nothing_is_valued_anew(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Under NEVER the formulas of the first evaluation go on naming lines by their positions."""
    await prepare(world, salon, revalue=Revalue.NEVER)
    items = [
        CatalogItem(CatalogKind.PRODUCT, name, name, enrolled=True, points_per_unit=own)
        for name, own in (("ten", 10), ("two", 2))
    ]
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))
    recorded = await earn(world, salon, order("order-1", 2_000, sold("ten", 1_000), sold("two", 1_000)))
    assert points(recorded) == (12, 12)
    changed = await earn(world, salon, order("order-1", 1_000, sold("two", 1_000)))
    assert points(changed) == (12, 12)
    refunded = await pay_back(world, salon, "order-1", 0, "two", LineRefund(1, 1))
    assert refunded.purchase.status is PurchaseStatus.REFUNDED
    await ledger_is_sound(salon.tenant_id)


async def test_units_that_cost_nothing_because_of_a_discount_stay_refunded(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """The whole order is free, so their refund pays nothing back; points paid later value it again all the same."""
    await prepare(world, salon, rule(PerUnitAward(10)))
    items = [CatalogItem(CatalogKind.PRODUCT, "oil", "Oil", enrolled=True)]
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))
    first = await earn(world, salon, order("order-1", 0, OIL))
    assert points(first) == (30, 30)
    await pay_back(world, salon, "order-1", 0, "one", LineRefund(0, 1))
    priced = await earn(world, salon, order("order-1", 3_000, OIL))
    assert points(priced) == (20, 20)
    await set_redemption(world, salon)
    await give(world, salon, 1_500, "riches")
    half = await hold(world, salon, 1_500, "basket", checkout=checkout(3_000, purchase="order-1"))
    await capture(world, salon, half, "paid")
    again = await earn(world, salon, report(PurchaseStatus.COMPLETED))
    assert again.accrual is not None
    assert again.accrual.outstanding_points == 10
    await ledger_is_sound(salon.tenant_id)


async def test_points_that_paid_go_back_when_the_total_falls_after_a_refund(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await prepare(world, salon)
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await give(world, salon, 5_000, "riches")
    await earn(world, salon, order("order-1", 10_000))
    await capture(world, salon, await hold(world, salon, 5_000, "b", checkout=checkout(purchase="order-1")), "paid")
    await pay_back(world, salon, "order-1", 2_000, "a part")
    smaller = await earn(world, salon, order("order-1", 4_000))
    assert [one.points for one in smaller.settled.returns] == [1_000]
    assert smaller.accrual is not None
    assert smaller.accrual.outstanding_points == 0
    await ledger_is_sound(salon.tenant_id)


async def test_lines_that_left_count_towards_the_limit(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    await prepare(world, salon)
    first = [sold(f"item {number}", 1) for number in range(PURCHASE_MAX_LINES)]
    await earn(world, salon, order("order-1", 10_000, *first))
    await pay_back(world, salon, "order-1", 100, "a part")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refusal:
            await earn(world, salon, order("order-1", 10_000, sold("another", 1)))
    assert refusal.value.path == ("lines",)
    await ledger_is_sound(salon.tenant_id)
