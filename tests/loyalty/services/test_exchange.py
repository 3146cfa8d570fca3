"""Purchases in another currency: converted once, by a rate that the caller gives and the purchase keeps."""

from dataclasses import replace
from typing import Any

import pytest

from loyalty.rules.earning import FixedAward
from loyalty.rules.errors import CurrencyMismatch, InvalidInput, LoyaltyError, RefundExceedsPurchase
from loyalty.rules.exchange import convert_minor, format_rate, parse_rate
from loyalty.rules.money import MAX_AMOUNT_MINOR, Money
from loyalty.rules.purchase import PurchaseLine, PurchaseStatus
from loyalty.rules.refund import LineRefund
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.purchase_recording import PurchaseRecording
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
    one_point_per_euro,
    order,
    pay_back,
    rule,
    set_redemption,
)

CHF = "CHF"


@pytest.fixture
async def shop(world: World, salon: Salon) -> Salon:
    """Set a point for each euro, and 5 points for each purchase."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await create_earning_rule(world, salon.manager, rule(FixedAward(5), priority=9))
    return salon


def abroad(total: int, *lines: PurchaseLine, rate: str | None = "0.95", currency: str = CHF, **details: Any) -> Any:
    """Return an order in another currency."""
    made = order("order-1", total, *lines, **details)
    told = replace(
        made.report,
        total=Money(total, currency),
        line_currency=currency,
        exchange_rate=None if rate is None else parse_rate(rate),
    )
    return made._replace(report=told)


@pytest.mark.parametrize(
    ("amount_minor", "rate", "source", "target", "converted"),
    [
        (10_000, "0.95", "CHF", "EUR", 9_500),
        (1, "0.5", "CHF", "EUR", 1),
        (1, "0.4999999999", "CHF", "EUR", 0),
        (10_000, "0.0061", "JPY", "EUR", 6_100),
        (100, "163.27", "EUR", "JPY", 163),
        (1_000, "3.25", "BHD", "USD", 325),
        (12_345, "1", "CHF", "EUR", 12_345),
    ],
)
def test_an_amount_is_converted_to_the_nearest_minor_unit(
    amount_minor: int, rate: str, source: str, target: str, converted: int
) -> None:
    assert convert_minor(amount_minor, parse_rate(rate), source, target) == converted


@pytest.mark.parametrize("text", ["", "0", "0.00", "-1", "1e3", "1,5", ".5", "NaN", "1234567890", "0.12345678901"])
def test_an_invalid_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_rate(text)
    assert refusal.value.path == ("exchange_rate",)


@pytest.mark.parametrize(("text", "shown"), [("0.95", "0.95"), ("1.0", "1"), ("163.2700", "163.27"), ("2", "2")])
def test_a_rate_is_shown_as_short_as_it_can_be(text: str, shown: str) -> None:
    assert format_rate(parse_rate(text)) == shown


async def test_a_purchase_abroad_earns_by_the_rate_that_it_tells(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """100.00 CHF at 0.95 are 95.00 EUR; conditions, limits and refunds see these."""
    lines = (PurchaseLine("cut", None, 1, 8_000), PurchaseLine("oil", None, 2, 1_000))
    recorded = await earn(world, shop, abroad(10_000, *lines))
    assert recorded.purchase.total == Money(9_500, "EUR")
    assert recorded.purchase.exchange == {"currency": CHF, "rate": "0.95", "total_minor": 10_000}
    assert [line["unit_price_minor"] for line in recorded.purchase.lines] == [7_600, 950]
    assert recorded.accrual is not None
    assert [line["explanation"] for line in recorded.accrual.breakdown] == [
        "95 points: 1 per 1.00 EUR of 95.00 EUR (from CHF at 0.95), rounded down.",
        "5 points for the purchase.",
    ]
    async with nothing_changes(shop.tenant_id):
        assert (await earn(world, shop, abroad(10_000, *lines))).replayed
    refunded = await pay_back(world, shop, "order-1", 0, "an oil", LineRefund(1, 1), currency=None)
    assert refunded.refund.amount_minor == 950
    refunded = await pay_back(world, shop, "order-1", 1_000, "10 francs", currency=CHF)
    assert refunded.refund.amount_minor == 950
    refunded = await pay_back(world, shop, "order-1", 7_600, "the rest")
    assert (refunded.purchase.status, refunded.customer.points.available) == (PurchaseStatus.REFUNDED, 0)
    await ledger_is_sound(shop.tenant_id)


async def test_the_first_rate_of_a_purchase_stays(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """Later reports may leave it out or say it again; a status without amounts keeps what is known."""
    await earn(world, shop, abroad(10_000))
    for number, rate in enumerate((None, "0.95")):
        status = (PurchaseStatus.CONFIRMED, PurchaseStatus.PAID)[number]
        later = await earn(world, shop, abroad(10_000, rate=rate, status=status))
        assert (later.purchase.total, later.purchase.status) == (Money(9_500, "EUR"), status)
    thin = order("order-1", 0, status=PurchaseStatus.COMPLETED)
    done = await earn(world, shop, _thin(thin))
    assert done.purchase.exchange == {"currency": CHF, "rate": "0.95", "total_minor": 10_000}
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(InvalidInput, match=r"must stay 0\.95") as refusal:
            await earn(world, shop, abroad(20_000, rate="0.96", status=PurchaseStatus.COMPLETED))
        assert refusal.value.path == ("exchange_rate",)
    await ledger_is_sound(shop.tenant_id)


async def test_the_first_rate_outlives_a_total_in_the_programs_currency(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """Told abroad, then at home, then abroad again: nobody has to remember the rate, and no other is taken."""
    await earn(world, shop, abroad(10_000))
    at_home = await earn(world, shop, order("order-1", 12_000, status=PurchaseStatus.CONFIRMED))
    assert at_home.purchase.exchange == {"currency": CHF, "rate": "0.95", "total_minor": None}
    assert at_home.accrual is not None
    assert CHF not in at_home.accrual.breakdown[0]["explanation"]
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(InvalidInput, match=r"must stay 0\.95"):
            await earn(world, shop, abroad(20_000, rate="0.96", status=PurchaseStatus.PAID))
    again = await earn(world, shop, abroad(20_000, rate=None, status=PurchaseStatus.PAID))
    assert (again.purchase.total, again.accrual and again.accrual.outstanding_points) == (Money(19_000, "EUR"), 195)
    await ledger_is_sound(shop.tenant_id)


async def test_a_rate_of_one_goes_with_the_currency_of_the_program(world: World, shop: Salon) -> None:
    """Shops send it with every order; in the program's currency it converts nothing."""
    first = await earn(world, shop, abroad(10_000, rate="1.000", currency="EUR"))
    assert (first.purchase.total, first.purchase.exchange) == (Money(10_000, "EUR"), None)
    assert (await earn(world, shop, abroad(10_000, rate=None, currency="EUR"))).replayed


