"""A refund of a line takes what that line earned, as the frozen breakdown says: real purchases, one table of cases."""

from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import EvaluateOn
from loyalty.rules.basis import BasisPolicy, TaxBasis
from loyalty.rules.catalog import CatalogItem, CatalogKind
from loyalty.rules.earning import (
    Award,
    Conditions,
    EarningRule,
    FixedAward,
    MultiplierAward,
    PerAmountAward,
    PerUnitAward,
    Ratio,
)
from loyalty.rules.errors import InvalidInput, RefundExceedsPurchase
from loyalty.rules.purchase import LineKind, PurchaseLine, PurchaseStatus
from loyalty.rules.refund import BY_LINE_ID, LineRefund
from loyalty.services.catalog import CatalogEdit, upsert_catalog_items
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.program import ProgramEdit, update_program
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
    rule,
    set_policy,
    set_redemption,
)

PER_EURO = PerAmountAward(1, 100)
ONLY_A = Conditions(services=frozenset({"A"}))


def sold(item: str, price: int, quantity: int = 1, **details: Any) -> PurchaseLine:
    return PurchaseLine(item, None, quantity, price, **details)


GEL, OIL, A, B = sold("gel", 10_000), sold("oil", 10_000), sold("A", 3_000), sold("B", 7_000)
CARD = sold("card", 90_000, kind=LineKind.GIFT_CARD)
SHIPPING = sold("parcel", 595, kind=LineKind.SHIPPING)
NET = {"tax": TaxBasis.EXCLUDED}


async def prepare(world: World, salon: Salon, basis: dict[str, Any], *made: EarningRule) -> None:
    """Set a program with rules, a basis, and a sample with 5 points of its own."""
    for one in made:
        await create_earning_rule(world, salon.manager, one)
    changed = replace(BasisPolicy(), **basis)
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, basis=changed), None))
    items = [
        CatalogItem(CatalogKind.PRODUCT, "sample", "Sample", enrolled=True, points_per_unit=5),
        CatalogItem(CatalogKind.PRODUCT, "A", "A", enrolled=True),
    ]
    await upsert_catalog_items(world, salon.manager, CatalogEdit(items, []))


def given(award: Award | EarningRule, conditions: Conditions | None = None) -> EarningRule:
    return award if isinstance(award, EarningRule) else rule(award, conditions=conditions or Conditions())


class Sale(NamedTuple):
    """An order, what it earns, what of it goes back, and how many points are kept then."""

    basis: dict[str, Any]
    rules: list[Award | EarningRule]
    total: int
    lines: list[PurchaseLine]
    earned: int
    back: list[LineRefund]
    kept: int


