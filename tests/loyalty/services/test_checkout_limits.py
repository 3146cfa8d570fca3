"""The limits of a redemption belong to the purchase: every hold and redemption of it counts, at any time."""

import asyncio
from typing import Any

import pytest

from loyalty.rules.errors import (
    AboveMaximum,
    InvalidInput,
    LoyaltyError,
    NothingToDiscount,
    PurchaseEnded,
    PurchaseOfAnotherCustomer,
)
from loyalty.rules.money import Money, PointValue
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.redemption import DiscountLimit, DiscountMethod, PointsReason
from loyalty.services.checkout import LoyaltyQuote, quote_checkout
from loyalty.services.customer import CustomerKey
from loyalty.services.hold import HoldRequest
from loyalty.services.redemption import hold_points, release_hold
from loyalty.services.redemption_answer import HeldPoints
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    capture,
    checkout,
    customer_actor,
    earn,
    give,
    give_back,
    hold,
    known_customer,
    merge,
    order,
    pay_back,
    set_redemption,
)

ANNA = CustomerKey(external_id="anna")
ENDINGS = (PurchaseStatus.CANCELLED, PurchaseStatus.NO_SHOW)


@pytest.fixture(autouse=True)
async def rich(world: World, salon: Salon) -> None:
    """Give Anna and Bea 1,000 points each, and let each point be worth a cent."""
    await set_redemption(world, salon)
    for customer in ("anna", "bea"):
        await known_customer(world, salon, customer)
        await give(world, salon, 1_000, f"{customer}'s", customer=customer)


async def hold_for(world: World, salon: Salon, points: int, key: str, **details: Any) -> HeldPoints:
    """Set points aside for the order ``cart``, which costs 16.00 unless told otherwise."""
    return await hold(
        world, salon, points, key, checkout=details.pop("checkout", checkout(1_600, 0, "cart")), **details
    )


async def quoted(world: World, salon: Salon, subtotal: int = 1_600, wanted: int | None = None) -> LoyaltyQuote:
    """Return what Anna is offered for the order ``cart``."""
    quote = await quote_checkout(world, salon.integration, ANNA, checkout(subtotal, 0, "cart"), wanted)
    assert quote.loyalty is not None
    return quote.loyalty


# ── all of a purchase counts ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ["REDEEMED", "HELD"])
@pytest.mark.parametrize(
    ("policy", "first", "maximum"),
    [
        ({"max_discount_percent": 50}, 800, 0),
        ({"max_discount_percent": 50}, 500, 300),
        ({"max_discount_amount_minor": 700}, 600, 100),
        ({"max_points_per_redemption": 650}, 600, 50),
        ({}, 950, 50),
    ],
)
async def test_points_that_pay_already_count_against_every_limit(
    world: World,
    salon: Salon,
    ledger_is_sound: LedgerCheck,
    nothing_changes: NothingChanges,
    policy: dict[str, Any],
    first: int,
    maximum: int,
    state: str,
) -> None:
    await give(world, salon, 1_000, "more")
    await set_redemption(world, salon, **policy)
    cart = checkout(1_000 if not policy else 1_600, 0, "cart")
    held = await hold(world, salon, first, "first", checkout=cart)
    if state == "REDEEMED":
        await capture(world, salon, held, "spent")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(AboveMaximum) as refused:
            await hold(world, salon, maximum + 1, "too many", checkout=cart)
    assert refused.value.maximum == maximum
    if maximum:
        assert (await hold(world, salon, maximum, "the rest", checkout=cart)).hold.points == maximum
    elsewhere = checkout(1_600, 0, "another cart")
    assert (await hold(world, salon, 100, "elsewhere", checkout=elsewhere)).hold.points == 100
    await ledger_is_sound(salon.tenant_id)


async def test_returned_and_replaced_points_count_against_no_limit(world: World, salon: Salon) -> None:
    await set_redemption(world, salon, max_discount_percent=50)
    held = await hold_for(world, salon, 800, "first")
    held = await hold_for(world, salon, 700, "other", replaces=held.hold.id)
    await release_hold(world, salon.integration, held.hold.id, "no")
    captured = await capture(world, salon, await hold_for(world, salon, 800, "again"), "paid")
    await give_back(world, salon, captured, "back", points=300)
    with pytest.raises(AboveMaximum):
        await hold_for(world, salon, 301, "too many")
    assert (await hold_for(world, salon, 300, "just so")).hold.discount_minor == 300


