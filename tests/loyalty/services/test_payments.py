"""What a purchase was paid with: gift cards that are known, payments that are told, and what both leave to earn."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from loyalty.rules.accrual import EvaluateOn
from loyalty.rules.basis import BasisPolicy
from loyalty.rules.errors import InvalidInput
from loyalty.rules.exchange import parse_rate
from loyalty.rules.money import Money
from loyalty.rules.payments import Payment, PaymentKind
from loyalty.rules.purchase import LineKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_errors import PaymentOfAnotherPurchase, PaymentsExceedTotal
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.gift_card_expiry import free_abandoned_card_holds
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_evaluation import evaluate_due
from loyalty.services.purchase_recording import RecordedPurchase
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
    pay_back,
    report,
    set_policy,
    set_redemption,
)
from tests.loyalty.services.gift_cards import (
    capture_card,
    euros,
    hold_card,
    issue,
    release_card,
    return_card,
    sell_card,
    spend_card,
)

MONEY, POINTS, GIFT_CARD = PaymentKind
PAID, COMPLETED = PurchaseStatus.PAID, PurchaseStatus.COMPLETED


@pytest.fixture
async def shop(world: World, salon: Salon) -> Salon:
    """Set a point for each euro, and let a point be worth a cent. Anna is known and has no points."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_redemption(world, salon)
    await known_customer(world, salon)
    return salon


def paid(kind: PaymentKind, cents: int, reference: str | None = None, names: Any = None) -> Payment:
    """Return a payment as a report tells it."""
    return Payment(kind, cents, reference, names)


async def set_basis(world: World, salon: Salon, **basis: Any) -> None:
    """Set what earns from now on."""
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, basis=BasisPolicy(**basis)), None))


def earned(recorded: RecordedPurchase) -> int:
    """Return the points of a purchase."""
    assert recorded.accrual is not None
    return recorded.accrual.points


async def available(world: World, salon: Salon) -> int:
    """Return what Anna can spend."""
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    return found.points.available


# ── what is known ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("payments", [(), (paid(MONEY, 7_000),), (paid(GIFT_CARD, 3_000), paid(MONEY, 7_000))])
async def test_the_part_that_a_card_paid_earns_nothing(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, payments: tuple[Payment, ...]
) -> None:
    """C-24: the card is known from its hold, so a report may tell of it or not."""
    await spend_card(world, shop, await sell_card(world, shop, 10_000), 3_000)
    recorded = await earn(world, shop, order(total=10_000, payments=payments))
    assert earned(recorded) == 70
    assert recorded.accrual is not None
    assert recorded.accrual.cards_paid_minor == 3_000
    assert "not paid with gift cards" in recorded.accrual.breakdown[0]["explanation"]
    await ledger_is_sound(shop.tenant_id)


async def test_the_basis_lets_cards_and_points_earn(world: World, shop: Salon) -> None:
    """C-24: both parts are switchable, each by itself."""
    await give(world, shop, 2_000, "start")
    await spend_card(world, shop, await sell_card(world, shop, 10_000), 3_000)
    await capture(world, shop, await hold(world, shop, 2_000, "h", checkout=checkout(purchase="order-1")), "c")
    given = []
    for number, (cards, points) in enumerate([(True, True), (True, False), (False, True), (False, False)]):
        await set_basis(world, shop, exclude_gift_cards=cards, exclude_points_paid=points)
        name = f"order-{number + 2}"
        card_id = await sell_card(world, shop, 3_000, name)
        await spend_card(world, shop, card_id, 3_000, name, order=name)
        await give(world, shop, 2_000, name)
        held = await hold(world, shop, 2_000, f"hold {name}", checkout=checkout(purchase=name))
        await capture(world, shop, held, f"capture {name}")
        given.append(earned(await earn(world, shop, order(name))))
    assert given == [50, 70, 80, 100]


async def test_a_card_that_is_bought_with_money_earns_nothing(world: World, shop: Salon) -> None:
    sold = PurchaseLine("voucher", None, 1, 5_000, kind=LineKind.GIFT_CARD)
    assert earned(await earn(world, shop, order("sale", 5_000, sold, payments=(paid(MONEY, 5_000),)))) == 0