@pytest.mark.parametrize(
    "sale",
    [
        pytest.param(
            Sale({}, [PER_EURO], 100_000, [GEL, CARD], 100, [LineRefund(0, 1)], 0), id="gel beside a gift card"
        ),
        pytest.param(
            Sale({}, [PER_EURO], 100_000, [GEL, CARD], 100, [LineRefund(1, 1)], 100), id="the gift card itself"
        ),
        pytest.param(
            Sale({"exclude_gift_cards": False}, [PER_EURO], 100_000, [GEL, CARD], 1_000, [LineRefund(0, 1)], 900),
            id="both",
        ),
        pytest.param(
            Sale({"include_shipping": False}, [PER_EURO], 10_595, [OIL, SHIPPING], 100, [LineRefund(1, 1)], 100),
            id="shipping",
        ),
        pytest.param(
            Sale({}, [PER_EURO], 10_595, [OIL, SHIPPING], 105, [LineRefund(1, 1)], 100), id="shipping that earns"
        ),
        pytest.param(
            Sale({}, [given(FixedAward(20), ONLY_A)], 10_000, [A, B], 20, [LineRefund(1, 1)], 20),
            id="20 for A, B goes back",
        ),
        pytest.param(
            Sale({}, [given(FixedAward(20), ONLY_A)], 10_000, [A, B], 20, [LineRefund(0, 1)], 0),
            id="20 for A, A goes back",
        ),
        pytest.param(Sale({}, [FixedAward(20)], 10_000, [A, B], 20, [LineRefund(1, 1)], 6), id="20 for the whole"),
        pytest.param(
            Sale({}, [FixedAward(20)], 100_000, [GEL, CARD], 20, [LineRefund(1, 1)], 20),
            id="20 for all but the gift card",
        ),
        pytest.param(
            Sale(
                {},
                [given(FixedAward(20), Conditions(total_greater_than_minor=9_999))],
                10_000,
                [A, B],
                20,
                [LineRefund(0, 1)],
                14,
            ),
            id="20 from 100.00 on",
        ),
        pytest.param(
            Sale(NET, [PER_EURO], 5_950, [sold("cut", 11_900, tax_minor=1_900)], 50, [LineRefund(0, 0, 2_975)], 25),
            id="net",
        ),
        pytest.param(
            Sale(
                NET,
                [PER_EURO],
                21_900,
                [sold("cut", 11_900, tax_minor=1_900), sold("book", 10_000)],
                200,
                [LineRefund(0, 1)],
                100,
            ),
            id="net, of lines with other taxes",
        ),
        pytest.param(
            Sale(
                {"after_discount": False},
                [PER_EURO],
                9_000,
                [sold("cut", 5_000, discount_minor=1_000), sold("colour", 5_000)],
                100,
                [LineRefund(0, 1)],
                50,
            ),
            id="before discounts",
        ),
        pytest.param(
            Sale(
                {"after_discount": False, **NET},
                [PER_EURO],
                5_950,
                [sold("cut", 11_900, discount_minor=5_950, tax_minor=950)],
                100,
                [LineRefund(0, 0, 2_975)],
                50,
            ),
            id="the net price before discounts",
        ),
        pytest.param(
            Sale({}, [PER_EURO], 10_000, [sold("cut", 10_000), sold("sample", 0, 3)], 115, [LineRefund(1, 3)], 100),
            id="own",
        ),
        pytest.param(
            Sale(
                {}, [PerUnitAward(2)], 10_000, [sold("A", 5_000, 2), sold("sample", 0, 3)], 19, [LineRefund(1, 1)], 14
            ),
            id="a free line with points per unit",
        ),
        pytest.param(
            Sale({}, [PER_EURO, given(MultiplierAward(Ratio(2, 1)))], 10_000, [A, B], 200, [LineRefund(0, 1)], 140),
            id="a multiplier",
        ),
        pytest.param(
            Sale({}, [PER_EURO], 12_700, [sold("cut", 1_400), sold("sample", 12_700)], 17, [LineRefund(0, 1)], 5),
            id="cheap",
        ),
        pytest.param(
            Sale({}, [PER_EURO], 12_000, [A, B], 120, [LineRefund(0, 1)], 90), id="20.00 that no line tells stay"
        ),
    ],
)
async def test_a_line_takes_what_it_earned(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, sale: Sale
) -> None:
    """F-01, F-03, C-24, C-25."""
    await prepare(world, salon, sale.basis, *map(given, sale.rules))
    recorded = await earn(world, salon, order("order-1", sale.total, *sale.lines))
    assert recorded.accrual is not None
    assert recorded.accrual.points == sale.earned
    refunded = await pay_back(world, salon, "order-1", 0, "a part", *sale.back)
    assert (refunded.refund.points, refunded.customer.points.available) == (sale.kept - sale.earned, sale.kept)
    rest = sale.total - refunded.purchase.refunded_minor
    refunded = await pay_back(world, salon, "order-1", rest, "the rest")
    assert refunded.customer.points.available == 0
    await ledger_is_sound(salon.tenant_id)


HOURS = sold("A", 4_000, line_id="hours")
TIP = sold("tip", 1_000, kind=LineKind.TIP)


@pytest.mark.parametrize(
    ("total", "earned", "back_by_tip", "kept"),
    [
        pytest.param(6_000, 50, 1_000, 50, id="a tip earns nothing and takes nothing"),
        pytest.param(3_500, 25, 1_000, 25, id="a discount of the whole order leaves the tip as it is"),
        pytest.param(500, 0, 500, 0, id="less was paid than the tip"),
    ],
)
async def test_a_tip_stands_outside(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, total: int, earned: int, back_by_tip: int, kept: int
) -> None:
    """C-24: 50.00 for the cut, 10.00 on top."""
    await prepare(world, salon, {}, given(PER_EURO))
    recorded = await earn(world, salon, order("order-1", total, sold("cut", 5_000), TIP))
    assert recorded.customer.points.available == earned
    refunded = await pay_back(world, salon, "order-1", 0, "the tip", LineRefund(1, 1))
    assert (refunded.refund.amount_minor, refunded.customer.points.available) == (back_by_tip, kept)
    await ledger_is_sound(salon.tenant_id)


