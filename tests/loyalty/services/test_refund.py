import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loyalty.rules.account import Overdraft
from loyalty.rules.accrual import AccrualState, EvaluateOn, MatureOn
from loyalty.rules.basis import BasisPolicy, TaxBasis
from loyalty.rules.earning import EarningRule, FixedAward, PerAmountAward
from loyalty.rules.errors import (
    CurrencyMismatch,
    IdempotencyConflict,
    InsufficientPoints,
    InvalidInput,
    LoyaltyError,
    NotFound,
    RefundExceedsPurchase,
)
from loyalty.rules.ids import PurchaseId
from loyalty.rules.money import Money
from loyalty.rules.purchase import LineKind, PurchaseKind, PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_errors import StatusRunsBackwards
from loyalty.rules.refund import LineRefund, RefundPolicy
from loyalty.services.customer import CustomerKey, find_customer
from loyalty.services.earning_rule import create_earning_rule, update_earning_rule
from loyalty.services.maturing import mature_due
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase_change import PurchaseName
from loyalty.services.purchase_evaluation import evaluate_due
from loyalty.services.refund import mature_purchase
from loyalty.services.world import World
from loyalty.storage.customers import PointsRow
from loyalty.storage.points_paid import PurchaseKey
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOBODY,
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
    rule,
    set_policy,
    set_redemption,
)

HOUR = timedelta(hours=1)
CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus


def name(external_id: str = "order-1") -> PurchaseName:
    return PurchaseName(key=PurchaseKey(PurchaseKind.ORDER, external_id))


async def points(world: World, salon: Salon) -> PointsRow:
    found = await find_customer(world, salon.manager, CustomerKey(external_id="anna"))
    assert found is not None
    return found.points


async def numbers(world: World, salon: Salon) -> tuple[int, int, int, int]:
    """Return available, pending, debt and lifetime points of Anna."""
    account = await points(world, salon)
    return (account.available, account.pending, account.debt, account.lifetime_earned)


@pytest.fixture
async def shop(world: World, salon: Salon) -> Salon:
    """Set a point for each euro."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    return salon


async def set_basis(world: World, salon: Salon, **basis: Any) -> None:
    changed = replace(BasisPolicy(), **basis)
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, basis=changed), None))


# ── refunds in parts ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refund_takes_its_part_and_all_of_them_take_all(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-01, F-02, F-03: and lifetime points and status follow."""
    await earn(world, shop, order("order-1", 2_000))
    refunds = [await pay_back(world, shop, "order-1", 500, f"refund-{number}") for number in range(1, 5)]
    for number, (refunded, left) in enumerate(zip(refunds, (15, 10, 5, 0), strict=True), start=1):
        assert refunded.customer.points.available == left
        assert refunded.customer.points.lifetime_earned == left
        assert (refunded.refund.number, refunded.refund.points) == (number, -5)
    last = refunds[-1]
    assert (last.purchase.status, last.purchase.refunded_minor) == (REFUNDED, 2_000)
    assert last.accrual is not None
    assert last.accrual.state is AccrualState.REVERSED
    await ledger_is_sound(shop.tenant_id)


