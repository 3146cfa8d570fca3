import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from loyalty.rules.account import Overdraft
from loyalty.rules.errors import (
    AboveMaximum,
    BelowMinimum,
    CurrencyMismatch,
    HoldEnded,
    IdempotencyConflict,
    InsufficientPoints,
    InvalidInput,
    LoyaltyError,
    NotFound,
    PermissionDenied,
    PurchaseOfAnotherCustomer,
    RedemptionDisabled,
    ReturnExceedsRedemption,
)
from loyalty.rules.ids import CustomerId, HoldId
from loyalty.rules.money import Money, PointValue
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.redemption import DiscountMethod, HoldState, RestorePolicy
from loyalty.services.abandoned_hold import free_abandoned_holds
from loyalty.services.checkout import Checkout, quote_checkout
from loyalty.services.customer import CustomerKey, find_customer, list_activity
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.listing import list_lots
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.redemption import capture_hold, hold_points, release_hold, return_redemption
from loyalty.services.redemption_answer import HeldPoints
from loyalty.services.world import World
from loyalty.storage.customers import PointsRow
from loyalty.storage.entries import EntryFilter
from loyalty.storage.lists import LotFilter
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.window import Window
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
    customer_actor,
    earn,
    give,
    give_back,
    hold,
    known_customer,
    one_point_per_euro,
    order,
    set_redemption,
)

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


@pytest.fixture
async def rich(world: World, salon: Salon) -> CustomerId:
    """Give Anna 1,000 points, each worth a cent."""
    await set_redemption(world, salon)
    anna = await known_customer(world, salon)
    await give(world, salon, 1_000, "riches")
    return anna


async def points(world: World, salon: Salon, customer: str = "anna") -> PointsRow:
    """Return a customer's account."""
    found = await find_customer(world, salon.manager, CustomerKey(external_id=customer))
    assert found is not None
    return found.points


async def numbers(world: World, salon: Salon) -> tuple[int, int, int]:
    """Return what Anna has available, held and owes."""
    account = await points(world, salon)
    return (account.available, account.held, account.debt)


async def expire_lots(owner_world: World, salon: Salon, key: str, at_instant: object) -> None:
    """Let the points of an adjustment expire at an instant."""
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        touched = await tx.run(
            text(
                "UPDATE lots l SET expires_at = :at, opened_expires_at = :at FROM idempotency_keys k "
                "WHERE k.result_id = l.cause_id AND k.key = :key"
            ),
            at=at_instant,
            key=key,
        )
        assert touched == 1


ANNA = CustomerKey(external_id="anna")


# ── the quote ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("rich")
async def test_a_quote_shows_what_points_can_do(world: World, salon: Salon) -> None:
    """BK-80, BK-81, BK-73."""
    quote = await quote_checkout(world, salon.integration, ANNA, checkout(5_000), None)
    loyalty = quote.loyalty
    assert loyalty is not None
    assert (loyalty.balance, loyalty.balance_value) == (1_000, Money(1_000, "EUR"))
    assert (loyalty.points, loyalty.max_points, loyalty.max_discount) == (0, 1_000, Money(1_000, "EUR"))
    await set_redemption(world, salon, method=DiscountMethod.AUTOMATIC)
    quote = await quote_checkout(world, salon.integration, ANNA, checkout(5_000), None)
    assert quote.loyalty is not None
    assert (quote.loyalty.points, quote.loyalty.discount) == (1_000, Money(1_000, "EUR"))


@pytest.mark.usefixtures("rich")
async def test_other_discounts_come_first(world: World, salon: Salon) -> None:
    """C-26, BK-74: half of 19.99 - 10.00, rounded down."""
    await set_redemption(world, salon, max_discount_percent=50)
    quote = await quote_checkout(world, salon.integration, ANNA, checkout(1_999, 1_000), None)
    assert quote.loyalty is not None
    assert quote.loyalty.max_discount == Money(499, "EUR")