async def test_an_hour_and_a_half_earns_and_goes_back_exactly(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """2.5 hours at 40.00 and 3 points each: 7 of 7.5 points; half an hour goes back, then the rest."""
    await prepare(world, salon, {}, given(PerUnitAward(3)), given(PER_EURO))
    sale = order("order-1", 10_000, replace(HOURS, quantity=Fraction(5, 2)))
    recorded = await earn(world, salon, sale)
    assert recorded.accrual is not None
    assert [(line["points"], line["units"]) for line in recorded.accrual.breakdown] == [(7, "2.5"), (100, None)]
    assert recorded.purchase.lines[0]["quantity"] == "2.5"
    async with nothing_changes(salon.tenant_id):
        assert (await earn(world, salon, sale)).replayed
    half = await pay_back(world, salon, "order-1", 0, "half an hour", LineRefund(0, Fraction(1, 2)))
    assert (half.refund.amount_minor, half.customer.points.available) == (2_000, 6 + 80)
    last = await pay_back(world, salon, "order-1", 0, "two hours", LineRefund(0, 2))
    assert (last.refund.amount_minor, last.customer.points.available) == (8_000, 0)
    assert last.purchase.status is PurchaseStatus.REFUNDED
    await ledger_is_sound(salon.tenant_id)


async def test_a_purchase_of_nothing_but_free_lines_can_be_refunded(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """F-03: its units are all there is of it."""
    await prepare(world, salon, {}, given(PerUnitAward(1)))
    await earn(world, salon, order("order-1", 0, sold("sample", 0, 4)))
    first = await pay_back(world, salon, "order-1", 0, "one", LineRefund(0, 1))
    assert (first.refund.amount_minor, first.refund.points, first.split.money.amount_minor) == (0, -5, 0)
    assert first.purchase.status is PurchaseStatus.CREATED
    last = await pay_back(world, salon, "order-1", 0, "three", LineRefund(0, 3))
    assert (last.purchase.status, last.customer.points.available) == (PurchaseStatus.REFUNDED, 0)
    async with nothing_changes(salon.tenant_id):
        again = await pay_back(world, salon, "order-1", 0, "three", LineRefund(0, 3))
        assert (again.replayed, again.split) == (True, last.split)
    await ledger_is_sound(salon.tenant_id)


async def test_free_lines_that_went_back_before_the_evaluation_never_earn(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await prepare(world, salon, {}, given(PerUnitAward(1)))
    await set_policy(world, salon, evaluate_on=EvaluateOn.PURCHASE_COMPLETED)
    sale = (sold("cut", 1_000), sold("sample", 0, 2))
    await earn(world, salon, order("order-1", 1_000, *sale))
    await pay_back(world, salon, "order-1", 0, "one sample", LineRefund(1, 1))
    done = await earn(world, salon, order("order-1", 1_000, *sale, status=PurchaseStatus.COMPLETED))
    assert done.customer.points.available == 5
    await ledger_is_sound(salon.tenant_id)


# ── which line ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_finds_its_line_by_the_id_that_the_caller_gave_it(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    await prepare(world, salon, {}, given(PER_EURO))
    lines = (sold("cut", 3_000, line_id="L-7"), sold("cut", 1_000, line_id="L-9"))
    await earn(world, salon, order("order-1", 4_000, *lines))
    refunded = await pay_back(world, salon, "order-1", 0, "one", LineRefund(BY_LINE_ID, 1, line_id="L-9"))
    assert [(line["position"], line["line_id"]) for line in refunded.refund.lines] == [(1, "L-9")]
    assert refunded.customer.points.available == 30
    async with nothing_changes(salon.tenant_id):
        again = await pay_back(world, salon, "order-1", 0, "one", LineRefund(BY_LINE_ID, 1, line_id="L-9"))
        assert again.replayed
        with pytest.raises(InvalidInput) as refusal:
            await pay_back(
                world, salon, "order-1", 0, "two", LineRefund(0, 1), LineRefund(BY_LINE_ID, 1, line_id="L-8")
            )
        assert refusal.value.path == ("lines", "1", "line_id")
        with pytest.raises(RefundExceedsPurchase) as too_much:
            await pay_back(world, salon, "order-1", 0, "two", LineRefund(BY_LINE_ID, 1, line_id="L-9"))
        assert too_much.value.path == ("lines", "0")
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("ids", [(None, None), ("L-1", "L-2")])
async def test_a_report_with_reordered_lines_after_a_refund_is_no_change(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, ids: tuple[str | None, str | None]
) -> None:
    """The lines keep the order of the first report, so positions go on meaning what they meant."""
    await prepare(world, salon, {}, given(PER_EURO))
    cut, oil = sold("cut", 3_000, line_id=ids[0]), sold("oil", 1_000, 2, line_id=ids[1])
    await earn(world, salon, order("order-1", 5_000, cut, oil))
    await pay_back(world, salon, "order-1", 0, "an oil", LineRefund(1, 1))
    later = await earn(world, salon, order("order-1", 5_000, oil, cut, status=PurchaseStatus.COMPLETED))
    assert [line["item"] for line in later.purchase.lines] == ["cut", "oil"]
    assert later.customer.points.available == 40
    last = await pay_back(world, salon, "order-1", 0, "the other oil", LineRefund(1, 1))
    assert (last.refund.amount_minor, last.customer.points.available) == (1_000, 30)
    await ledger_is_sound(salon.tenant_id)


async def test_a_line_id_stands_once_in_a_purchase(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    lines = (sold("cut", 100, line_id="L-1"), sold("oil", 100, line_id="L-1"))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refusal:
            await earn(world, salon, order("order-1", 200, *lines))
    assert refusal.value.path == ("lines", "1", "line_id")


# ── nothing is left ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("amount", "lines", "path", "requested"),
    [(1, (), ("amount",), "0.01 EUR"), (0, (LineRefund(0, 1),), ("lines",), "20.00 EUR")],
)
@pytest.mark.parametrize("by_status", [True, False])
async def test_nothing_can_be_refunded_of_a_refunded_purchase(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    amount: int,
    lines: tuple[LineRefund, ...],
    path: tuple[str, ...],
    requested: str,
    *,
    by_status: bool,
) -> None:
    """Whether a refund or a report said so: the refusal says what is left, and names what was sent."""
    await prepare(world, salon, {}, given(PER_EURO))
    await earn(world, salon, order("order-1", 2_000, sold("cut", 2_000)))
    if by_status:
        gone = order("order-1", 2_000, sold("cut", 2_000), status=PurchaseStatus.REFUNDED)
        await earn(world, salon, gone)
    else:
        await pay_back(world, salon, "order-1", 2_000, "all")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(RefundExceedsPurchase) as refusal:
            await pay_back(world, salon, "order-1", amount, "more", *lines)
    assert (refusal.value.refundable, refusal.value.requested) == ("0.00 EUR", requested)
    assert refusal.value.path == path


@pytest.mark.parametrize("debt", list(Overdraft))
async def test_points_that_paid_come_back_before_earned_points_are_taken(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck, debt: Overdraft
) -> None:
    """A purchase whose points were spent on itself is neutral when it goes back, whatever the debt policy says."""
    await prepare(world, salon, {"exclude_points_paid": False}, given(PER_EURO))
    await set_redemption(world, salon)
    await set_policy(world, salon, debt=debt)
    await known_customer(world, salon)
    await give(world, salon, 30, "riches")
    await earn(world, salon, order("order-1", 2_000))
    await capture(
        world, salon, await hold(world, salon, 30, "basket", checkout=checkout(2_000, purchase="order-1")), "paid"
    )
    await give(world, salon, -20, "spent elsewhere")
    refunded = await pay_back(world, salon, "order-1", 2_000, "all")
    account = refunded.customer.points
    assert (account.available, account.debt, account.lifetime_earned) == (10, 0, 0)
    await ledger_is_sound(salon.tenant_id)