async def test_a_refund_takes_pending_points_before_they_come(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-20: the rest matures."""
    await set_policy(world, shop, delay_minutes=60)
    await earn(at(world, NOON), shop, order("order-1", 2_000))
    refunded = await pay_back(at(world, NOON), shop, "order-1", 500, "a part")
    assert refunded.accrual is not None
    assert (refunded.accrual.state, refunded.accrual.voided_points) == (AccrualState.PENDING, 5)
    assert await numbers(world, shop) == (0, 15, 0, 0)
    await mature_due(at(world, NOON + HOUR), shop.tenant_id)
    assert await numbers(world, shop) == (15, 0, 0, 15)
    await pay_back(at(world, NOON + HOUR), shop, "order-1", 1_500, "the rest")
    assert await numbers(world, shop) == (0, 0, 0, 0)
    await ledger_is_sound(shop.tenant_id)


async def test_a_refund_of_all_pending_points_voids_them(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await set_policy(world, shop, delay_minutes=60)
    await earn(at(world, NOON), shop, order("order-1", 2_000))
    refunded = await pay_back(at(world, NOON), shop, "order-1", 2_000, "all")
    assert refunded.accrual is not None
    assert refunded.accrual.state is AccrualState.VOIDED
    assert await numbers(world, shop) == (0, 0, 0, 0)
    await ledger_is_sound(shop.tenant_id)


async def test_an_amount_refunded_before_the_evaluation_never_earns(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await set_policy(world, shop, evaluate_on=EvaluateOn.PURCHASE_COMPLETED)
    await earn(world, shop, order("order-1", 2_000))
    await pay_back(world, shop, "order-1", 500, "a part")
    completed = await earn(world, shop, order("order-1", 2_000, status=COMPLETED))
    assert completed.accrual is not None
    assert (completed.accrual.points, completed.accrual.voided_points) == (20, 5)
    assert await numbers(world, shop) == (15, 0, 0, 15)
    await ledger_is_sound(shop.tenant_id)


async def test_lines_are_refunded_with_their_points(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    """F-03."""
    lines = (PurchaseLine("cut", None, 3, 1_000), PurchaseLine("oil", None, 1, 2_000))
    await earn(world, shop, order("order-1", 5_000, *lines))
    first = await pay_back(world, shop, "order-1", 0, "a cut", LineRefund(0, 1))
    assert (first.refund.amount_minor, first.customer.points.available) == (1_000, 40)
    second = await pay_back(world, shop, "order-1", 0, "oil and a cut", LineRefund(1, 1), LineRefund(0, 1))
    assert (second.refund.amount_minor, second.customer.points.available) == (3_000, 10)
    await ledger_is_sound(shop.tenant_id)


async def test_a_line_that_cost_nothing_goes_back_with_others(world: World, shop: Salon) -> None:
    lines = (PurchaseLine("cut", None, 1, 2_000), PurchaseLine("sample", None, 1, 0))
    await earn(world, shop, order("order-1", 2_000, *lines))
    refunded = await pay_back(world, shop, "order-1", 0, "all of it", LineRefund(0, 1), LineRefund(1, 1))
    assert [line["money_minor"] for line in refunded.refund.lines] == [2_000, 0]
    assert (refunded.purchase.status, refunded.customer.points.available) == (REFUNDED, 0)


async def test_later_edits_change_nothing_about_a_refund(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-04: of rules, of settings, of the policy."""
    await earn(world, shop, order("order-1", 2_000))
    (known,) = (await _rules(world, shop),)
    await update_earning_rule(world, shop.manager, known.id, lambda it: replace(it, award=PerAmountAward(9, 100)), None)
    await set_policy(world, shop, refund=RefundPolicy.NONE, debt=Overdraft.REJECT)
    await set_basis(world, shop, tax=TaxBasis.EXCLUDED)
    await pay_back(world, shop, "order-1", 1_000, "half")
    assert await numbers(world, shop) == (10, 0, 0, 10)
    await ledger_is_sound(shop.tenant_id)


async def _rules(world: World, salon: Salon) -> EarningRule:
    created = await create_earning_rule(world, salon.manager, rule(FixedAward(1), name="Paused", active=False))
    return replace(rule(1), id=created.id)


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ({}, (0, 0)),
        ({"refund": RefundPolicy.FULL_ONLY}, (20, 0)),
        ({"refund": RefundPolicy.NONE}, (20, 20)),
        ({"forfeit_on": frozenset()}, (20, 20)),
    ],
)
async def test_a_setting_decides_which_points_a_refund_takes(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, policy: dict[str, Any], left: tuple[int, int]
) -> None:
    """C-20, F-28: after 19.01 of 20.00, and after all of it."""
    await set_policy(world, shop, **policy)
    await earn(world, shop, order("order-1", 2_000))
    for amount, expected in zip((1_901, 99), left, strict=True):
        refunded = await pay_back(world, shop, "order-1", amount, f"{amount}")
        assert refunded.customer.points.available == expected
    await ledger_is_sound(shop.tenant_id)