async def test_a_hold_names_its_purchase(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    request = HoldRequest(ANNA, 10, checkout(), None, None, "key")
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput, match="purchase"):
            await hold_points(world, salon.integration, request)


# ── the recorded purchase is the truth ───────────────────────────────────────────────────────────────────────────


async def test_nobody_raises_the_subtotal_above_the_recorded_total(world: World, salon: Salon) -> None:
    """Neither a checkout nor the customer's own token."""
    await set_redemption(world, salon, max_discount_percent=25)
    recorded = await earn(world, salon, order("cart", 2_000))
    anna = customer_actor(salon.tenant_id, recorded.customer.id)
    claimed = checkout(100_000, 0, "cart")
    for actor in (salon.integration, anna):
        with pytest.raises(AboveMaximum) as refused:
            await hold_points(world, actor, HoldRequest(ANNA, 1_000, claimed, None, None, f"by {actor.kind}"))
        assert refused.value.maximum == 500
    held = await hold_points(world, anna, HoldRequest(ANNA, 500, claimed, None, None, "by anna"))
    assert held.hold.points == 500
    quote = await quote_checkout(world, anna, ANNA, claimed, None)
    assert quote.loyalty is not None
    assert (quote.loyalty.max_points, quote.loyalty.limited_by) == (500, DiscountLimit.MAX_DISCOUNT)


async def test_the_caller_may_say_less_than_is_recorded(world: World, salon: Salon) -> None:
    await earn(world, salon, order("cart", 2_000))
    with pytest.raises(AboveMaximum) as refused:
        await hold_for(world, salon, 500, "parts", checkout=checkout(1_000, 600, "cart"))
    assert refused.value.maximum == 400
    quote = await quoted(world, salon, 5_000)
    assert (quote.max_points, quote.limited_by) == (1_000, DiscountLimit.BALANCE)
    await earn(world, salon, order("cart", 700, status=PurchaseStatus.PAID))
    quote = await quoted(world, salon, 5_000)
    assert (quote.max_points, quote.limited_by) == (700, DiscountLimit.RECORDED_TOTAL)


async def test_a_refunded_amount_cannot_be_paid_with_points(world: World, salon: Salon) -> None:
    await earn(world, salon, order("cart", 1_000, status=PurchaseStatus.PAID))
    held = await hold_for(world, salon, 900, "hold")
    await pay_back(world, salon, "cart", 600, "a part")
    with pytest.raises(AboveMaximum) as refused:
        await capture(world, salon, held, "all of it")
    assert refused.value.maximum == 400
    assert (await capture(world, salon, held, "what is left", points=400)).redemption.discount_minor == 400


@pytest.mark.parametrize("status", ENDINGS)
async def test_nothing_is_held_for_a_purchase_that_is_over(
    world: World, salon: Salon, nothing_changes: NothingChanges, status: PurchaseStatus, ledger_is_sound: LedgerCheck
) -> None:
    await set_redemption(world, salon, return_on_cancel=False)
    await earn(world, salon, order("cart", 1_600))
    await hold_for(world, salon, 100, "before")
    ended = await earn(world, salon, order("cart", 1_600, status=status))
    assert (ended.customer.points.available, ended.customer.points.held) == (1_000, 0)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(PurchaseEnded) as refused:
            await hold_for(world, salon, 100, "after")
    assert refused.value.status == status
    quote = await quoted(world, salon, wanted=100)
    assert (quote.points, quote.max_points, type(quote.refusal)) == (0, 0, PurchaseEnded)
    await ledger_is_sound(salon.tenant_id)


async def test_nothing_is_held_for_a_refunded_purchase(world: World, salon: Salon) -> None:
    await earn(world, salon, order("cart", 1_600, status=PurchaseStatus.PAID))
    await pay_back(world, salon, "cart", 1_600, "all of it")
    with pytest.raises(PurchaseEnded, match="REFUNDED"):
        await hold_for(world, salon, 100, "after")


# ── one owner ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_recorded_purchase_is_paid_by_its_customer_only(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    await earn(world, salon, order("cart", 1_600, customer="bea"))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(PurchaseOfAnotherCustomer):
            await hold_for(world, salon, 50, "anna's")
    quote = await quoted(world, salon, wanted=50)
    assert (quote.points, type(quote.refusal)) == (0, PurchaseOfAnotherCustomer)
    assert (await hold_for(world, salon, 50, "bea's", customer="bea")).hold.points == 50