async def test_who_has_no_points_is_shown_nothing(world: World, salon: Salon) -> None:
    """BK-85, BK-70."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    for customer in ("anna", "nobody"):
        quote = await quote_checkout(world, salon.integration, CustomerKey(external_id=customer), checkout(), 5)
        assert quote.loyalty is None
    await give(world, salon, 10, "some")
    await set_redemption(world, salon, enabled=False)
    assert (await quote_checkout(world, salon.integration, ANNA, checkout(), None)).loyalty is None


@pytest.mark.usefixtures("rich")
async def test_a_refused_wish_is_not_applied_and_says_why(world: World, salon: Salon) -> None:
    """BK-82."""
    await set_redemption(world, salon, max_points_per_redemption=300)
    for wanted, refusal in ((301, AboveMaximum), (1_001, InsufficientPoints)):
        quote = await quote_checkout(world, salon.integration, ANNA, checkout(), wanted)
        assert quote.loyalty is not None
        assert (quote.loyalty.points, type(quote.loyalty.refusal)) == (0, refusal)


async def test_points_of_the_running_purchase_cannot_pay_for_it(world: World, salon: Salon) -> None:
    """PB-06, PB-15: the next one can be paid with them."""
    await set_redemption(world, salon)
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, order("order-1", 10_000))
    own, other = checkout(purchase="order-1"), checkout(purchase="order-2")
    quote = await quote_checkout(world, salon.integration, ANNA, own, None)
    assert quote.loyalty is not None
    assert (quote.loyalty.balance, quote.loyalty.max_points) == (100, 0)
    with pytest.raises(InsufficientPoints):
        await hold(world, salon, 100, "own", checkout=own)
    assert (await hold(world, salon, 100, "other", checkout=other)).hold.points == 100


@pytest.mark.usefixtures("rich")
async def test_expired_points_are_not_offered_before_anybody_swept(
    world: World, owner_world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """PB-13: at that very instant, in the quote and in the hold."""
    await give(world, salon, 50, "short")
    instant = NOON.replace(year=2030)
    await expire_lots(owner_world, salon, "short", instant)
    for moment, expected in ((instant - timedelta(microseconds=1), 1_050), (instant, 1_000)):
        quote = await quote_checkout(at(world, moment), salon.integration, ANNA, checkout(), None)
        assert quote.loyalty is not None
        assert quote.loyalty.balance == expected
    held = await hold(at(world, instant), salon, 1_000, "all")
    assert held.customer.points.available == 0
    await ledger_is_sound(salon.tenant_id)


async def test_a_customer_asks_only_about_themselves(world: World, salon: Salon, rich: CustomerId) -> None:
    """BK-95."""
    anna = customer_actor(salon.tenant_id, rich)
    ben = customer_actor(salon.tenant_id, CustomerId(NOBODY))
    assert (await quote_checkout(world, anna, ANNA, checkout(), None)).loyalty is not None
    assert (await quote_checkout(world, ben, ANNA, checkout(), None)).loyalty is None


# ── hold, capture, release ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("rich")
async def test_held_points_count_as_spent_until_they_are_captured(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """BK-84, F-11."""
    held = await hold(world, salon, 300, "basket")
    assert (held.hold.state, held.hold.discount_minor) == (HoldState.ACTIVE, 300)
    assert await numbers(world, salon) == (700, 300, 0)
    captured = await capture(world, salon, held, "paid")
    assert (captured.hold.state, captured.redemption.points, captured.redemption.discount_minor) == (
        HoldState.CAPTURED,
        300,
        300,
    )
    assert await numbers(world, salon) == (700, 0, 0)
    assert captured.customer.points.lifetime_earned == 0
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_a_hold_can_be_replaced_any_number_of_times(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """BK-84: in one step, so the whole balance can be held again."""
    held = await hold(world, salon, 1_000, "hold-0")
    for number in range(1, 4):
        held = await hold(world, salon, 1_000 - number, f"hold-{number}", replaces=held.hold.id)
        assert await numbers(world, salon) == (number, 1_000 - number, 0)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_a_part_is_captured_and_the_rest_goes_back(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    held = await hold(world, salon, 300, "basket")
    captured = await capture(world, salon, held, "paid", points=120)
    assert (captured.redemption.points, captured.redemption.discount_minor) == (120, 120)
    assert await numbers(world, salon) == (880, 0, 0)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_released_points_are_as_they_were(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    held = await hold(world, salon, 300, "basket")
    released = await release_hold(world, salon.integration, held.hold.id, "no")
    assert released.hold.state is HoldState.RELEASED
    assert await numbers(world, salon) == (1_000, 0, 0)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_two_bookings_each_get_the_full_cap(world: World, salon: Salon) -> None:
    """BK-76."""
    await set_redemption(world, salon, max_discount_amount_minor=400)
    for number in (1, 2):
        held = await hold(world, salon, 400, f"booking-{number}", checkout=checkout(purchase=f"booking-{number}"))
        assert held.hold.discount_minor == 400


@pytest.mark.usefixtures("rich")
async def test_the_value_of_a_hold_is_frozen(world: World, salon: Salon) -> None:
    """F-23: a later edit of the point value changes nothing."""
    held = await hold(world, salon, 100, "basket")
    await set_redemption(world, salon, point_value=PointValue(1, Money(5, "EUR")))
    captured = await capture(world, salon, held, "paid", points=50)
    assert captured.redemption.discount_minor == 50


@pytest.mark.usefixtures("rich")
async def test_lots_are_spent_by_expiry(
    world: World, owner_world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """PB-13: what expires soonest is held, captured and taken first; a captured part takes it first too."""
    await give(world, salon, 50, "short")
    soon = NOON.replace(year=2030)
    await expire_lots(owner_world, salon, "short", soon)
    held = await hold(world, salon, 100, "basket")
    await capture(world, salon, held, "paid", points=50)
    quote = await quote_checkout(at(world, soon), salon.integration, ANNA, checkout(), None)
    assert quote.loyalty is not None
    assert quote.loyalty.balance == 1_000
    await ledger_is_sound(salon.tenant_id)


async def test_of_many_lots_a_hold_takes_the_first_that_suffice(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """PB-13: and one that replaces it begins at the first again, with what comes back."""
    await set_redemption(world, salon)
    anna = await known_customer(world, salon)
    for number in range(12):
        await give(at(world, NOON + number * QUARTER), salon, 10, f"lot-{number}")
    later = at(world, NOON + DAY)

    async def held_by_lot() -> list[int]:
        lots = await list_lots(later, salon.manager, LotFilter(anna), Window(20, ascending=True))
        return [lot.held for lot in lots]

    held = await hold(later, salon, 35, "first", minutes=60)
    assert await held_by_lot() == [10, 10, 10, 5] + 8 * [0]
    beside = await hold(later, salon, 30, "beside", minutes=60)
    assert await held_by_lot() == 6 * [10] + [5] + 5 * [0]
    await hold(later, salon, 90, "second", replaces=held.hold.id, minutes=60)
    assert await held_by_lot() == 12 * [10]
    with pytest.raises(InsufficientPoints) as refused:
        await hold(later, salon, 31, "third", replaces=beside.hold.id)
    assert (refused.value.available, refused.value.required) == (30, 31)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(
    ("wanted", "details", "refusal"),
    [
        (1_001, {}, InsufficientPoints),
        (101, {"checkout": checkout(100)}, AboveMaximum),
        (100, {"customer": "nobody"}, NotFound),
        (100, {"replaces": HoldId(NOBODY)}, NotFound),
        (100, {"checkout": Checkout(Money(100, "USD"))}, CurrencyMismatch),
        (0, {}, InvalidInput),
        (100, {"minutes": 0}, InvalidInput),
        (100, {"checkout": checkout(100, 101)}, InvalidInput),
        (100, {"checkout": checkout(purchase="")}, InvalidInput),
    ],
)
@pytest.mark.usefixtures("rich")
async def test_a_refused_hold_leaves_nothing_behind(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    wanted: int,
    details: dict[str, object],
    refusal: type[LoyaltyError],
) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(refusal):
            await hold(world, salon, wanted, "basket", **details)  # type: ignore[arg-type]


@pytest.mark.usefixtures("rich")
async def test_minimums_of_balance_and_of_use(world: World, salon: Salon) -> None:
    """BK-75, C-14, PB-12."""
    await set_redemption(world, salon, min_balance=1_001)
    with pytest.raises(BelowMinimum, match="balance"):
        await hold(world, salon, 100, "basket")
    await set_redemption(world, salon, min_balance=1_000, min_points_per_redemption=200)
    with pytest.raises(BelowMinimum, match="points"):
        await hold(world, salon, 199, "basket")
    assert (await hold(world, salon, 200, "basket")).hold.points == 200


@pytest.mark.usefixtures("rich")
async def test_switched_off_nothing_is_redeemed_and_earning_goes_on(world: World, salon: Salon) -> None:
    """BK-70, BK-71: a hold that was made before can still be captured."""
    held = await hold(world, salon, 100, "basket")
    await set_redemption(world, salon, enabled=False)
    with pytest.raises(RedemptionDisabled):
        await hold(world, salon, 100, "another")
    await capture(world, salon, held, "paid")
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    recorded = await earn(world, salon, order())
    assert recorded.accrual is not None
    assert recorded.accrual.points == 100


@pytest.mark.usefixtures("rich")
async def test_a_hold_ends_once(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    """F-06."""
    captured, released = await hold(world, salon, 100, "a"), await hold(world, salon, 100, "b")
    await capture(world, salon, captured, "capture a")
    await release_hold(world, salon.integration, released.hold.id, "release b")
    async with nothing_changes(salon.tenant_id):
        for held in (captured, released):
            with pytest.raises(HoldEnded):
                await capture(world, salon, held, "once more")
        with pytest.raises(HoldEnded):
            await release_hold(world, salon.integration, captured.hold.id, "give it back")
        again = await release_hold(world, salon.integration, released.hold.id, "and again")
        assert again.replayed


@pytest.mark.usefixtures("rich")
async def test_keys_are_answered_once(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    """F-08, F-33."""
    held = await hold(world, salon, 300, "basket")
    captured = await capture(world, salon, held, "paid")
    back = await give_back(world, salon, captured, "back", points=100)
    async with nothing_changes(salon.tenant_id):
        again = await hold(world, salon, 300, "basket")
        assert (again.replayed, again.hold.id) == (True, held.hold.id)
        recaptured = await capture(world, salon, held, "paid")
        assert (recaptured.replayed, recaptured.redemption.id) == (True, captured.redemption.id)
        rereturned = await give_back(world, salon, captured, "back", points=100)
        assert (rereturned.replayed, rereturned.returned) == (True, back.returned)
        for other in (
            hold(world, salon, 301, "basket"),
            capture(world, salon, held, "paid", points=1),
            give_back(world, salon, captured, "back", points=101),
        ):
            with pytest.raises(IdempotencyConflict):
                await other


@pytest.mark.usefixtures("rich")
async def test_a_hold_ends_by_itself(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """BK-84, F-06: at its time it cannot be captured, whether the sweeper has passed or not."""
    held = await hold(at(world, NOON), salon, 300, "basket")
    assert held.hold.expires_at == NOON + QUARTER
    for moment in (NOON + QUARTER, NOON + DAY):
        with pytest.raises(HoldEnded):
            await capture(at(world, moment), salon, held, "late")
    assert (await free_abandoned_holds(at(world, NOON + QUARTER - timedelta(seconds=1)), salon.tenant_id)).done == 0
    assert (await free_abandoned_holds(at(world, NOON + QUARTER), salon.tenant_id)).done == 1
    assert await numbers(world, salon) == (1_000, 0, 0)
    assert (await free_abandoned_holds(at(world, NOON + DAY), salon.tenant_id)).done == 0
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_the_time_of_a_hold_is_the_programs_or_the_callers(world: World, salon: Salon) -> None:
    await set_redemption(world, salon, hold_minutes=60)
    assert (await hold(at(world, NOON), salon, 1, "an hour")).hold.expires_at == NOON + timedelta(hours=1)
    assert (await hold(at(world, NOON), salon, 1, "a week", minutes=7 * 24 * 60)).hold.expires_at == NOON + 7 * DAY


async def test_held_points_outlive_their_lot_and_expire_when_they_come_back(
    world: World, owner_world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """PB-13, invariant 9: a hold counts as spent, so it may be captured after the expiry."""
    await set_redemption(world, salon)
    await known_customer(world, salon)
    await give(world, salon, 100, "short")
    soon = NOON.replace(year=2030)
    before, after = at(world, soon - timedelta(minutes=5)), at(world, soon + timedelta(minutes=5))
    await expire_lots(owner_world, salon, "short", soon)
    kept, dropped = await hold(before, salon, 60, "kept"), await hold(before, salon, 40, "dropped")
    await capture(after, salon, kept, "paid", points=50)
    await release_hold(after, salon.integration, dropped.hold.id, "no")
    assert await numbers(world, salon) == (0, 0, 0)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_released_points_pay_debt_that_arose_meanwhile(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    first, second = await hold(world, salon, 600, "first"), await hold(world, salon, 300, "second")
    await give(world, salon, -500, "mistake", overdraft=Overdraft.ALLOW_NEGATIVE)
    await give(world, salon, -100, "another", overdraft=Overdraft.ALLOW_NEGATIVE)
    assert await numbers(world, salon) == (0, 900, 500)
    await ledger_is_sound(salon.tenant_id)
    await release_hold(world, salon.integration, second.hold.id, "release second")
    assert await numbers(world, salon) == (0, 600, 200)
    await capture(world, salon, first, "paid", points=300)
    assert await numbers(world, salon) == (100, 0, 0)
    await ledger_is_sound(salon.tenant_id)


# ── giving back ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("rich")
async def test_points_come_back_to_the_lots_they_came_from(
    world: World, owner_world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-07, F-41: with the expiry they had; in parts, what lives longest first."""
    await give(world, salon, 50, "short")
    soon = NOON.replace(year=2030)
    await expire_lots(owner_world, salon, "short", soon)
    captured = await capture(world, salon, await hold(world, salon, 100, "basket"), "paid")
    first = await give_back(world, salon, captured, "a part", points=30)
    assert (first.returned.points, first.returned.discount_minor, first.redemption.returned_points) == (30, 30, 30)
    await give_back(world, salon, captured, "the rest")
    assert await numbers(world, salon) == (1_050, 0, 0)
    quote = await quote_checkout(at(world, soon), salon.integration, ANNA, checkout(), None)
    assert quote.loyalty is not None
    assert quote.loyalty.balance == 1_000
    with pytest.raises(ReturnExceedsRedemption):
        await give_back(world, salon, captured, "too much", points=1)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize(("restore", "at_once", "later"), [(RestorePolicy.GRACE, 100, 0), (RestorePolicy.EXPIRE, 0, 0)])