@pytest.mark.parametrize(
    ("debt", "after"),
    [(Overdraft.ALLOW_NEGATIVE, (0, 0, 10, 0)), (Overdraft.CLAMP, (0, 0, 0, 10)), (Overdraft.REJECT, None)],
)
async def test_points_that_were_spent_before_the_refund(
    world: World,
    shop: Salon,
    ledger_is_sound: LedgerCheck,
    nothing_changes: NothingChanges,
    debt: Overdraft,
    after: tuple[int, int, int, int] | None,
) -> None:
    """C-19, F-40: debt, forgotten, or refused."""
    await set_policy(world, shop, debt=debt)
    await earn(world, shop, order("order-1", 2_000))
    await give(world, shop, -10, "spent")
    if after is None:
        async with nothing_changes(shop.tenant_id):
            with pytest.raises(InsufficientPoints):
                await pay_back(world, shop, "order-1", 2_000, "all")
        return
    await pay_back(world, shop, "order-1", 2_000, "all")
    assert await numbers(world, shop) == after
    await ledger_is_sound(shop.tenant_id)


@pytest.mark.parametrize(
    ("asked", "details", "refusal"),
    [
        ({"amount_minor": 2_001}, {}, RefundExceedsPurchase),
        ({"amount_minor": 0}, {}, InvalidInput),
        ({"amount_minor": -1}, {}, InvalidInput),
        ({"amount_minor": 1}, {"currency": "USD"}, CurrencyMismatch),
        ({"amount_minor": 1}, {"purchase": PurchaseName(PurchaseId(NOBODY))}, NotFound),
        ({"amount_minor": 1}, {"reason": "x" * 501}, InvalidInput),
        ({"amount_minor": 1}, {"idempotency_key": ""}, InvalidInput),
        ({"amount_minor": 1}, {"occurred_at": NOON.replace(tzinfo=None)}, InvalidInput),
        ({"amount_minor": 1}, {"occurred_at": datetime(2999, 1, 1, tzinfo=UTC)}, InvalidInput),
    ],
)
async def test_a_refused_refund_leaves_nothing_behind(
    world: World,
    shop: Salon,
    nothing_changes: NothingChanges,
    asked: dict[str, int],
    details: dict[str, Any],
    refusal: type[LoyaltyError],
) -> None:
    await earn(world, shop, order("order-1", 2_000))
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(refusal):
            await pay_back(world, shop, "order-1", asked["amount_minor"], "refund", **details)


async def test_a_replayed_refund_takes_nothing_again(
    world: World, shop: Salon, nothing_changes: NothingChanges
) -> None:
    """F-05, F-08, F-33: a hundred times."""
    await earn(world, shop, order("order-1", 2_000))
    first = await pay_back(world, shop, "order-1", 500, "refund")
    async with nothing_changes(shop.tenant_id):
        for _ in range(100):
            again = await pay_back(world, shop, "order-1", 500, "refund")
            assert (again.replayed, again.refund, again.split) == (True, first.refund, first.split)
        with pytest.raises(IdempotencyConflict):
            await pay_back(world, shop, "order-1", 501, "refund")