def _thin(made: PurchaseRecording) -> PurchaseRecording:
    """Return a report of a status and nothing else."""
    report = type(made.report)(made.report.kind, made.report.external_id)
    return made._replace(report=report)


@pytest.mark.parametrize(
    ("recording", "refusal", "path"),
    [
        (abroad(100, rate=None), CurrencyMismatch, ("total", "currency")),
        (abroad(100, currency="EUR"), InvalidInput, ("exchange_rate",)),
        (abroad(MAX_AMOUNT_MINOR, rate="2"), InvalidInput, ("total", "amount")),
        (
            abroad(1, PurchaseLine("a", None, 2, MAX_AMOUNT_MINOR // 3), rate="2"),
            InvalidInput,
            ("lines", "0", "unit_price", "amount"),
        ),
    ],
)
async def test_a_purchase_that_cannot_be_converted_leaves_nothing(
    world: World,
    shop: Salon,
    nothing_changes: NothingChanges,
    recording: PurchaseRecording,
    refusal: type[LoyaltyError],
    path: tuple[str, ...],
) -> None:
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(refusal) as refused:
            await earn(world, shop, recording)
        assert refused.value.path == path


async def test_refunds_are_taken_in_both_currencies_and_no_other(
    world: World, shop: Salon, nothing_changes: NothingChanges
) -> None:
    await earn(world, shop, abroad(10_000))
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(CurrencyMismatch):
            await pay_back(world, shop, "order-1", 100, "dollars", currency="USD")
        with pytest.raises(RefundExceedsPurchase, match=r"95\.00 EUR can still be refunded"):
            await pay_back(world, shop, "order-1", 10_001, "too much", currency=CHF)
    whole = await pay_back(world, shop, "order-1", 10_000, "all", currency=CHF)
    assert whole.purchase.status is PurchaseStatus.REFUNDED
    assert whole.split.money == Money(9_500, "EUR")


async def test_points_that_paid_are_worth_the_program_s_currency(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Holds speak of the program's currency, whatever the purchase is told in: 10.00 of 95.00 EUR earn nothing."""
    await set_redemption(world, shop)
    await known_customer(world, shop)
    await give(world, shop, 1_000, "riches")
    at_checkout = checkout(9_500, purchase="order-1")
    await capture(world, shop, await hold(world, shop, 1_000, "basket", checkout=at_checkout), "paid")
    recorded = await earn(world, shop, abroad(10_000))
    assert recorded.accrual is not None
    assert [line["points"] for line in recorded.accrual.breakdown] == [85, 4]
    await ledger_is_sound(shop.tenant_id)