async def test_the_first_hold_owns_a_purchase_that_nobody_recorded(world: World, salon: Salon) -> None:
    held = await hold_for(world, salon, 50, "anna's")
    with pytest.raises(PurchaseOfAnotherCustomer):
        await hold_for(world, salon, 50, "bea's", customer="bea")
    await hold_for(world, salon, 50, "anna's second")
    await release_hold(world, salon.integration, held.hold.id, "no")
    with pytest.raises(PurchaseOfAnotherCustomer):
        await hold_for(world, salon, 50, "bea's again", customer="bea")


async def test_who_gave_up_a_cart_leaves_it_to_others(world: World, salon: Salon) -> None:
    held = await hold_for(world, salon, 50, "anna's")
    await release_hold(world, salon.integration, held.hold.id, "no")
    held = await hold_for(world, salon, 50, "bea's", customer="bea")
    captured = await capture(world, salon, held, "paid")
    with pytest.raises(PurchaseOfAnotherCustomer):
        await hold_for(world, salon, 50, "anna's again")
    await give_back(world, salon, captured, "all back")
    assert (await hold_for(world, salon, 50, "anna at last")).hold.points == 50


async def test_a_merged_customer_counts_as_the_target(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await set_redemption(world, salon, max_discount_percent=50)
    await capture(world, salon, await hold_for(world, salon, 700, "anna's"), "paid")
    await merge(world, salon, "anna", "bea", "the same")
    with pytest.raises(AboveMaximum) as refused:
        await hold_for(world, salon, 101, "too many", customer="bea")
    assert refused.value.maximum == 100
    assert (await hold_for(world, salon, 100, "by the old id", customer="anna")).hold.points == 100
    recorded = await earn(world, salon, order("cart", 1_600, customer="anna"))
    assert recorded.customer.external_id == "bea"
    await ledger_is_sound(salon.tenant_id)


# ── capture checks again ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_promise_outlives_an_edit_of_the_settings(world: World, salon: Salon) -> None:
    """The terms are frozen with the hold; a later hold has its own."""
    held = await hold_for(world, salon, 500, "before")
    await set_redemption(world, salon, max_discount_percent=10)
    await earn(world, salon, order("cart", 1_600))
    assert (await capture(world, salon, held, "paid")).redemption.points == 500
    with pytest.raises(AboveMaximum):
        await hold_for(world, salon, 1, "after")


async def test_a_hold_is_captured_for_its_owner_only(world: World, salon: Salon) -> None:
    held = await hold_for(world, salon, 50, "anna's")
    await earn(world, salon, order("cart", 1_600, customer="bea"))
    with pytest.raises(LoyaltyError):
        await capture(world, salon, held, "paid")


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_customers_race_for_one_cart_and_one_gets_it(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """They lock different accounts; the row of the checkout decides."""
    for number in range(12):
        cart = checkout(1_600, 0, f"cart-{number}")
        answers = await asyncio.gather(
            *(
                hold(world, salon, 10, f"{customer} {number} {turn}", customer=customer, checkout=cart)
                for customer in ("anna", "bea")
                for turn in range(2)
            ),
            return_exceptions=True,
        )
        owners = {answer.hold.customer_id for answer in answers if isinstance(answer, HeldPoints)}
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert len(owners) == 1
        assert [type(error) for error in refused] == [PurchaseOfAnotherCustomer] * 2
    await ledger_is_sound(salon.tenant_id)


async def test_holds_of_one_cart_at_once_stay_within_its_limit(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await set_redemption(world, salon, max_discount_percent=50)
    answers = await asyncio.gather(
        *(hold_for(world, salon, 100, f"hold-{number}") for number in range(16)), return_exceptions=True
    )
    assert sum(isinstance(answer, HeldPoints) for answer in answers) == 8
    assert sum(isinstance(answer, AboveMaximum) for answer in answers) == 8
    await ledger_is_sound(salon.tenant_id)


# ── the quote ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_quote_counts_its_own_hold_as_available(world: World, salon: Salon) -> None:
    await hold_for(world, salon, 1_000, "all of it")
    quote = await quoted(world, salon, wanted=1_000)
    assert (quote.balance, quote.held_points, quote.max_points, quote.points) == (1_000, 1_000, 1_000, 1_000)
    other = await quote_checkout(world, salon.integration, ANNA, checkout(1_600, 0, "another"), None)
    assert other.loyalty is None


async def test_a_quote_and_the_hold_that_replaces_agree(world: World, salon: Salon) -> None:
    await set_redemption(world, salon, max_discount_percent=50, method=DiscountMethod.AUTOMATIC)
    await capture(world, salon, await hold_for(world, salon, 200, "spent"), "paid")
    held = await hold_for(world, salon, 500, "first")
    quote = await quoted(world, salon)
    assert (quote.points, quote.max_points, quote.reason) == (600, 600, PointsReason.PROPOSED)
    replaced = await hold_for(world, salon, quote.max_points, "second", replaces=held.hold.id)
    assert replaced.hold.points == quote.max_points


@pytest.mark.parametrize(
    ("value", "policy", "slider"),
    [
        (PointValue(1, Money(1, "EUR")), {}, (1, 1, 1_000)),
        (PointValue(1, Money(5, "EUR")), {}, (1, 1, 320)),
        (PointValue(10, Money(1, "EUR")), {}, (10, 10, 1_000)),
        (PointValue(3, Money(2, "EUR")), {"min_points_per_redemption": 100}, (102, 3, 999)),
        (PointValue(100, Money(1, "EUR")), {"max_points_per_redemption": 250}, (100, 100, 200)),
        (PointValue(7, Money(333, "EUR")), {}, (1, 1, 33)),
    ],
)
async def test_a_slider_is_used_as_it_is(
    world: World, salon: Salon, value: PointValue, policy: dict[str, Any], slider: tuple[int, int, int]
) -> None:
    await set_redemption(world, salon, point_value=value, **policy)
    quote = await quoted(world, salon)
    assert (quote.min_points, quote.step, quote.max_points) == slider
    for points in {quote.min_points, quote.min_points + quote.step, quote.max_points}:
        asked = await quoted(world, salon, wanted=points)
        assert (asked.points, asked.reason, asked.refusal) == (points, PointsReason.ASKED, None)


async def test_a_quote_says_why_it_applies_other_points(world: World, salon: Salon) -> None:
    await set_redemption(world, salon, point_value=PointValue(10, Money(1, "EUR")), max_points_per_redemption=500)
    seen = [await quoted(world, salon, wanted=wanted) for wanted in (100, 105, 501, None)]
    assert [(quote.points, quote.reason) for quote in seen] == [
        (100, PointsReason.ASKED),
        (100, PointsReason.LOWERED),
        (500, PointsReason.LOWERED),
        (0, PointsReason.PROPOSED),
    ]
    refused = await quoted(world, salon, wanted=511)
    assert (refused.points, refused.reason, type(refused.refusal)) == (0, PointsReason.REFUSED, AboveMaximum)


@pytest.mark.parametrize(
    ("policy", "subtotal", "limit"),
    [
        ({}, 5_000, DiscountLimit.BALANCE),
        ({}, 500, DiscountLimit.TOTAL),
        ({"max_points_per_redemption": 300}, 5_000, DiscountLimit.MAX_POINTS),
        ({"max_discount_percent": 10}, 5_000, DiscountLimit.MAX_DISCOUNT),
        ({"max_discount_amount_minor": 10}, 5_000, DiscountLimit.MAX_DISCOUNT),
    ],
)
async def test_a_quote_says_what_sets_the_maximum(
    world: World, salon: Salon, policy: dict[str, Any], subtotal: int, limit: DiscountLimit
) -> None:
    await set_redemption(world, salon, **policy)
    assert (await quoted(world, salon, subtotal)).limited_by is limit


async def test_a_quote_without_anything_to_pay_refuses(world: World, salon: Salon) -> None:
    quote = await quoted(world, salon, 0)
    assert (quote.min_points, quote.max_points, quote.limited_by) == (0, 0, None)
    assert isinstance(quote.refusal, NothingToDiscount)


async def test_the_limits_of_a_purchase_cost_no_statement(world: World, salon: Salon, statements: StatementLog) -> None:
    await earn(world, salon, order("cart", 1_600))
    await capture(world, salon, await hold_for(world, salon, 100, "spent"), "paid")
    with statements() as quoting:
        await quoted(world, salon)
    with statements() as holding:
        held = await hold_for(world, salon, 100, "basket")
    with statements() as capturing:
        await capture(world, salon, held, "paid too")
    assert [len(sent) for sent in (quoting, holding, capturing)] == [2, 4, 9], (
        "the purchase is valued again by the capture"
    )