async def test_a_cancellation_after_a_part_takes_exactly_the_rest(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-05."""
    await earn(world, shop, order("order-1", 2_000))
    await pay_back(world, shop, "order-1", 500, "a part")
    await earn(world, shop, order("order-1", 2_000, status=CANCELLED))
    assert await numbers(world, shop) == (0, 0, 0, 0)
    after = await pay_back(world, shop, "order-1", 1_500, "the money back")
    assert (after.purchase.status, after.refund.points) == (CANCELLED, 0)
    await ledger_is_sound(shop.tenant_id)


async def test_a_purchase_that_comes_back_earns_for_what_was_not_refunded(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-09: once, as its next generation."""
    await earn(world, shop, order("order-1", 2_000))
    await pay_back(world, shop, "order-1", 500, "a part")
    await earn(world, shop, order("order-1", 2_000, status=CANCELLED))
    revived = await earn(world, shop, order("order-1", 2_000, status=COMPLETED))
    assert revived.purchase.generation == 2
    assert await numbers(world, shop) == (15, 0, 0, 15)
    await ledger_is_sound(shop.tenant_id)


async def test_the_status_refunded_takes_the_rest_once(world: World, shop: Salon, ledger_is_sound: LedgerCheck) -> None:
    await earn(world, shop, order("order-1", 2_000))
    await pay_back(world, shop, "order-1", 500, "a part")
    await earn(world, shop, order("order-1", 2_000, status=REFUNDED))
    assert await numbers(world, shop) == (0, 0, 0, 0)
    with pytest.raises(RefundExceedsPurchase, match=r"^0\.00 EUR can still be refunded, not 0\.01 EUR\.$"):
        await pay_back(world, shop, "order-1", 1, "more")
    await ledger_is_sound(shop.tenant_id)


async def test_money_and_points_go_back_in_the_ratio_they_came(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-07: never in cash what was paid with points; over all refunds exactly what was paid."""
    await set_redemption(world, shop, return_on_cancel=False)
    await known_customer(world, shop)
    await give(world, shop, 1_000, "riches")
    await capture(
        world, shop, await hold(world, shop, 700, "basket", checkout=checkout(2_000, purchase="order-1")), "paid"
    )
    await earn(world, shop, order("order-1", 2_000))
    splits = [(await pay_back(world, shop, "order-1", amount, f"{amount}")).split for amount in (333, 667, 1_000)]
    assert [(split.money.amount_minor, split.points) for split in splits] == [(217, 116), (433, 234), (650, 350)]
    assert sum(split.points_value.amount_minor for split in splits) == 700
    await ledger_is_sound(shop.tenant_id)


@pytest.mark.parametrize("status", [CANCELLED, NO_SHOW, REFUNDED])
async def test_a_purchase_that_is_called_off_gives_points_back(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, status: PurchaseStatus
) -> None:
    """F-41: what is still held for it, and what was spent on it unless a setting keeps that."""
    await known_customer(world, shop)
    await give(world, shop, 1_000, "riches")
    for keeps in (False, True):
        await set_redemption(world, shop, return_on_cancel=not keeps)
        external_id = f"order-{keeps}"
        at_checkout = checkout(5_000, purchase=external_id)
        await capture(world, shop, await hold(world, shop, 300, f"a {keeps}", checkout=at_checkout), f"paid {keeps}")
        await hold(world, shop, 200, f"b {keeps}", checkout=at_checkout)
        await earn(world, shop, order(external_id, 5_000))
        await earn(world, shop, order(external_id, 5_000, status=status))
        account = await points(world, shop)
        assert (account.available, account.held) == ((700, 0) if keeps else (1_000, 0))
    await ledger_is_sound(shop.tenant_id)


async def test_a_refund_of_everything_gives_points_back_too(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-41."""
    await set_redemption(world, shop)
    await known_customer(world, shop)
    await give(world, shop, 1_000, "riches")
    await capture(world, shop, await hold(world, shop, 300, "a", checkout=checkout(5_000, purchase="order-1")), "paid")
    await earn(world, shop, order("order-1", 5_000))
    await pay_back(world, shop, "order-1", 5_000, "all")
    assert (await points(world, shop)).available == 1_000
    await ledger_is_sound(shop.tenant_id)


# ── every order ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_order_of_the_events_of_a_purchase_ends_in_the_same_balance(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-05, F-08, C-20: created, completed, refunded in parts, cancelled, each delivered twice, in every order.

    A refund that comes before its purchase is refused and delivered again, as a queue does.
    """

    def events(external_id: str) -> dict[str, Callable[[], Any]]:
        return {
            "created": lambda: earn(world, shop, order(external_id, 3_000, occurred_at=NOON)),
            "completed": lambda: earn(
                world, shop, order(external_id, 3_000, status=COMPLETED, occurred_at=NOON + HOUR)
            ),
            "half": lambda: pay_back(world, shop, external_id, 1_500, f"half of {external_id}"),
            "tenth": lambda: pay_back(world, shop, external_id, 300, f"tenth of {external_id}"),
            "cancelled": lambda: earn(
                world, shop, order(external_id, 3_000, status=CANCELLED, occurred_at=NOON + 2 * HOUR)
            ),
        }

    async def deliver(external_id: str, names: tuple[str, ...]) -> None:
        waiting = list(names) * 2
        for _ in range(10):
            refused = []
            for one in waiting:
                try:
                    await events(external_id)[one]()
                except (NotFound, StatusRunsBackwards) as error:
                    if isinstance(error, NotFound):
                        refused.append(one)
            waiting = refused
        assert not waiting

    for kinds, left in (
        (("created", "completed", "half", "tenth"), 12),
        (("created", "half", "tenth", "cancelled"), 0),
    ):
        for number, names in enumerate(itertools.permutations(kinds)):
            await deliver(f"{left}-{number}", names)
            assert (await points(world, shop)).available == left, names
            account = await points(world, shop)
            if account.available:
                await give(world, shop, -account.available, f"clean {left}-{number}")
    await ledger_is_sound(shop.tenant_id)


@pytest.mark.parametrize("seed", range(10))
async def test_any_split_of_a_refund_ends_in_the_same_points(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, seed: int
) -> None:
    """F-02, invariant 6: over the real service; the rules have the property for every purchase."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    total = chance.randint(1, 3_000)
    cuts = sorted({total, *(chance.randint(1, total) for _ in range(5))})
    await earn(world, shop, order("order-1", total))
    for first, last in itertools.pairwise([0, *cuts]):
        refunded = await pay_back(world, shop, "order-1", last - first, f"up to {last}")
        assert refunded.customer.points.available == (total - last) // 100
    await ledger_is_sound(shop.tenant_id)


# ── the basis ────────────────────────────────────────────────────────────────────────────────────────────────────

GOODS = (
    PurchaseLine("cut", None, 2, 1_500, discount_minor=500, tax_minor=400),
    PurchaseLine(None, None, 1, 500, kind=LineKind.SHIPPING),
    PurchaseLine("card", None, 1, 5_000, kind=LineKind.GIFT_CARD),
)


@pytest.mark.parametrize(
    ("basis", "earned"),
    [
        ({}, 30),
        ({"tax": TaxBasis.EXCLUDED}, 26),
        ({"after_discount": False}, 35),
        ({"include_shipping": False}, 25),
        ({"exclude_gift_cards": False}, 80),
    ],
)
async def test_which_money_earns_is_a_setting(world: World, shop: Salon, basis: dict[str, Any], earned: int) -> None:
    """C-24, C-25, F-14, F-28: 25.00 for goods, 5.00 for shipping, and a gift card for 50.00."""
    await set_basis(world, shop, **basis)
    recorded = await earn(world, shop, order("order-1", 8_000, *GOODS))
    assert recorded.accrual is not None
    assert recorded.accrual.points == earned


@pytest.mark.parametrize(("excluded", "earned"), [(True, 13), (False, 20)])
async def test_the_part_paid_with_points_earns_nothing_unless_it_should(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, *, excluded: bool, earned: int
) -> None:
    """C-24, F-14, F-15, F-16: whether it is captured already or only held."""
    await set_redemption(world, shop)
    await set_basis(world, shop, exclude_points_paid=excluded)
    await known_customer(world, shop)
    await give(world, shop, 2_000, "riches")
    for external_id, captured in (("order-1", True), ("order-2", False)):
        held = await hold(world, shop, 700, external_id, checkout=checkout(2_000, purchase=external_id))
        if captured:
            await capture(world, shop, held, "paid")
        recorded = await earn(world, shop, order(external_id, 2_000))
        assert recorded.accrual is not None
        assert recorded.accrual.points == earned
    await ledger_is_sound(shop.tenant_id)


async def test_buying_with_points_and_refunding_gains_nothing(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-14: round and round."""
    await set_redemption(world, shop)
    await known_customer(world, shop)
    await give(world, shop, 1_000, "riches")
    for number in range(5):
        external_id = f"order-{number}"
        held = await hold(world, shop, 1_000, external_id, checkout=checkout(1_000, purchase=external_id))
        await capture(world, shop, held, f"paid {number}")
        await earn(world, shop, order(external_id, 1_000))
        await pay_back(world, shop, external_id, 1_000, f"refund {number}")
        assert (await points(world, shop)).available == 1_000
    await ledger_is_sound(shop.tenant_id)


# ── moments ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_service_is_evaluated_when_it_has_ended(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-01, C-29: once, by the sweep, and not what was called off before."""
    await set_policy(world, shop, evaluate_on=EvaluateOn.SERVICE_ENDED)
    times: dict[str, Any] = {"starts_at": NOON, "ends_at": NOON + HOUR}
    booked = await earn(at(world, NOON), shop, order("order-1", 2_000, **times))
    assert (booked.accrual, booked.purchase.evaluates_at) == (None, NOON + HOUR)
    await earn(at(world, NOON), shop, order("order-2", 2_000, **times))
    await earn(at(world, NOON), shop, order("order-2", 2_000, status=CANCELLED, **times))
    early, due = at(world, NOON + HOUR - timedelta(seconds=1)), at(world, NOON + HOUR)
    assert [(await evaluate_due(one, shop.tenant_id)).done for one in (early, due, due)] == [0, 1, 0]
    assert await numbers(world, shop) == (20, 0, 0, 20)
    late = await earn(at(world, NOON + 2 * HOUR), shop, order("order-3", 1_000, **times))
    assert late.accrual is not None
    assert late.accrual.points == 10
    await ledger_is_sound(shop.tenant_id)


async def test_a_service_that_is_completed_early_is_evaluated_once(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-01: completed is completed; when its planned end comes, there is nothing left to evaluate."""
    await set_policy(world, shop, evaluate_on=EvaluateOn.SERVICE_ENDED)
    early = order("order-1", 10_000, ends_at=NOON + HOUR, status=COMPLETED)
    done = await earn(at(world, NOON), shop, early)
    assert done.customer.points.available == 100
    assert done.purchase.evaluates_at is None
    assert (await evaluate_due(at(world, NOON + 2 * HOUR), shop.tenant_id)).done == 0
    await ledger_is_sound(shop.tenant_id)


async def test_points_wait_until_somebody_lets_them_come(
    world: World, shop: Salon, ledger_is_sound: LedgerCheck, nothing_changes: NothingChanges
) -> None:
    """C-01: `matureOn: MANUAL`."""
    await set_policy(world, shop, mature_on=MatureOn.MANUAL)
    await earn(at(world, NOON), shop, order("order-1", 2_000))
    assert (await mature_due(at(world, NOON.replace(year=2999)), shop.tenant_id)).done == 0
    matured = await mature_purchase(world, shop.manager, name(), "now")
    assert (matured.accrual.state, matured.customer.points.available) == (AccrualState.AVAILABLE, 20)
    async with nothing_changes(shop.tenant_id):
        for key in ("now", "once more"):
            again = await mature_purchase(world, shop.manager, name(), key)
            assert (again.replayed, again.accrual.id) == (True, matured.accrual.id)
        with pytest.raises(NotFound):
            await mature_purchase(world, shop.manager, name("nothing"), "nothing")
    await ledger_is_sound(shop.tenant_id)


async def test_a_purchase_of_a_new_generation_cannot_mature_before_its_evaluation(
    world: World, shop: Salon, nothing_changes: NothingChanges
) -> None:
    """F-09: what its former life earned was taken back, and is no answer."""
    await set_policy(world, shop, evaluate_on=EvaluateOn.SERVICE_ENDED)
    await earn(at(world, NOON), shop, order("order-1", 2_000, ends_at=NOON))
    await earn(at(world, NOON), shop, order("order-1", 2_000, ends_at=NOON, status=CANCELLED))
    back = await earn(at(world, NOON), shop, order("order-1", 2_000, ends_at=NOON + HOUR, status=CONFIRMED))
    assert (back.purchase.generation, back.accrual) == (2, None)
    async with nothing_changes(shop.tenant_id):
        with pytest.raises(NotFound):
            await mature_purchase(world, shop.manager, name(), "now")
    assert (await evaluate_due(at(world, NOON + HOUR), shop.tenant_id)).done == 1
    assert await numbers(world, shop) == (20, 0, 0, 20)


async def test_how_many_statements_a_refund_takes(world: World, shop: Salon, statements: StatementLog) -> None:
    await set_policy(world, shop, delay_minutes=60)
    await earn(world, shop, order("order-1", 2_000))
    with statements() as pending:
        await pay_back(world, shop, "order-1", 500, "a part")
    await set_policy(world, shop)
    await earn(world, shop, order("order-2", 2_000))
    with statements() as credited:
        await pay_back(world, shop, "order-2", 500, "another")
    assert (len(pending), len(credited)) == (7, 8)


async def test_a_refund_of_a_refunded_purchase_reads_no_earlier_refunds(
    world: World, shop: Salon, statements: StatementLog
) -> None:
    await earn(world, shop, order("order-1", 2_000))
    await pay_back(world, shop, "order-1", 2_000, "everything")
    with statements() as refused, pytest.raises(RefundExceedsPurchase):
        await pay_back(world, shop, "order-1", 1, "more")
    assert not [statement for statement in refused if "FROM purchase_refunds" in statement]


async def test_a_total_in_another_currency_cannot_be_refunded(world: World, shop: Salon) -> None:
    recorded = await earn(world, shop, order("order-1", 2_000))
    assert recorded.purchase.total == Money(2_000, "EUR")
    with pytest.raises(CurrencyMismatch):
        await pay_back(world, shop, "order-1", 1, "refund", currency="CHF")