async def test_points_that_come_back_after_their_expiry(
    world: World,
    owner_world: World,
    salon: Salon,
    ledger_is_sound: LedgerCheck,
    restore: RestorePolicy,
    at_once: int,
    later: int,
) -> None:
    """F-42: they never live for ever."""
    await set_redemption(world, salon, restore=restore, restore_grace_days=3)
    await known_customer(world, salon)
    await give(world, salon, 100, "short")
    soon = NOON.replace(year=2030)
    await expire_lots(owner_world, salon, "short", soon)
    captured = await capture(world, salon, await hold(world, salon, 100, "basket"), "paid")
    back = await give_back(at(world, soon), salon, captured, "back")
    assert back.customer.points.available == at_once
    # The third day after it, to its end in Berlin.
    end = (soon + 3 * DAY).replace(hour=23)
    for moment, left in ((end - timedelta(seconds=1), at_once), (end, later)):
        quote = await quote_checkout(at(world, moment), salon.integration, ANNA, checkout(), None)
        assert (quote.loyalty.balance if quote.loyalty else 0) == left
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_points_that_come_back_pay_debt_first(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    captured = await capture(world, salon, await hold(world, salon, 900, "basket"), "paid")
    await give(world, salon, -300, "mistake", overdraft=Overdraft.ALLOW_NEGATIVE)
    assert await numbers(world, salon) == (0, 0, 200)
    await give_back(world, salon, captured, "some", points=150)
    assert await numbers(world, salon) == (0, 0, 50)
    await give_back(world, salon, captured, "the rest")
    assert await numbers(world, salon) == (700, 0, 0)
    await ledger_is_sound(salon.tenant_id)


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_points_released_by_a_cancellation_pay_its_debt(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-41, F-09: the debt arises in the very transaction that releases what can pay it; two holds pay it together."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_redemption(world, salon)
    await earn(world, salon, order("order-1", 10_000))
    for number in range(2):
        await hold(world, salon, 30, f"hold-{number}", checkout=checkout(purchase="order-2"))
    bought = await earn(world, salon, order("order-2", 9_000))
    await give(world, salon, -bought.customer.points.available, "spent")
    called_off = await earn(world, salon, order("order-2", 9_000, status=PurchaseStatus.CANCELLED))
    assert called_off.customer.points[:4] == (0, 0, 0, 89 - 60)
    await ledger_is_sound(salon.tenant_id)


async def test_customers_hold_and_release_only_their_own_points(world: World, salon: Salon, rich: CustomerId) -> None:
    """BK-84, BK-95."""
    anna, ben = customer_actor(salon.tenant_id, rich), customer_actor(salon.tenant_id, CustomerId(NOBODY))
    held = await hold(world, replace_integration(salon, anna), 100, "mine")
    with pytest.raises(NotFound):
        await hold(world, replace_integration(salon, ben), 100, "hers")
    with pytest.raises(NotFound):
        await release_hold(world, ben, held.hold.id, "hers")
    with pytest.raises(PermissionDenied):
        await capture_hold(world, anna, held.hold.id, None, "paid?")
    with pytest.raises(PermissionDenied):
        await return_redemption(world, anna, held.hold.id, None, None, "back?")  # type: ignore[arg-type]
    await release_hold(world, anna, held.hold.id, "mine again")


@pytest.mark.usefixtures("rich")
async def test_a_purchase_paid_with_points_is_refused_for_another_customer(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-41: who paid with points owns the purchase, and gets them back."""
    await known_customer(world, salon, "ben")
    await give(world, salon, 100, "ben's", customer="ben")
    held = await hold(world, salon, 100, "basket", customer="ben", checkout=checkout(purchase="order-9"))
    await capture(world, salon, held, "paid")
    for status in (PurchaseStatus.CREATED, PurchaseStatus.CANCELLED):
        with pytest.raises(PurchaseOfAnotherCustomer):
            await earn(world, salon, order("order-9", status=status))
    await earn(world, salon, order("order-9", customer="ben"))
    ended = await earn(world, salon, order("order-9", status=PurchaseStatus.CANCELLED, customer="ben"))
    assert ended.customer.points.available == 100
    await ledger_is_sound(salon.tenant_id)


def replace_integration(salon: Salon, actor: object) -> Salon:
    """Return the same salon, where somebody else stands at the checkout."""
    return salon._replace(integration=actor)  # type: ignore[arg-type]


@pytest.mark.usefixtures("rich")
async def test_staff_looks_and_does_not_touch(world: World, salon: Salon) -> None:
    assert (await quote_checkout(world, salon.staff, ANNA, checkout(), None)).loyalty is not None
    with pytest.raises(PermissionDenied):
        await hold(world, replace_integration(salon, salon.staff), 100, "no")


@pytest.mark.usefixtures("rich")
async def test_another_tenants_hold_is_not_there(world: World, salon: Salon, other_salon: Salon) -> None:
    held = await hold(world, salon, 100, "basket")
    with pytest.raises(NotFound):
        await capture_hold(world, other_salon.manager, held.hold.id, None, "paid")
    with pytest.raises(NotFound):
        await release_hold(world, other_salon.manager, held.hold.id, "no")


@pytest.mark.usefixtures("rich")
async def test_a_program_that_is_off_holds_nothing_and_frees_what_is_held(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await hold(at(world, NOON), salon, 100, "basket")
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
    assert (await free_abandoned_holds(at(world, NOON + DAY), salon.tenant_id)).done == 1
    await ledger_is_sound(salon.tenant_id)


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("rich")
async def test_of_256_who_redeem_10_of_1000_exactly_100_succeed(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-10."""

    async def redeem(number: int) -> str:
        try:
            held = await hold(world, salon, 10, f"hold-{number}")
        except InsufficientPoints:
            return "refused"
        await capture(world, salon, held, f"capture-{number}")
        return "redeemed"

    outcomes = Counter(await asyncio.gather(*(redeem(number) for number in range(256))))
    assert outcomes == {"redeemed": 100, "refused": 156}
    assert await numbers(world, salon) == (0, 0, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_a_capture_happens_at_the_time_when_it_gets_the_lock(
    world: World, salon: Salon, rich: CustomerId, ledger_is_sound: LedgerCheck
) -> None:
    """Entries of one account are in the order of their time, not in the order in which their operations began."""
    holds = [await hold(world, salon, 10, f"hold-{number}") for number in range(40)]
    await asyncio.gather(*(capture(world, salon, held, f"capture-{held.hold.id}") for held in holds))
    entries = await list_activity(world, salon.manager, EntryFilter(rich), Window(100))
    assert [entry.sequence for entry in entries] == list(range(41, 0, -1))
    assert [entry.occurred_at for entry in entries] == sorted((entry.occurred_at for entry in entries), reverse=True)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_of_50_who_hold_everything_one_succeeds(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """F-10."""
    answers = await asyncio.gather(
        *(hold(world, salon, 1_000, f"hold-{number}") for number in range(50)), return_exceptions=True
    )
    assert Counter(type(answer) for answer in answers) == {HeldPoints: 1, InsufficientPoints: 49}
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_a_hundred_replays_at_once_are_one(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """F-08."""
    answers = await asyncio.gather(*(hold(world, salon, 10, "the same") for _ in range(100)))
    assert len({answer.hold.id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert await numbers(world, salon) == (990, 10, 0)
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.usefixtures("rich")
async def test_capture_release_and_the_sweep_race_and_one_wins(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-06, invariant 8."""
    now = at(world, NOON + QUARTER - timedelta(seconds=1))
    late = at(world, NOON + QUARTER)
    for number in range(10):
        held = await hold(at(world, NOON), salon, 10, f"hold-{number}")
        await asyncio.gather(
            capture(now, salon, held, f"capture-{number}"),
            release_hold(now, salon.integration, held.hold.id, f"release-{number}"),
            free_abandoned_holds(late, salon.tenant_id),
            return_exceptions=True,
        )
    account = await points(world, salon)
    assert account.held == 0
    await ledger_is_sound(salon.tenant_id)


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("rich")
async def test_how_many_statements_a_checkout_takes(world: World, salon: Salon, statements: StatementLog) -> None:
    """The budget: 3 for a quote, 6 for a hold, a capture, a release and a return."""
    await quote_checkout(world, salon.integration, ANNA, checkout(), None)
    with statements() as quoting:
        await quote_checkout(world, salon.integration, ANNA, checkout(), 10)
    with statements() as holding:
        held = await hold(world, salon, 100, "basket")
    with statements() as replacing:
        held = await hold(world, salon, 90, "other basket", replaces=held.hold.id)
    with statements() as capturing:
        captured = await capture(world, salon, held, "paid", points=80)
    with statements() as returning:
        await give_back(world, salon, captured, "back")
    dropped = await hold(world, salon, 10, "dropped")
    with statements() as releasing:
        await release_hold(world, salon.integration, dropped.hold.id, "no")
    counts = [len(sent) for sent in (quoting, holding, replacing, capturing, returning, releasing)]
    # One more than without a purchase: it may have been valued with what points paid before.
    assert counts == [2, 4, 6, 6, 6, 6]


@pytest.mark.usefixtures("rich")
async def test_a_key_names_the_purchase_by_kind_too(world: World, salon: Salon) -> None:
    held = await hold(world, salon, 10, "basket", checkout=checkout(purchase="1", kind=PurchaseKind.CLASS))
    assert (held.hold.purchase_kind, held.hold.purchase_external_id) == PurchaseKey(PurchaseKind.CLASS, "1")


async def test_hold_points_asks_for_the_permission_first(world: World, salon: Salon) -> None:
    with pytest.raises(PermissionDenied):
        await hold_points(world, salon.staff, None)  # type: ignore[arg-type]