async def test_money_that_is_set_aside_counts_and_counts_no_more_when_its_hold_ends(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    card_id = await sell_card(world, shop, 10_000)
    kept = await hold_card(world, shop, card_id, 3_000, "kept")
    freed = await hold_card(world, shop, card_id, 2_000, "freed", minutes=5)
    assert earned(await earn(world, shop, order())) == 50
    await capture_card(world, shop, kept.hold.id, 1_000)
    assert await available(world, shop) == 70
    await release_card(world, shop, freed.hold.id)
    assert await available(world, shop) == 90
    await ledger_is_sound(shop.tenant_id)


async def test_a_hold_that_is_abandoned_pays_nothing(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    card_id = await sell_card(world, shop, 10_000)
    for number in range(3):
        await hold_card(world, shop, card_id, 1_000, f"hold-{number}", minutes=5)
    assert earned(await earn(world, shop, order())) == 70
    later = replace(world, clock=lambda: world.clock() + timedelta(minutes=6))
    assert (await free_abandoned_card_holds(later, shop.tenant_id)).done == 3
    assert await available(world, shop) == 100
    await ledger_is_sound(shop.tenant_id)


async def test_a_card_that_pays_after_the_evaluation_changes_what_was_earned(
    world: World, shop: Salon, statements: StatementLog, ledger_is_sound: LedgerCheck
) -> None:
    """A card of somebody else pays for a purchase that was evaluated already."""
    assert earned(await earn(world, shop, order())) == 100
    await known_customer(world, shop, "ben")
    bens = (await issue(world, shop, 10_000, "ben's", customer="ben")).card.id
    held = await hold_card(world, shop, bens, 4_000)
    assert await available(world, shop) == 60
    with statements() as said:
        await capture_card(world, shop, held.hold.id)
    assert len(said) == 5
    assert await available(world, shop) == 60
    await return_card(world, shop, held.hold.id, 1_000)
    assert await available(world, shop) == 70
    await ledger_is_sound(shop.tenant_id)


async def test_a_purchase_that_is_evaluated_later_knows_its_cards(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await set_policy(world, shop, evaluate_on=EvaluateOn.SERVICE_ENDED)
    ends_at = world.clock() + timedelta(hours=1)
    await earn(world, shop, order(ends_at=ends_at))
    await spend_card(world, shop, await sell_card(world, shop, 10_000), 3_000)
    later = replace(world, clock=lambda: ends_at + timedelta(hours=1))
    assert (await evaluate_due(later, shop.tenant_id)).done == 1
    assert await available(world, shop) == 70
    await ledger_is_sound(shop.tenant_id)


# ── refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("refunded", "returned", "left"),
    [(5_000, 0, 30), (5_000, 2_000, 30), (4_000, 4_000, 60), (0, 4_000, 100), (10_000, 4_000, 0)],
)
@pytest.mark.parametrize("refund_first", [True, False])
async def test_refunds_and_returns_to_the_card_end_the_same_in_any_order(
    world: World,
    shop: Salon,
    ledger_is_sound: LedgerCheck,
    refunded: int,
    returned: int,
    left: int,
    *,
    refund_first: bool,
) -> None:
    """40 of 100 were paid with a card. What was paid with money in the end has earned: 60 for the last 60 of it."""
    spent = await spend_card(world, shop, await sell_card(world, shop, 10_000), 4_000)
    assert earned(await earn(world, shop, order())) == 60

    async def refund() -> None:
        if refunded:
            await pay_back(world, shop, "order-1", refunded, "refund")

    async def give_back() -> None:
        if returned:
            await return_card(world, shop, spent.hold.id, returned)

    for step in (refund, give_back) if refund_first else (give_back, refund):
        await step()
    assert await available(world, shop) == left
    await ledger_is_sound(shop.tenant_id)


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_card_and_points_of_another_system_count_beside_what_is_known(world: World, shop: Salon) -> None:
    await spend_card(world, shop, await sell_card(world, shop, 10_000), 3_000)
    told = (paid(GIFT_CARD, 1_000, "mall-7"), paid(POINTS, 500, "miles"), paid(MONEY, 5_500, "till-1"))
    recorded = await earn(world, shop, order(payments=told))
    assert earned(recorded) == 55
    assert recorded.purchase.payments == [
        {"kind": "GIFT_CARD", "amount_minor": 1_000, "reference": "mall-7"},
        {"kind": "POINTS", "amount_minor": 500, "reference": "miles"},
        {"kind": "MONEY", "amount_minor": 5_500, "reference": "till-1"},
    ]


async def test_a_payment_without_a_reference_counts_as_far_as_it_is_more(world: World, shop: Salon) -> None:
    await spend_card(world, shop, await sell_card(world, shop, 10_000), 3_000)
    assert earned(await earn(world, shop, order(payments=(paid(GIFT_CARD, 3_500),)))) == 65


async def test_a_payment_that_names_its_hold_is_not_counted_twice(world: World, shop: Salon) -> None:
    await give(world, shop, 2_000, "start")
    spent = await spend_card(world, shop, await sell_card(world, shop, 10_000), 3_000)
    captured = await capture(
        world, shop, await hold(world, shop, 2_000, "h", checkout=checkout(purchase="order-1")), "c"
    )
    told = (
        paid(GIFT_CARD, 3_000, "a", spent.hold.id),
        paid(POINTS, 2_000, "b", captured.redemption.id),
        paid(MONEY, 5_000),
    )
    assert earned(await earn(world, shop, order(payments=told))) == 50


async def test_absent_keeps_null_clears_and_a_list_replaces(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """Thin reports: what is told later changes what was earned, like every other fact."""
    told = (paid(GIFT_CARD, 4_000, "mall-7"),)
    assert earned(await earn(world, shop, order(payments=told))) == 60
    same = await earn(world, shop, report(PurchaseStatus.CONFIRMED))
    assert (earned(same), same.purchase.payments) == (
        60,
        [{"kind": "GIFT_CARD", "amount_minor": 4_000, "reference": "mall-7"}],
    )
    more = await earn(world, shop, report(PAID, payments=(*told, paid(POINTS, 1_000, "miles"))))
    assert (earned(more), await available(world, shop)) == (50, 50)
    cleared = await earn(world, shop, report(COMPLETED, payments=()))
    assert (earned(cleared), await available(world, shop), cleared.purchase.payments) == (100, 100, None)
    await ledger_is_sound(shop.tenant_id)


async def test_a_late_report_fills_in_payments_that_nobody_told(world: World, shop: Salon) -> None:
    now = world.clock()
    first = order(status=PAID, occurred_at=now)
    assert earned(await earn(world, shop, first)) == 100
    late = report(PurchaseStatus.CREATED, occurred_at=now - timedelta(hours=1), payments=(paid(GIFT_CARD, 4_000, "x"),))
    assert earned(await earn(world, shop, late)) == 60
    later = report(
        PurchaseStatus.CREATED, occurred_at=now - timedelta(hours=2), payments=(paid(MONEY, 1, "y"),), lines=()
    )
    with pytest.raises(Exception, match="older one tells nothing"):
        await earn(world, shop, later)


async def test_the_same_report_is_a_replay_and_payments_make_another_one(world: World, shop: Salon) -> None:
    told = order(payments=(paid(GIFT_CARD, 4_000, "mall-7"),))
    assert not (await earn(world, shop, told)).replayed
    assert (await earn(world, shop, told)).replayed
    assert told.fingerprint() != order().fingerprint() != report(payments=()).fingerprint()


async def test_payments_in_another_currency_are_converted_with_the_total(world: World, shop: Salon) -> None:
    total, rate = Money(10_001, "CHF"), parse_rate("0.9512")
    payments = (paid(GIFT_CARD, 3_333, "a"), paid(POINTS, 3_334, "b"), paid(MONEY, 3_334))
    told = report(total=total, exchange_rate=rate, payments=payments)
    recorded = await earn(world, shop, told)
    assert recorded.purchase.total_minor == 9_513
    assert sum(one["amount_minor"] for one in recorded.purchase.payments or ()) == 9_513
    assert earned(recorded) == 31


# ── contradictions ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "payments",
    [
        (paid(MONEY, 10_001),),
        (paid(MONEY, 7_001),),
        (paid(GIFT_CARD, 7_001, "another"),),
        (paid(GIFT_CARD, 3_000), paid(POINTS, 4_000), paid(MONEY, 3_001)),
    ],
)
async def test_payments_above_the_total_are_refused(
    world: World, shop: Salon, nothing_changes: NothingChanges, payments: tuple[Payment, ...]
) -> None:
    """A card has paid 30.00 already."""
    await spend_card(world, shop, await sell_card(world, shop, 10_000), 3_000)
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(PaymentsExceedTotal) as refused:
            await earn(world, shop, order(payments=payments))
    assert refused.value.path == ("payments",)
    assert refused.value.total_amount == euros(10_000)


async def test_a_total_below_the_payments_is_refused(
    world: World, shop: Salon, nothing_changes: NothingChanges
) -> None:
    await earn(world, shop, order(payments=(paid(MONEY, 9_000),)))
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(PaymentsExceedTotal) as refused:
            await earn(world, shop, report(PAID, total=euros(8_999)))
    assert refused.value.path == ("total",)
    lower = await earn(world, shop, report(PAID, total=euros(8_000), payments=(paid(MONEY, 8_000),)))
    assert earned(lower) == 80


async def test_a_payment_that_names_what_pays_for_another_purchase_is_refused(
    world: World, shop: Salon, other_salon: Salon, nothing_changes: NothingChanges
) -> None:
    await give(world, shop, 2_000, "start")
    card_id = await sell_card(world, shop, 10_000)
    elsewhere = await spend_card(world, shop, card_id, 1_000, order="order-2")
    nowhere = await spend_card(world, shop, card_id, 1_000, "nowhere", order=None)
    points = await hold(world, shop, 1_000, "h", checkout=checkout(purchase="order-2"))
    foreign = await spend_card(world, other_salon, await sell_card(world, other_salon, 10_000), 1_000)
    own = await spend_card(world, shop, card_id, 1_000, "own")
    wrong = [
        (GIFT_CARD, elsewhere.hold.id),
        (GIFT_CARD, nowhere.hold.id),
        (GIFT_CARD, foreign.hold.id),
        (GIFT_CARD, card_id),
        (POINTS, points.hold.id),
        (POINTS, own.hold.id),
    ]
    for kind, names in wrong:
        async with nothing_changes(shop.tenant_id):
            with pytest.raises(PaymentOfAnotherPurchase) as refused:
                await earn(world, shop, order(payments=(paid(MONEY, 1), paid(kind, 1_000, "x", names))))
        assert refused.value.path == ("payments", "1", "reference")
    with pytest.raises(InvalidInput, match=r"at most 10\.00 EUR"):
        await earn(world, shop, order(payments=(paid(GIFT_CARD, 1_001, "x", own.hold.id),)))
    results = await record_purchases(
        world,
        shop.integration,
        [
            order(payments=(paid(GIFT_CARD, 1_000, "x", elsewhere.hold.id),)),
            order("order-2", payments=(paid(GIFT_CARD, 1_000, "x", elsewhere.hold.id),)),
        ],
    )
    assert [type(one) for one in results] == [PaymentOfAnotherPurchase, RecordedPurchase]


@pytest.mark.parametrize(
    ("payments", "path"),
    [
        ((paid(MONEY, -1),), ("payments", "0", "amount")),
        ((paid(MONEY, 1), paid(MONEY, 1, "")), ("payments", "1", "reference")),
        (tuple(paid(MONEY, 1) for _ in range(51)), ("payments",)),
    ],
)
async def test_bad_payments_are_refused_with_their_field(
    world: World, shop: Salon, payments: tuple[Payment, ...], path: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await earn(world, shop, order(payments=payments))
    assert refused.value.problems[0].path == path


async def test_recording_costs_no_statement_more(world: World, shop: Salon, statements: StatementLog) -> None:
    await spend_card(world, shop, await sell_card(world, shop, 10_000), 3_000)
    with statements() as said:
        await earn(world, shop, order(payments=(paid(GIFT_CARD, 3_000), paid(MONEY, 7_000))))
    assert len(said) == 3


@pytest.mark.parametrize("round_", range(6))
async def test_a_card_that_pays_while_its_purchase_is_recorded_is_seen_by_one_of_both(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, round_: int
) -> None:
    """In either order the purchase earns on what the card does not pay in the end."""
    card_id = await sell_card(world, shop, 10_000)
    kept = await hold_card(world, shop, card_id, 3_000, "kept")
    freed = await hold_card(world, shop, card_id, 2_000, "freed")

    async def after(steps: int, work: Awaitable[Any]) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        await work

    await asyncio.gather(
        after(round_ * 3, earn(world, shop, order())),
        capture_card(world, shop, kept.hold.id, 1_000),
        release_card(world, shop, freed.hold.id),
        hold_card(world, shop, card_id, 500, "late"),
    )
    assert await available(world, shop) == 85
    await ledger_is_sound(shop.tenant_id)
